"""Change data capture from a real PostgreSQL: whatever happens there or here, the lake ends with what the table holds."""

import random
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing

import psycopg2
import pytest

from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.contracts.model import Column, KnownAt
from lake.errors import SourceFailed
from lake.ledger import position
from lake.sources.databases.cdc import ChangeSource
from lake.sources.databases.pgoutput import MalformedMessage, decode
from lake.sources.databases.settings import CdcSettings
from tests.lake.loading_kit import company, contract, load, rows

SLOT = "stocklake_test_line"
COLUMNS = (
    Column("line_id", "line_id", "integer", required=True, key=True),
    Column("item", "item", "string", required=True),
    Column("price", "price", "number", precision=12, scale=4),
    Column("changed_at", "changed_at", "timestamp"),
    Column("is_active", "is_active", "boolean"),
    Column("note", "note", "string"),
    Column("committed_at", "_commit_timestamp", "timestamp", required=True),
    Column("operation", "_operation", "string"),
    Column("is_deleted", "is_deleted", "boolean", required=True, default="false"),
)
TABLE = """
CREATE TABLE line (
    line_id int PRIMARY KEY, item text, price numeric(12, 4), changed_at timestamptz DEFAULT now(), is_active bool, note text
)
"""
LIVE = "SELECT line_id, item, price, changed_at, is_active, note FROM {} ORDER BY line_id"


def lines(url: str, columns=COLUMNS, write_mode: str = "upsert", **settings: object):
    url = re.sub(r":[0-9a-f]{16}@", ":${env:TEST_PASSWORD}@", url)
    source = CdcSettings.model_validate({"kind": "postgres_cdc", "url": url, "table": "line"} | settings)
    made = contract(
        "line",
        columns,
        source=source,
        write_mode=write_mode,
        location={"path": "", "format": "parquet"},
        known_at=KnownAt("committed_at"),
        deletion_column="is_deleted",
    )
    assert not list(source.problems(made))
    return made


@pytest.fixture
def line_url(postgres, postgres_url, monkeypatch):
    monkeypatch.setenv("TEST_PASSWORD", postgres.password)
    run(postgres_url, TABLE)
    return postgres_url


