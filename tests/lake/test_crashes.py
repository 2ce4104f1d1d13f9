"""Loaders that are killed, and loaders that run at once: afterwards every row is there exactly once."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import lake.ingest
import lake.ledger
from lake.connection import Lake
from lake.ledger import totals
from lake.parsing import process as process_of_parsing
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

FILES, ROWS = 3, 12_000
LOADER = """
import os, shutil, signal, sys
from pathlib import Path
import lake.loading, lake.ledger, lake.landing, lake.parsing.process
lake.loading.TRANSACTION_ROWS = 1
from tests.lake.loading_kit import company, contract, load

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def before(module, name, nth=1):
    # The nth call of a function is the last thing that happens.
    function, calls = getattr(module, name), []
    def stop(*arguments, **options):
        calls.append(name)
        return die() if len(calls) == nth else function(*arguments, **options)
    setattr(module, name, stop)

def after(module, name, nth=1):
    function, calls = getattr(module, name), []
    def stop(*arguments, **options):
        answer = function(*arguments, **options)
        calls.append(name)
        return die() if len(calls) == nth else answer
    setattr(module, name, stop)

exec(sys.argv[3])
print("ready", flush=True)
load(company(Path(sys.argv[1])), contract(), run_id=sys.argv[2])
"""
PLACES = {
    "landing": "before(lake.landing.os, 'fsync', 2)",
    "parsing": "before(lake.parsing.process, '_parsed', 2)",
    "parsed": "after(lake.loading.process, 'parse', 2)",
    "rows moved into the lake": "after(lake.loading.shutil, 'move', 2)",
    "rows in the table": "after(lake.loading.writing, 'write', 2)",
    "about to commit": "after(lake.ledger, 'touch_guard', 2)",
    "committed": "before(lake.loading.shutil, 'rmtree', 2)",
}


def start(tmp_path, run_id, crash=""):
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, str(tmp_path), run_id, crash], stdout=subprocess.PIPE, text=True
    )


def deliver_files(home, files=FILES, size=ROWS):
    for number in range(files):
        body = "".join(f"A{number}-{i},1,2.50,2024-01-05\n" for i in range(size - 1)) + "bad,x,,\n"
        deliver(home, f"sales_{number}.csv", HEADER + body)


def assert_each_row_once(home, files=FILES, size=ROWS):
    good = files * (size - 1)
    assert rows(home, "SELECT count(*), count(DISTINCT item_id) FROM lake.raw.sales") == [(good, good)]
    assert rows(home, "SELECT count(*) FROM lake.meta.quarantine") == [(files,)]
    counts = totals(Lake.of(home))
    assert (counts["rows_read"], counts["loaded"], counts["quarantined"]) == (files * size, good, files)


def assert_nothing_is_torn(home):
    """Whole files or nothing, and the ledger says the same as the rows."""
    if rows(home, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'sales'") != [(0,)]:
        found = rows(home, "SELECT _delivery_id, count(*) FROM lake.raw.sales GROUP BY ALL ORDER BY 1")
        assert found == rows(home, "SELECT delivery_id, loaded FROM lake.meta.delivery ORDER BY 1")
        assert all(count == ROWS - 1 for _, count in found)


def data_files(home):
    return {path.name for path in (home.lake_data / "raw" / "sales").glob("*.parquet")}


@pytest.mark.parametrize("place", PLACES)
def test_a_loader_killed_anywhere_leaves_nothing_torn_and_the_next_one_completes(tmp_path, place):
    home = company(tmp_path)
    deliver_files(home)
    with start(tmp_path, "killed", PLACES[place]) as process:
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert_nothing_is_torn(home)
    assert load(home, contract(), run_id="after").is_clean
    assert_each_row_once(home)
    # What the killed one left in the lake's folder belongs to no table, and the lake can tell.
    with Lake.of(home).write() as connection:
        connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)")
        known = connection.execute(
            "SELECT data_file FROM ducklake_list_files('lake', 'sales', schema => 'raw')"
        )
        assert data_files(home) == {Path(path).name for (path,) in known.fetchall()}
    assert_each_row_once(home)


def test_who_parses_goes_with_who_asked_and_leaves_nothing(tmp_path):
    home = company(tmp_path)
    deliver_files(home, files=1, size=400_000)
    kill = (
        "lake.parsing.process._Child._memory_mb = lambda self: print(self.process.pid, flush=True) or die()"
    )
    with start(tmp_path, "killed", kill) as process:
        process.wait()
        said = process.stdout.read().split()
    for _ in range(200):
        if not Path(f"/proc/{said[1]}").exists():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the process that parses outlived the one that asked")
    assert not list((home.lake_data.parent / "parsing").glob("*/*/*"))


def test_a_file_that_kills_who_parses_is_refused_and_its_neighbours_load(tmp_path, monkeypatch):
    home = company(tmp_path)
    deliver_files(home, files=3, size=300)
    answer = process_of_parsing._Child.answer

    def killed(self, job, on_rows):
        if job.name == "sales_1.csv":
            self.process.kill()
        return answer(self, job, on_rows)

    monkeypatch.setattr(process_of_parsing._Child, "answer", killed)
    report = load(home, contract())
    assert [one.file_name for one in report.refused] == ["sales_1.csv"]
    assert "sales_1.csv ended the process that read it (signal 9)" in report.refused[0].reason
    monkeypatch.undo()
    assert load(home, contract(), run_id="again").is_clean
    assert_each_row_once(home, files=3, size=300)


def test_a_transaction_that_fails_takes_back_the_files_it_moved(tmp_path, monkeypatch):
    home = company(tmp_path)
    deliver_files(home)

    def fail(*arguments):
        raise RuntimeError("no")

    monkeypatch.setattr(lake.ledger, "touch_guard", fail)
    with pytest.raises(RuntimeError):
        load(home, contract())
    assert data_files(home) == set()
    assert not list((home.lake_data.parent / "parsing").iterdir())
    monkeypatch.undo()
    assert load(home, contract()).is_clean
    assert_each_row_once(home)


def test_twenty_loaders_at_once_load_each_row_once(tmp_path):
    home = company(tmp_path)
    deliver_files(home, files=10, size=50)
    # Threads: all of them race for the catalogue and the lock as processes do, but import nothing.
    with ThreadPoolExecutor(20) as loaders:
        reports = list(loaders.map(lambda number: load(home, contract(), run_id=f"run {number}"), range(20)))
    assert sum(report.totals["loaded"] for report in reports) == 10 * 49
    assert all(report.is_clean for report in reports)
    assert_each_row_once(home, files=10, size=50)


def test_two_loaders_at_once_load_each_file_once(tmp_path):
    home = company(tmp_path)
    deliver_files(home)
    both = [start(tmp_path, run_id) for run_id in ("one", "two")]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert_each_row_once(home)
    assert len(list(home.landing.rglob("*"))) == 2 * FILES


def test_what_another_loader_brings_meanwhile_is_there_to_refer_to(tmp_path, monkeypatch):
    home = company(tmp_path)
    deliver(home, "item_1.csv", HEADER + "A1,1,2.50,2024-01-05\n")
    deliver(home, "sales_1.csv", HEADER + "A1,2,2.50,2024-01-06\n")
    refers = replace(contract().columns[0], references="item.item_id", key=False)
    both = [contract("item"), contract("sales", (refers, *contract().columns[1:]))]
    look = lake.ingest._held

    def overtaken(*arguments):
        held = look(*arguments)
        monkeypatch.setattr(lake.ingest, "_held", look)
        assert load(home, both[0], run_id="faster").is_clean
        return held

    monkeypatch.setattr(lake.ingest, "_held", overtaken)
    report = load(home, *both, run_id="slower")
    assert report.problems == []
    assert rows(home, "SELECT count(*) FROM lake.raw.sales") == [(1,)]
