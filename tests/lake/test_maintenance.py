"""A lake that is verified and compacted: beside readers and loaders, after kills, and with damaged files."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from lake.connection import Lake, tables_state
from lake.maintenance import compact, named_files, verify
from lake.quality.fingerprint import last_change
from lake.snapshots import diff, list_snapshots
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows
from tests.lake.test_snapshots import change, release

NOW = timedelta(0)
COUNT = "SELECT count(*), sum(quantity)::INTEGER FROM lake.raw.sales"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A company with a release in the middle of its life: (folder, snapshot of the release)."""
    folder = tmp_path_factory.mktemp("original")
    home = company(folder)
    deliver(home, "sales_0.csv", HEADER + "".join(f"A0-{i},1,2.50,2024-01-05\n" for i in range(100)))
    load(home, contract())
    lake = Lake.of(home)
    for number in range(1, 4):
        change(lake, grow(number))
    pinned = change(lake, "DELETE FROM lake.raw.sales WHERE item_id LIKE 'A1-1%'")
    release(lake, "R1", pinned)
    for number in (4, 5):
        change(lake, grow(number))
    return folder, pinned


@pytest.fixture
def loaded(original, tmp_path):
    """A copy of it to spoil: (company, lake, snapshot of the release)."""
    folder, pinned = original
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    home = company(tmp_path)
    with closing(sqlite3.connect(home.catalog)) as catalog, catalog:  # a lake knows where its data lies
        where = "UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'"
        catalog.execute(where, [f"{home.lake_data}/"])
    return home, Lake.of(home), pinned


def grow(number):
    return f"""INSERT INTO lake.raw.sales SELECT one.* REPLACE ('A{number}-' || i AS item_id)
        FROM (FROM lake.raw.sales LIMIT 1) AS one, range(500) AS r(i)"""


def sweep(lake):
    """Compact as in two days: what lost its name just now goes at once."""
    return compact(lake, keep=NOW, now=datetime.now(UTC) + timedelta(days=2))


def at(lake, snapshot, query=COUNT):
    with lake.read(snapshot) as connection:
        return connection.execute(query).fetchall()


def data_files(lake):
    return sorted(lake.data.rglob("*.parquet"))


def test_old_snapshots_go_files_merge_and_what_is_pinned_reads_the_same(loaded):
    _, lake, pinned = loaded
    assert verify(lake, full=True).problems == ()
    before = {one.snapshot_id: at(lake, one.snapshot_id) for one in list_snapshots(lake)[:5]}
    files = len(data_files(lake))
    assert compact(lake, keep=timedelta(days=90), dry_run=True).expired == ()
    would = compact(lake, keep=NOW, dry_run=True).expired
    done = sweep(lake)
    assert done.expired == would and pinned not in done.expired and len(done.expired) >= 3
    assert done.merged > done.merged_into and done.deleted > 0
    assert len(data_files(lake)) < files
    kept = {one.snapshot_id for one in list_snapshots(lake)}
    assert all(at(lake, number) == seen for number, seen in before.items() if number in kept)
    assert verify(lake, full=True, grace=NOW).problems == ()
    again = sweep(lake)
    assert again.merged == 0 and pinned not in again.expired


def test_what_lost_its_name_stays_for_the_grace_time_also_within_a_day(loaded):
    _, lake, _ = loaded
    before = data_files(lake)
    for path in before:
        os.utime(path, (0, 0))
    for hours in (0, 1, 23.9):
        done = compact(lake, keep=NOW, now=datetime.now(UTC) + timedelta(hours=hours))
        assert done.deleted == 0 and all(path.exists() for path in before)
    hour = compact(lake, keep=NOW, grace=timedelta(hours=1))
    assert hour.deleted == 0 and all(path.exists() for path in before)
    assert sweep(lake).deleted > 0


def test_with_snapshots_gone_between_them_two_states_still_differ_by_what_they_differ(loaded):
    _, lake, pinned = loaded
    newest = lake.snapshot()
    (full,) = [one for one in diff(lake, pinned, newest) if one.table == "raw.sales"]
    sweep(lake)
    (after,) = [one for one in diff(lake, pinned, newest) if one.table == "raw.sales"]
    assert (full.inserted, full.how) == (1000, "change feed")
    assert (after.inserted, after.deleted, after.how) == (1000, 0, "contents compared")


def test_a_change_that_no_build_has_seen_is_not_forgotten(loaded):
    """The newest change of a table stays, or builds would take the table for the one that they know."""
    _, lake, _ = loaded
    last = change(lake, "INSERT INTO lake.raw.sales SELECT * FROM lake.raw.sales LIMIT 5")
    change(lake, "CREATE TABLE lake.marts.other AS SELECT 1 AS a")
    sweep(lake)
    assert last in {one.snapshot_id for one in list_snapshots(lake)}


def test_merged_files_are_no_change_to_builds_and_gate(loaded):
    _, lake, _ = loaded

    def known():
        with lake.read() as connection:
            return tables_state(connection, "raw"), last_change(connection, lake.snapshot())

    before = known()
    assert compact(lake, keep=timedelta(days=90)).merged
    assert known() == before
    change(lake, grow(6))
    assert all(new != old for new, old in zip(known(), before, strict=True))