def run(url: str, *statements: str) -> None:
    """Run statements in one transaction."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'")
        for statement in statements:
            cursor.execute(statement)


def problem(tmp_path, made, place=None) -> str:
    """Fetch from a position without a lake, and return why that fails."""
    with (
        closing(ChangeSource(company(tmp_path / "none"), made)) as source,
        pytest.raises(SourceFailed) as failure,
    ):
        list(source.deliveries(place))
    return str(failure.value)


def standing(home):
    return rows(home, LIVE.format("lake.raw.line WHERE is_deleted IS NOT true"))


def there(url):
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(LIVE.replace("changed_at,", "changed_at AT TIME ZONE 'UTC',").format("line"))
        return cursor.fetchall()


def confirmed(postgres) -> str:
    return str(
        postgres.execute(f"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{SLOT}'")[
            0
        ][0]
    )


def test_snapshot_and_any_changes_end_in_the_same_rows(tmp_path, postgres, line_url):
    home, chance = company(tmp_path), random.Random(3)
    run(
        line_url,
        "INSERT INTO line SELECT n, 'start', n, now(), n % 2 = 0, 'é' FROM generate_series(1, 100) n",
    )
    made = lines(line_url, rows_per_file=150)
    for _ in range(2):
        report = load(home, made)
        assert report.is_clean, report.problems
        assert standing(home) == there(line_url)
        for _ in range(20):
            statements = []
            for _ in range(chance.randrange(1, 6)):
                key, other = chance.randrange(120), chance.randrange(200, 240)
                statements.append(
                    chance.choice(
                        [
                            f"DELETE FROM line WHERE line_id = {key}",
                            f"UPDATE line SET price = price + 1, is_active = NOT is_active WHERE line_id = {key}",
                            f"UPDATE line SET line_id = {other} WHERE line_id = {key} AND NOT EXISTS (SELECT 1 FROM line WHERE line_id = {other})",
                            f"INSERT INTO line VALUES ({key}, 'new', NULL) ON CONFLICT DO NOTHING",
                        ]
                    )
                )
            run(line_url, *statements)
    load(home, made)
    assert standing(home) == there(line_url)
    assert position(Lake.of(home), "line")["lsn"] == confirmed(postgres)
    assert {row[0] for row in rows(home, "SELECT DISTINCT operation FROM lake.raw.line")} >= {
        "snapshot",
        "update",
        "delete",
    }


def test_large_values_that_the_log_does_not_repeat(tmp_path, line_url):
    home, made = company(tmp_path), lines(line_url)
    big = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300))"
    run(line_url, "ALTER TABLE line ALTER note SET STORAGE EXTERNAL")
    run(line_url, f"INSERT INTO line SELECT n, 'a', n, now(), true, {big} FROM generate_series(1, 4) n")
    load(home, made)
    run(line_url, "UPDATE line SET price = 7 WHERE line_id = 1")  # from the lake
    run(
        line_url,
        f"UPDATE line SET note = {big} WHERE line_id = 2",
        "UPDATE line SET item = 'b' WHERE line_id = 2",
    )
    run(
        line_url,
        "UPDATE line SET line_id = 30 WHERE line_id = 3",
        "UPDATE line SET price = 8 WHERE line_id = 30",
    )
    run(
        line_url,
        "DELETE FROM line WHERE line_id = 4",
        f"INSERT INTO line VALUES (4, 'x', 1, now(), true, {big})",
    )
    run(line_url, "UPDATE line SET item = 'y' WHERE line_id = 4")
    report = load(home, made)
    assert report.is_clean, report.problems
    assert standing(home) == there(line_url)
    run(
        line_url,
        "ALTER TABLE line REPLICA IDENTITY FULL",
        "UPDATE line SET item = 'full' WHERE line_id = 2",
        "DELETE FROM line WHERE line_id = 1",
    )
    load(home, made)
    assert standing(home) == there(line_url)


def test_truncate_and_new_columns_and_what_follows_in_one_transaction(tmp_path, line_url):
    home, made = company(tmp_path), lines(line_url)
    run(line_url, "INSERT INTO line SELECT n, 'a' FROM generate_series(1, 50) n")
    load(home, made)
    run(line_url, "INSERT INTO line VALUES (60, 'gone soon')", "TRUNCATE line", "INSERT INTO line VALUES (5, 'again')",
        "ALTER TABLE line DROP is_active", "INSERT INTO line VALUES (6, 'narrow')", "ALTER TABLE line ADD is_active bool",
        "INSERT INTO line (line_id, item, is_active) VALUES (7, 'wide', true)")  # fmt: skip
    report = load(home, made)
    assert report.is_clean, report.problems
    assert standing(home) == there(line_url)
    assert rows(home, "SELECT count(*) FROM lake.raw.line WHERE is_deleted AND operation = 'truncate'") == [
        (48,)
    ]


def test_a_history_has_every_version_and_ends_with_the_deletion(tmp_path, line_url):
    home, made = company(tmp_path), lines(line_url, write_mode="history")
    run(line_url, "INSERT INTO line VALUES (1, 'a', 0), (2, 'b', 0)")
    load(home, made)
    for price in (1, 2):
        run(line_url, f"UPDATE line SET price = {price} WHERE line_id = 1")
    run(line_url, "DELETE FROM line WHERE line_id = 2")
    report = load(home, made)
    assert report.is_clean, report.problems
    found = "SELECT line_id, price, _valid_to IS NULL FROM lake.raw.line WHERE is_deleted IS NOT true ORDER BY line_id, _valid_from"
    assert rows(home, found) == [(1, 0, False), (1, 1, False), (1, 2, True), (2, 0, False)]


def test_a_snapshot_and_writers_at_the_same_time_lose_nothing(tmp_path, line_url):
    home, stop = company(tmp_path), threading.Event()
    run(line_url, "INSERT INTO line SELECT n, 'a', 0 FROM generate_series(1, 3000) n")

    def write() -> None:
        while not stop.wait(0.05):
            run(
                line_url,
                "UPDATE line SET price = price + 1 WHERE line_id % 97 = 0",
                "DELETE FROM line WHERE line_id = (SELECT min(line_id) FROM line)",
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        load(home, lines(line_url, rows_per_file=1000))
    finally:
        stop.set()
        writer.join()
    load(home, lines(line_url))
    assert standing(home) == there(line_url)


def test_gaps_are_named_and_closed_by_a_snapshot_where_the_contract_says_so(tmp_path, postgres, line_url):
    home, made = company(tmp_path), lines(line_url)
    run(line_url, "INSERT INTO line VALUES (1, 'a'), (2, 'b')")
    load(home, made)
    lake = Lake.of(home)
    before = position(lake, "line")
    run(line_url, "DELETE FROM line WHERE line_id = 1")
    load(home, made)
    after = position(lake, "line")

    behind = problem(tmp_path, made, before)
    assert (
        f"the lake stands at {before['lsn']}" in behind
        and after["lsn"] in behind
        and "on_gap: snapshot" in behind
    )
    assert "another one, or was restored" in problem(tmp_path, made, after | {"timeline": 9})
    assert "log ends at" in problem(tmp_path, made, after | {"lsn": "FFFF/0"})
    assert "reads line, and the position is of other" in problem(tmp_path, made, after | {"table": "other"})
    run(line_url, f"ALTER PUBLICATION {SLOT} DROP TABLE line")
    assert "no longer has the table" in problem(tmp_path, made, after)
    postgres.execute(f"SELECT pg_drop_replication_slot('{SLOT}')")
    assert f"the replication slot {SLOT} is gone" in problem(tmp_path, made, after)
    run(line_url, "DELETE FROM line WHERE line_id = 2", "INSERT INTO line VALUES (3, 'c')")
    assert load(home, lines(line_url, on_gap="snapshot")).is_clean
    assert standing(home) == there(line_url)


def test_a_slot_that_holds_too_much_is_reported_after_it_is_read(tmp_path, line_url):
    home = company(tmp_path)
    list(ChangeSource(home, lines(line_url)).deliveries(None))
    run(line_url, "CREATE TABLE noise AS SELECT n, repeat('x', 400) AS t FROM generate_series(1, 60000) n")
    run(line_url, "INSERT INTO line VALUES (1, 'a')")
    report = load(home, lines(line_url, maximum_lag_mb=5))
    assert "MB of log, more than 5 MB" in report.problems[0] and report.totals["loaded"] == 1


def test_log_that_changes_nothing_here_is_let_go(tmp_path, postgres, line_url):
    home = company(tmp_path)
    load(home, lines(line_url))
    first = confirmed(postgres)
    run(line_url, "CREATE TABLE noise AS SELECT n, repeat('x', 400) AS t FROM generate_series(1, 60000) n")
    assert not load(home, lines(line_url)).files
    assert confirmed(postgres) != first
    run(line_url, "INSERT INTO line VALUES (1, 'a')")
    assert load(home, lines(line_url)).totals["loaded"] == 1


def test_what_is_not_set_up_says_what_a_dba_runs(tmp_path, line_url):
    home = company(tmp_path)
    asked = lines(line_url, create=False)
    assert "CREATE PUBLICATION stocklake_test_line FOR TABLE public.line" in problem(tmp_path, asked)
    run(line_url, "CREATE PUBLICATION stocklake_test_line FOR TABLE line", "INSERT INTO line VALUES (1, 'a')")
    assert "pg_create_logical_replication_slot" in problem(tmp_path, asked)
    run(line_url, f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    run(line_url, "INSERT INTO line VALUES (2, 'b')", "DELETE FROM line WHERE line_id = 1")
    assert load(home, asked).is_clean
    assert standing(home) == there(line_url)
    assert "no table gone" in problem(tmp_path, lines(line_url, table="gone"))
    run(line_url, "ALTER TABLE line DROP CONSTRAINT line_pkey")
    assert "REPLICA IDENTITY FULL" in problem(tmp_path, asked)


def test_a_renamed_key_and_a_dropped_table_are_named(tmp_path, line_url):
    home, made = company(tmp_path), lines(line_url)
    run(line_url, "INSERT INTO line VALUES (1, 'a')")
    place = [one.position for one in ChangeSource(home, made).deliveries(None)][-1]
    run(line_url, "ALTER TABLE line RENAME line_id TO number", "UPDATE line SET item = 'b'")
    assert "line_id" in problem(tmp_path, made, place)
    run(line_url, "DROP TABLE line")
    assert "There is no table line" in problem(tmp_path, made, place)


_CHILD = """
import os, signal, sys
from pathlib import Path
from lake import loading, ledger
from lake.sources.databases import cdc
from tests.lake.loading_kit import company, load
from tests.lake.sources.test_cdc import lines
home, url, point = company(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
def killing(owner, name, after=False):
    whole = getattr(owner, name)
    def killed(*arguments, **named):
        if after:
            whole(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, killed)
if point == "landed":
    from lake import landing
    for module in [m for m in list(sys.modules.values()) if getattr(m, "land_file", None) is landing.land_file]:
        killing(module, "land_file", after=True)
elif point == "committing":
    killing(ledger, "write_positions", after=True)
elif point == "acknowledging":
    killing(cdc.ChangeSource, "_confirm")
print(load(home, lines(url)))
"""


@pytest.mark.parametrize("point", ["landed", "committing", "acknowledging"])
def test_killed_anywhere_the_next_fetch_goes_on(tmp_path, postgres, line_url, point):
    home, made = company(tmp_path), lines(line_url)
    run(line_url, "INSERT INTO line SELECT n, 'a', n FROM generate_series(1, 20) n")
    load(home, made)
    run(line_url, "UPDATE line SET price = price * 2", "DELETE FROM line WHERE line_id < 5")
    arguments = [sys.executable, "-c", _CHILD, str(tmp_path), line_url, point]
    done = subprocess.run(arguments, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    run(line_url, "UPDATE line SET price = price + 1", "INSERT INTO line VALUES (1, 'back')")
    report = load(home, made)
    assert report.is_clean, report.problems
    assert standing(home) == there(line_url)
    assert position(Lake.of(home), "line")["lsn"] == confirmed(postgres)


def test_the_server_goes_away_and_comes_back(tmp_path, postgres, line_url):
    home, made = company(tmp_path), lines(line_url)
    run(line_url, "INSERT INTO line VALUES (1, 'a')")
    load(home, made)
    run(line_url, "INSERT INTO line VALUES (2, 'b')")
    postgres.stop(at_once=True)
    try:
        away = problem(tmp_path, made)
        assert "Connection refused" in away and postgres.password not in away
    finally:
        postgres.start()
    assert load(home, made).totals["loaded"] == 1
    assert standing(home) == there(line_url)


def test_two_fetches_at_once_and_a_hundred_thousand_changes(tmp_path, line_url):
    home, made = company(tmp_path), lines(line_url, rows_per_file=70_000)
    load(home, made)
    run(
        line_url,
        "INSERT INTO line SELECT n, 'a', n FROM generate_series(1, 70000) n",
        "DELETE FROM line WHERE line_id > 50000",
    )
    run(line_url, "UPDATE line SET price = 1 WHERE line_id <= 20000")
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(load(home, made))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.problems for report in reports] == [[], []]
    assert sum(report.totals["rows_read"] for report in reports) == 110_000
    assert rows(home, "SELECT count(*), sum(price) FROM lake.raw.line WHERE NOT is_deleted") == [
        (50_000, 20_000 + sum(range(20_001, 50_001)))
    ]


@pytest.mark.parametrize(
    "data", [b"", b"Z", b"I\0\0", b"B\0", b"I\0\0\0\1N\0\1t\0\0\0\xff", b"R\0\0\0\1abc", b"U\0\0\0\1N\0\1x"]
)
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(MalformedMessage):
        decode(data)


def test_settings_object_to_what_changes_cannot_do():
    settings = CdcSettings(kind="postgres_cdc", url="postgresql://me@x/y", table="line")
    made = contract(
        "line",
        COLUMNS,
        source=settings,
        location={"path": "", "format": "parquet"},
        known_at=KnownAt("changed_at"),
    )
    problems = " ".join(settings.problems(made))
    assert "upsert or history" in problems and "_commit_timestamp" in problems
