"""Rows that leave quarantine: by a corrected contract, once, or closed by a person. The totals stay true throughout."""

import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import openpyxl
import polars as pl
import pytest

from lake import ledger, quarantine
from lake.connection import Lake
from lake.contracts.model import Companion, ControlTotals, Figure
from lake.errors import InputError
from lake.quality.suites import contract_rules, model_rules
from lake.replay import Choice, accept, replay
from lake.retention import purge
from tests.lake.loading_kit import HEADER, ITEM_COLUMNS, company, contract, deliver, load, rows

STRICT = contract()
LOOSE = contract(columns=(ITEM_COLUMNS[0], replace(ITEM_COLUMNS[1], maximum=5000), *ITEM_COLUMNS[2:]))
BODY = HEADER + "A,1,1.00,2024-01-01\nB,900,2.00,2024-01-01\nC,9000,3.00,2024-01-01\nD,x,,\n"


def ran(home, made=LOOSE, run_id="replay", **choice):
    return replay(home, [made], Choice(made.dataset, **choice), run_id=run_id)


def balanced(home):
    found = ledger.totals(Lake.of(home))
    return found["rows_read"] == sum(
        found[name] for name in ("loaded", "quarantined", "duplicate", "unchanged")
    )


def failing(home, made):
    of_ledger = [rule for rule in model_rules() if rule.table == "meta.delivery" and "%" not in rule.check]
    with Lake.of(home).read() as connection:
        return [
            rule.check
            for rule in (*contract_rules(made), *of_ledger)
            if connection.execute(rule.failing_sql).fetchall()
        ]


