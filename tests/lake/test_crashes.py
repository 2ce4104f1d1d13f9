"""Loaders that are killed, and loaders that run at once: afterwards every row is there exactly once."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import lake.ingest
from lake.connection import Lake
from lake.ledger import totals
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

FILES, ROWS = 4, 20_000
LOADER = """
import sys
from pathlib import Path
import lake.loading
lake.loading.HELD_ROWS, lake.loading.TRANSACTION_ROWS = 30_000, 1
import lake.sources.files
lake.sources.files.BLOCK_BYTES = 1 << 16
from tests.lake.loading_kit import company, contract, load
print("ready", flush=True)
load(company(Path(sys.argv[1])), contract(), run_id=sys.argv[2])
"""


def start(tmp_path, run_id):
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, str(tmp_path), run_id], stdout=subprocess.PIPE, text=True
    )


def deliver_files(home):
    for number in range(FILES):
        body = "".join(f"A{number}-{i},1,2.50,2024-01-05\n" for i in range(ROWS - 1)) + "bad,x,,\n"
        deliver(home, f"sales_{number}.csv", HEADER + body)


def assert_each_row_once(home):
    good = FILES * (ROWS - 1)
    assert rows(home, "SELECT count(*), count(DISTINCT item_id) FROM lake.raw.sales") == [(good, good)]
    assert rows(home, "SELECT count(*) FROM lake.meta.quarantine") == [(FILES,)]
    counts = totals(Lake.of(home))
    assert (counts["rows_read"], counts["loaded"], counts["quarantined"]) == (FILES * ROWS, good, FILES)


@pytest.mark.parametrize("delay_s", [0.05, 0.3, 0.8])
def test_a_killed_loader_leaves_nothing_torn_and_the_next_one_completes(tmp_path, delay_s):
    home = company(tmp_path)
    deliver_files(home)
    process = start(tmp_path, "killed")
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if rows(home, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'sales'") != [(0,)]:
        # Whole files or nothing, and the ledger says the same as the rows.
        found = rows(home, "SELECT _delivery_id, count(*) FROM lake.raw.sales GROUP BY ALL ORDER BY 1")
        assert found == rows(home, "SELECT delivery_id, loaded FROM lake.meta.delivery ORDER BY 1")
        assert all(count == ROWS - 1 for _, count in found)
    assert load(home, contract(), run_id="after").is_clean
    assert_each_row_once(home)


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