def test_each_kind_of_damage_is_named(loaded):
    home, lake, _ = loaded
    data = [path for path in data_files(lake) if "delete" not in path.name]
    missing, cut, zeroed, spoiled = data[:4]
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    zeroed.write_bytes(bytes(zeroed.stat().st_size))
    content = spoiled.read_bytes()
    spoiled.write_bytes(content[:4] + b"\xff" * (len(content) // 2) + content[4 + len(content) // 2 :])
    stray = data[0].with_name("stray.parquet")
    stray.write_bytes(b"x")
    os.utime(stray, (0, 0))
    data[1].with_name("just_now.parquet").write_bytes(b"x")
    change(
        lake,
        "UPDATE lake.meta.delivery SET loaded = loaded - 1 WHERE file_name = 'sales_0.csv'",
        "UPDATE lake.meta.release SET snapshot_id = 4711",
    )
    said = verify(lake, full=True).problems
    for path, words in ((missing, "missing"), (cut, "the catalogue says"), (zeroed, "unreadable"),
                        (spoiled, "unreadable"), (stray, "does not name")):  # fmt: skip
        assert sum(str(path) in one and words in one for one in said) == 1, (path, words, said)
    assert sum("100 rows read, but 99 loaded" in one for one in said) == 1
    assert sum("release R1: its snapshot 4711 is gone" in one for one in said) == 1
    assert len(said) == 7
    assert not any(str(spoiled) in one for one in verify(lake).problems), "footers alone do not tell"
    home.catalog.write_bytes(b"no catalogue" * 1000)
    assert "cannot be read" in verify(lake).problems[0]


READER = """
import sys
from pathlib import Path
from lake.company import Company, CompanySettings
from lake.connection import Lake
home = Path(sys.argv[1])
lake = Lake.of(Company("test", home, home / "home", CompanySettings(title="Test", currency="EUR")))
print("ready", flush=True)
n = 0
while not Path(sys.argv[2]).exists():
    with lake.read() as connection:
        for _ in range(3):
            found = connection.execute("SELECT count(DISTINCT item_id) FROM lake.raw.sales").fetchone()[0]
            assert found >= 1_900, found
            n += 1
print(n)
"""
COMPACTOR = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import lake.connection
from lake.connection import Lake
from lake.company import Company, CompanySettings
from lake.maintenance import compact
home = Path(sys.argv[1])
home = Company("test", home, home / "home", CompanySettings(title="Test", currency="EUR"))
if len(sys.argv) > 2:
    real = lake.connection.memory_connection
    class Dying:
        # Dies before or after the statement that holds a word; everything else is the connection's own.
        def __init__(self, connection): self.connection = connection
        def __getattr__(self, name): return getattr(self.connection, name)
        def execute(self, query, *rest):
            if sys.argv[2] in query and sys.argv[3] == "before": os.kill(os.getpid(), signal.SIGKILL)
            done = self.connection.execute(query, *rest)
            if sys.argv[2] in query: os.kill(os.getpid(), signal.SIGKILL)
            return done
    lake.connection.memory_connection = lambda spill=None: Dying(real(spill))
compact(Lake.of(home), keep=timedelta(0), now=datetime.now(UTC) + timedelta(days=2 if len(sys.argv) > 2 else 0))
"""


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_readers_loaders_and_two_compactions_do_not_disturb_each_other(loaded, tmp_path):
    home, lake, pinned = loaded
    seen, stop = at(lake, pinned), tmp_path / "stop"
    reader = start(READER, tmp_path, stop)
    assert reader.stdout.readline() == "ready\n"
    compactors = [start(COMPACTOR, tmp_path) for _ in range(2)]
    for number in range(1, 3):
        deliver(home, f"sales_{number}.csv", HEADER + f"B{number},1,2.50,2024-01-06\n" * 1)
        load(home, contract())
    ended = [one.communicate(timeout=60)[1] for one in compactors]
    stop.touch()
    read, problem = reader.communicate(timeout=60)
    assert [one.returncode for one in (*compactors, reader)] == [0, 0, 0], (ended, problem)
    assert int(read) > 3
    assert at(lake, pinned) == seen
    assert rows(home, "SELECT count(*) FROM lake.raw.sales WHERE item_id LIKE 'B%'") == [(2,)]
    assert verify(lake, full=True).problems == ()


@pytest.mark.parametrize(
    ("word", "when"),
    [("merge_adjacent", "before"), ("merge_adjacent", "after"), ("cleanup_old", "after")],
)
def test_a_compaction_that_is_killed_leaves_a_lake_that_verifies(loaded, tmp_path, word, when):
    home, lake, pinned = loaded
    seen = at(lake, pinned), rows(home, COUNT)
    killed = start(COMPACTOR, tmp_path, word, when)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert verify(lake, full=True).problems == ()
    sweep(lake)
    assert verify(lake, full=True, grace=NOW).problems == ()
    assert (at(lake, pinned), rows(home, COUNT)) == seen


def test_files_that_a_killed_deletion_had_taken_already_do_not_stop_the_next(loaded):
    _, lake, _ = loaded
    before = set(data_files(lake))
    compact(lake, keep=NOW, grace=timedelta(days=1))
    with lake.read() as connection:
        named = {one.path for one in named_files(lake, connection)}
    unnamed = [path for path in before if str(path) not in named]
    assert unnamed
    unnamed[0].unlink()
    sweep(lake)
    assert verify(lake, grace=NOW).problems == ()
    assert not any(path.exists() for path in unnamed)