def test_exactly_the_rows_that_pass_now_are_loaded_once(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    deliver(home, "sales_2.csv", HEADER + "E,600,1,\n")
    load(home, STRICT)
    assert ran(home, STRICT).replayed == 0
    report = ran(home)
    assert (report.loaded, report.still_open, report.problems) == (2, 2, [])
    assert rows(home, "SELECT item_id, _file, _line FROM lake.raw.sales ORDER BY 1") == [
        ("A", "sales_1.csv", 2), ("B", "sales_1.csv", 3), ("E", "sales_2.csv", 2),
    ]  # fmt: skip
    assert rows(home, "SELECT count(DISTINCT _delivery_id) FROM lake.raw.sales") == [(2,)]
    assert ledger.totals(Lake.of(home)) | {"rows_read": 5, "loaded": 3, "quarantined": 2} == ledger.totals(
        Lake.of(home)
    )
    assert ledger.totals(Lake.of(home), "replay") | {"loaded": 2, "quarantined": -2} == ledger.totals(
        Lake.of(home), "replay"
    )
    assert ran(home).replayed == 0
    assert (balanced(home), failing(home, LOOSE)) == (True, [])
    assert load(home, LOOSE).totals["files_skipped"] == 2
    settled = [row for row in quarantine.show(Lake.of(home), everything=True) if row.status == "replayed"]
    assert sorted(row.raw_text for row in settled) == ["B,900,2.00,2024-01-01", "E,600,1,"]


def test_rows_that_still_fail_stay_open_with_their_reasons_of_today(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    load(home, STRICT)
    ran(home, contract(columns=(ITEM_COLUMNS[0], replace(ITEM_COLUMNS[1], maximum=800), *ITEM_COLUMNS[2:])))
    reasons = {row.line: row.reasons for row in quarantine.show(Lake.of(home))}
    assert reasons == {
        3: "quantity: '900' is above 800",
        4: "quantity: '9000' is above 800",
        5: "quantity: 'x' is not an integer",
    }


def test_a_rule_or_a_file_can_be_chosen(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    deliver(home, "sales_2.csv", BODY.replace("A,", "Z,"))
    load(home, STRICT)
    assert ran(home, rule="type").replayed == 0
    assert ran(home, file_name="sales_2.csv", rule="range").replayed == 1
    assert rows(home, "SELECT DISTINCT _file FROM lake.raw.sales WHERE item_id = 'B'") == [("sales_2.csv",)]


@pytest.mark.parametrize(
    ("changes", "loaded", "others"),
    [
        ({"write_mode": "upsert"}, 1, {"unchanged": 1}),
        ({"write_mode": "insert_only"}, 1, {"unchanged": 1}),
        ({"duplicates": "drop"}, 1, {"duplicate": 1}),
        ({"write_mode": "replace"}, 2, {}),
        ({"write_mode": "replace_partition", "partition_by": ("item_id",)}, 2, {}),
    ],
)
def test_a_replay_follows_the_write_mode(tmp_path, changes, loaded, others):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", HEADER + "A,1,1,\nB,900,2,\nB,900,2,\n")
    load(home, replace(STRICT, **changes))
    made = replace(LOOSE, **changes)
    report = ran(home, made)
    assert report.loaded == loaded
    assert {name: getattr(report, name) for name in others} == others
    assert (report.still_open, balanced(home)) == (0, True)
    assert rows(home, "SELECT count(*) FROM lake.raw.sales") == [(1 + loaded,)]


@pytest.mark.parametrize("mode", ["replace", "replace_partition"])
def test_rows_of_a_delivery_that_was_replaced_have_no_place(tmp_path, mode):
    home, changes = company(tmp_path), {"write_mode": mode, "partition_by": ("item_id",)}
    deliver(home, "sales_1.csv", HEADER + "A,1,1,\nB,900,2,\nC,900,2,\n")
    load(home, replace(STRICT, **changes))
    deliver(home, "sales_2.csv", HEADER + "A,2,1,\nB,3,2,\n")
    load(home, replace(STRICT, **changes))
    report = ran(home, replace(LOOSE, **changes))
    assert report.loaded == (0 if mode == "replace" else 1)
    assert "a newer delivery has replaced" in report.problems[0]
    assert rows(home, "SELECT quantity FROM lake.raw.sales WHERE item_id = 'B'") == [(3,)]
    assert balanced(home)


def test_workbooks_and_typed_files_replay_too(tmp_path):
    home = company(tmp_path)
    book = openpyxl.Workbook()
    for row in (["Item", "Qty", "Price", "Day"], ["A", 1, 1.5, None], ["B", 900, 2.5, None]):
        book.active.append(row)
    book.save(home.inbox / "book_1.xlsx")
    pl.DataFrame(
        {"Item": ["A", "B"], "Qty": [1, 900], "Price": [1.5, 2.5], "Day": [None, None]}
    ).write_parquet(home.inbox / "typed_1.parquet")
    for dataset, suffix in (("book", "xlsx"), ("typed", "parquet")):
        location = {"path": "${INBOX}/" + f"{dataset}*.{suffix}", "format": suffix}
        load(home, contract(dataset, location=location))
        loose = contract(dataset, LOOSE.columns, location=location)
        assert ran(home, loose).loaded == 1
        assert rows(home, f"SELECT item_id, quantity, price::DOUBLE FROM lake.raw.{dataset} ORDER BY 1") == [
            ("A", 1, 1.5),
            ("B", 900, 2.5),
        ]


def test_a_companion_is_not_asked_again_and_a_gone_original_is_told(tmp_path):
    home = company(tmp_path)
    totals = ControlTotals(companion=Companion("{stem}.ctl", (("n", Figure("rows")),)))
    deliver(home, "sales_1.csv", BODY)
    deliver(home, "sales_1.ctl", "n\n4\n")
    load(home, replace(STRICT, control_totals=totals))
    made = replace(LOOSE, control_totals=totals, retention_days=1)
    assert ran(home, made).loaded == 1
    purge(home, [made], now=datetime.now(UTC) + timedelta(days=2))
    report = ran(home, made)
    assert report.still_open == 2
    assert "its original is gone, because its retention has ended" in report.problems[0]
    assert "accept them as refused" in report.problems[0]


def test_a_file_that_can_no_longer_be_read_leaves_its_rows_open(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    load(home, STRICT)
    broken = replace(LOOSE, location=replace(LOOSE.location, delimiter=";"))
    report = ran(home, broken)
    assert (report.replayed, report.still_open) == (0, 3)
    assert "the delimiter ';' is not there" in report.problems[0]
    assert ran(home).loaded == 1


def test_to_accept_needs_a_person_and_a_reason_and_is_for_good(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", BODY)
    load(home, STRICT)
    lake = Lake.of(home)
    with pytest.raises(InputError, match="--by NAME"):
        accept(lake, Choice("sales"), by=" ", reason="test rows", run_id="x")
    assert accept(lake, Choice("sales", rule="type"), by="Dana", reason="a test row", run_id="x") == 1
    assert accept(lake, Choice("sales", rule="type"), by="Dana", reason="a test row", run_id="x") == 0
    [row] = [row for row in quarantine.show(lake, everything=True) if row.status == "accepted"]
    assert (row.line, row.settled_by, row.settled_reason) == (5, "Dana", "a test row")
    assert (
        ran(
            home,
            contract(
                columns=tuple(replace(c, type="string", maximum=None, minimum=None) for c in ITEM_COLUMNS),
                dataset="other",
            ),
        ).replayed
        == 0
    )
    assert {one.status: one.rows for one in quarantine.list_quarantine(lake, everything=True)} == {
        "open": 2,
        "accepted": 1,
    }
    assert ran(home).loaded == 1
    assert balanced(home)


def test_twice_at_once_is_once(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", HEADER + "".join(f"I{number},900,1,\n" for number in range(500)))
    load(home, STRICT)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda number: ran(home, run_id=f"r{number}"), range(4)))
    assert sorted(report.loaded for report in reports) == [0, 0, 0, 500]
    assert rows(home, "SELECT count(*), count(DISTINCT item_id) FROM lake.raw.sales") == [(500, 500)]
    assert balanced(home)


CHILD = """
import pickle, sys
from lake.replay import Choice, replay
home, made = pickle.loads(sys.stdin.buffer.read())
print("begin", flush=True)
replay(home, [made], Choice("sales"), run_id="killed")
"""


def test_killed_half_way_is_nothing_or_all(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", HEADER + "".join(f"I{number},900,1,\n" for number in range(2000)))
    load(home, STRICT)
    for delay in (0.4, 0.8):
        command = [sys.executable, "-c", CHILD]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(pickle.dumps((home, LOOSE)))
            child.stdin.close()
            child.stdout.readline()
            time.sleep(delay)
            child.kill()
        assert rows(home, "SELECT count(*) FROM lake.raw.sales") in ([(0,)], [(2000,)])
        assert balanced(home)
    ran(home)
    assert rows(home, "SELECT count(*), count(DISTINCT item_id) FROM lake.raw.sales") == [(2000, 2000)]
    assert (balanced(home), failing(home, LOOSE)) == (True, [])
