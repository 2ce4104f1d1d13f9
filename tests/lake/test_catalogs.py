"""The lake on its production catalogue: a real PostgreSQL, its data in a folder or on a real S3 server."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lake.catalogs import PostgresCatalog
from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.errors import CompanyError, InputError, LakeBusy, SourceFailed
from lake.ledger import totals
from lake.maintenance import compact, verify
from lake.secrets import Secret
from lake.snapshots import diff, list_snapshots
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

BODY = HEADER + "A1,1,2.50,2024-01-05\nA2,x,2.50,2024-01-05\nA3,3,,2024-01-06\n"


@pytest.fixture
def on_postgres(tmp_path, postgres_url, monkeypatch) -> Company:
    monkeypatch.setenv("CATALOG_URL", postgres_url)
    settings = {"title": "Test", "currency": "EUR", "lake": {"catalog": "${env:CATALOG_URL}"}}
    settings["lake"]["catalog"] = "postgresql://" + postgres_url.removeprefix("postgresql://").replace(
        postgres_url.split(":")[2].split("@")[0], "${env:CATALOG_PASSWORD}"
    )
    monkeypatch.setenv("CATALOG_PASSWORD", postgres_url.split(":")[2].split("@")[0])
    return replace(company(tmp_path), settings=CompanySettings.model_validate(settings))


def test_it_loads_travels_in_time_and_replaces(on_postgres):
    lake = Lake.of(on_postgres)
    assert not lake.exists
    deliver(on_postgres, "sales_1.csv", BODY)
    assert load(on_postgres, contract()).totals["quarantined"] == 1
    before = lake.snapshot()
    deliver(on_postgres, "sales_2.csv", HEADER + "B1,1,2.50,2024-01-07\n")
    assert load(on_postgres, contract(), run_id="again").totals["loaded"] == 1
    assert rows(on_postgres, "SELECT count(*) FROM lake.raw.sales") == [(3,)]
    with lake.read(before) as connection:
        assert connection.execute("SELECT count(*) FROM lake.raw.sales").fetchall() == [(2,)]
    assert totals(lake)["rows_read"] == 4
    assert not on_postgres.catalog.exists()


def test_it_is_verified_compacted_and_compared(on_postgres):
    lake = Lake.of(on_postgres)
    for number in range(3):
        body = "".join(f"A{number}-{i},1,2.50,2024-01-05\n" for i in range(100))
        deliver(on_postgres, f"sales_{number}.csv", HEADER + body)
        load(on_postgres, contract())
    newest = lake.snapshot()
    done = compact(lake, keep=timedelta(0), now=datetime.now(UTC) + timedelta(days=2))
    assert done.expired and done.merged == 3 and done.deleted == 3
    assert verify(lake, full=True, grace=timedelta(0)).problems == ()
    assert not set(done.expired) & {one.snapshot_id for one in list_snapshots(lake)}
    assert [(one.table, one.inserted) for one in diff(lake, newest, lake.snapshot())] == []
    next(lake.data.rglob("*.parquet")).unlink()
    assert "missing" in verify(lake).problems[0]


def test_two_companies_share_a_database(on_postgres, tmp_path):
    other = replace(on_postgres, name="other", home=tmp_path / "other home")
    other.prepare()
    for each in (on_postgres, other):
        deliver(each, "sales_1.csv", BODY)
        load(each, contract())
    deliver(other, "sales_2.csv", HEADER + "B1,1,2.50,2024-01-07\n")
    load(other, contract())
    assert rows(on_postgres, "SELECT count(*) FROM lake.raw.sales") == [(2,)]
    assert rows(other, "SELECT count(*) FROM lake.raw.sales") == [(3,)]


def test_writers_take_turns_and_a_killed_one_blocks_nobody(on_postgres):
    lake = Lake.of(on_postgres)
    lake.ensure()
    url = lake.catalog.url.reveal()  # type: ignore[union-attr]
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER], env=os.environ | {"URL": url}, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LakeBusy, match="for more than 0 s"), lake.writer_lock(0.2):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with lake.writer_lock(5):
        pass


_HOLDER = """
import os, time
from lake.catalogs import PostgresCatalog
from lake.secrets import Secret
with PostgresCatalog(Secret(os.environ["URL"]), "stocklake_test").writer_lock(5):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_catalogue_that_is_away_is_one_sentence_without_its_password(on_postgres, postgres):
    url = postgres.url("nowhere")
    password = postgres.password
    for broken in (url, url.replace(f":{postgres.port}/", ":1/"), postgres.url(password="wrong-one")):
        with pytest.raises(SourceFailed, match=r"cannot be reached .* company\.yaml") as told:
            assert not PostgresCatalog(Secret(broken), "stocklake_test").exists
        assert password not in str(told.value)
        assert "wrong-one" not in str(told.value)
    with pytest.raises(InputError, match="is no URL"):
        assert PostgresCatalog(Secret("postgresql//x"), "s").exists


def test_settings_that_do_not_fit_are_told():
    def settings(**lake):
        return CompanySettings.model_validate({"title": "T", "currency": "EUR", "lake": lake})

    s3 = {"key_id": "${env:A}", "secret_key": "${env:B}"}
    assert settings(data="s3://bucket/lake", s3=s3).lake.s3 is not None
    for wrong in (
        {"data": "s3://bucket"},
        {"s3": s3},
        {"catalog": "mysql://x"},
        {"data": "s3://b", "s3": s3 | {"secret_key": "literal"}},
    ):
        with pytest.raises(ValueError, match="validation error"):
            settings(**wrong)
    assert CompanyError.exit_code == 2


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_a_dying_writer_left_in_the_sqlite_catalogue_disturbs_nobody(tmp_path, mode):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    load(home, contract())
    with closing(sqlite3.connect(home.catalog)) as catalog:
        catalog.execute(f"PRAGMA journal_mode = {mode}")
    died = subprocess.run(
        [sys.executable, "-c", _DIES_IN_COMMIT, str(home.catalog)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = home.catalog.with_name(f"catalog.sqlite-{'wal' if mode == 'wal' else 'journal'}")
    assert left.stat().st_size > 0
    assert rows(home, "SELECT count(*) FROM lake.raw.sales") == [(2,)]
    deliver(home, "sales_2.csv", HEADER + "B1,1,2.50,2024-01-07\n")
    assert load(home, contract(), run_id="after").is_clean


_DIES_IN_COMMIT = """
import os, signal, sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
catalog.execute("BEGIN")
catalog.execute("UPDATE ducklake_snapshot SET snapshot_id = snapshot_id + 1000")
catalog.execute("CREATE TABLE torn AS SELECT randomblob(100000) AS x FROM ducklake_snapshot")
os.kill(os.getpid(), signal.SIGKILL)
"""
