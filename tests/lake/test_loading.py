"""Write modes, duplicates, references, times, the ledger: what a delivery does to raw."""

from dataclasses import replace
from datetime import datetime

import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column, KnownAt
from lake.landing import land
from lake.ledger import totals
from lake.progress import listening
from tests.lake.loading_kit import HEADER, ITEM_COLUMNS, company, contract, deliver, load, rows

A = HEADER + "A,1,1.00,2024-01-01\nB,2,2.00,2024-01-01\n"
B = HEADER + "A,5,1.00,2024-01-01\nC,3,3.00,2024-01-01\n"


def content(home, dataset="sales"):
    return rows(home, f"SELECT item_id, quantity FROM lake.raw.{dataset} ORDER BY ALL")


def test_the_raw_table_is_as_the_architecture_says(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", "Day, Qty ,Item\n2024-01-01,3,007\n,1.7,A\n")
    report = load(home, contract(business_date="sold_on"))
    assert rows(home, "SELECT column_name, column_type FROM (DESCRIBE lake.raw.sales)") == [
        ("item_id", "VARCHAR"), ("quantity", "BIGINT"), ("price", "DECIMAL(9,2)"), ("sold_on", "DATE"),
        ("_delivery_id", "VARCHAR"), ("_file", "VARCHAR"), ("_sheet", "VARCHAR"), ("_line", "BIGINT"),
        ("_known_at", "TIMESTAMP"),
    ]  # fmt: skip
    [row] = rows(home, "SELECT * EXCLUDE sold_on FROM lake.raw.sales")
    assert row == ("007", 3, None, report.files[0].delivery_id, "sales_1.csv", None, 2, datetime(2024, 1, 1))
    [refused] = quarantine.show(Lake.of(home), dataset="sales")
    assert (refused.file_name, refused.line, refused.raw_text) == ("sales_1.csv", 3, ",1.7,A")
    assert refused.reasons == "quantity: '1.7' is not an integer"
    assert [(one.rule, one.rows, one.newest_file) for one in quarantine.list_quarantine(Lake.of(home))] == [
        ("type", 1, "sales_1.csv")
    ]
    assert report.rules == {"type": 1}


def test_every_reason_of_a_row_is_kept(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", HEADER + ",900,1.234567,2024-02-30")
    load(home, contract(location={"final_newline": "required"}))
    [refused] = quarantine.show(Lake.of(home), rule="scale")
    assert dict(zip(refused.columns, refused.messages, strict=True)) == {
        None: "the last line has no line end, so the file was cut off here",
        "item_id": "is empty",
        "quantity": "'900' is above 500",
        "price": "'1.234567' has more than 2 decimals",
        "sold_on": "'2024-02-30' is not a date written as ISO 8601 (YYYY-MM-DD)",
    }
    assert set(refused.rules) == {"final_newline", "required", "range", "scale", "type"}


def test_append_keeps_versions_and_knows_a_delivery_again(tmp_path):
    home, sales = company(tmp_path), contract()
    deliver(home, "sales_1.csv", A)
    load(home, sales)
    deliver(home, "sales_2.csv", B)
    load(home, sales)
    assert content(home) == [("A", 1), ("A", 5), ("B", 2), ("C", 3)]
    deliver(home, "sales_copy.csv", A)
    report = load(home, sales, run_id="copy")
    assert report.totals["files_skipped"] == 3
    assert report.totals["rows_read"] == 0
    assert load(home, sales).totals["files_skipped"] == 3
    assert rows(home, "SELECT status, count(*) FROM lake.meta.delivery GROUP BY ALL ORDER BY 1") == [
        ("duplicate_delivery", 1),
        ("loaded", 2),
    ]
    assert content(home) == [("A", 1), ("A", 5), ("B", 2), ("C", 3)]


def test_whole_row_repeats_are_dropped_within_and_across_files(tmp_path):
    home, sales = company(tmp_path), contract(duplicates="drop", business_date="sold_on")
    deliver(home, "sales_1.csv", A + "A,1,1.00,2024-01-01\nD,1,,\nD,1,,\nD,1,0,\n")
    report = load(home, sales)
    assert (report.totals["loaded"], report.totals["duplicate"]) == (4, 2)
    deliver(home, "sales_2.csv", B + "B,2,2.0,2024-01-01\nD,1,,\nE,1,,\n")
    deliver(home, "sales_3.csv", HEADER + "E,1,,\nC,3,3,2024-01-01\nF,1,,\n")
    report = load(home, sales)
    assert [(one.loaded, one.duplicate) for one in report.files if one.rows_read] == [(3, 2), (1, 2)]
    assert len(content(home)) == 8
    assert rows(home, "SELECT min(_line) FROM lake.raw.sales WHERE item_id = 'A' AND quantity = 1") == [(2,)]


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_content_that_comes_back_is_news(tmp_path, mode):
    home, item = company(tmp_path), contract("item", write_mode=mode)
    a, b = [("A", 1), ("B", 2)], [("A", 5), ("C", 3)]
    if mode == "upsert":
        b = [("A", 5), ("B", 2), ("C", 3)]
    deliver(home, "item.csv", A)
    load(home, item)
    assert content(home, "item") == a
    assert load(home, item).totals["files_skipped"] == 1
    deliver(home, "item.csv", B)
    load(home, item)
    assert content(home, "item") == b
    deliver(home, "item.csv", A)
    report = load(home, item)
    assert report.totals["files_skipped"] == 0
    assert content(home, "item") == (a if mode == "replace" else [("A", 1), ("B", 2), ("C", 3)])
    deliver(home, "item_copy.csv", A)
    assert load(home, item).totals["files_skipped"] == 2
    ids = rows(home, "SELECT delivery_id FROM lake.meta.delivery")
    assert len(ids) == len(set(ids)) == 4


def test_upsert_newer_wins_older_and_equal_change_nothing(tmp_path):
    home = company(tmp_path)
    columns = (*ITEM_COLUMNS[:2], Column("changed_at", "Changed", "timestamp"))
    item = contract("item", columns, write_mode="upsert", known_at=KnownAt("changed_at", delay_days=1))
    head = "Item,Qty,Changed\n"
    deliver(
        home,
        "item_1.csv",
        head + "A,1,2024-01-02T00:00:00\nA,9,2024-01-01T00:00:00\nB,1,2024-01-01T00:00:00\n",
    )
    report = load(home, item)
    assert (report.totals["loaded"], report.totals["unchanged"]) == (2, 1)
    deliver(
        home,
        "item_2.csv",
        head
        + "A,7,2024-01-01T23:59:59\nB,1,2024-01-01T00:00:00\nB,1,2024-01-01T00:00:00\nC,1,2024-01-01T00:00:00\n",
    )
    report = load(home, replace(item, duplicates="drop"))
    assert report.totals | {"loaded": 1, "unchanged": 2, "duplicate": 1, "rows_read": 4} == report.totals
    deliver(home, "item_3.csv", head + "B,2,2024-01-01T00:00:01\n")
    load(home, item)
    assert content(home, "item") == [("A", 1), ("B", 2), ("C", 1)]
    assert rows(home, "SELECT _known_at FROM lake.raw.item WHERE item_id = 'A'") == [(datetime(2024, 1, 3),)]


def test_known_at_from_the_file_name(tmp_path):
    home = company(tmp_path)
    sales = contract(known_at=KnownAt(filename_pattern=r"_(\d{8})", delay_days=2))
    deliver(home, "sales_20240131.csv", A)
    deliver(home, "sales_20240231.csv", B)
    report = load(home, sales)
    assert rows(home, "SELECT DISTINCT _known_at FROM lake.raw.sales") == [(datetime(2024, 2, 2),)]
    assert "sales_20240231.csv has no date in its name" in report.refused[0].reason


def test_references_within_and_across_datasets(tmp_path):
    home = company(tmp_path)
    place = contract(
        "place",
        (
            Column("place_id", "Place", "string", key=True),
            Column("parent", "Parent", "string", references="place.place_id"),
        ),
        write_mode="upsert",
    )
    sales = contract(
        columns=(*ITEM_COLUMNS, Column("place_id", "Place", "string", references="place.place_id"))
    )
    head = HEADER.strip() + ",Place\n"
    deliver(home, "sales_1.csv", head + "A,1,,,S1\nA,1,,,S9\nA,1,,,\n")
    waits = load(home, sales, place)
    assert any("1 file(s) of sales wait, because place" in problem for problem in waits.problems)
    assert waits.totals["rows_read"] == 0
    deliver(home, "place.csv", "Place,Parent\nS1,D1\nD1,\nS2,D7\n")
    report = load(home, sales, place)
    assert [one.dataset for one in report.files] == ["place", "sales"]
    assert report.totals | {"loaded": 4, "quarantined": 2} == report.totals
    messages = [row.reasons for row in quarantine.show(Lake.of(home), rule="references")]
    assert sorted(messages) == [
        "parent: 'D7' is not among place.place_id",
        "place_id: 'S9' is not among place.place_id",
    ]


def test_encodings_delimiters_and_bare_carriage_returns(tmp_path):
    home = company(tmp_path)
    columns = (Column("name", "Näme", "string", key=True), Column("units", "Units", "integer"))
    text = "Näme;Units\r\n'Ö;l';1\r\nß;2\r\n"
    for dataset, encoding, body in [
        ("latin", "latin-1", text),
        ("wide", "utf-16", text),
        ("bom", "utf-8-sig", text),
        ("mac", "utf-8", text.replace("\r\n", "\r")),
    ]:
        deliver(home, f"{dataset}.csv", body.encode(encoding))
        location = {"delimiter": ";", "quote": "'", "encoding": encoding if dataset != "bom" else "utf-8"}
        assert load(home, contract(dataset, columns, location=location)).is_clean
        assert rows(home, f"SELECT name, units, _line FROM lake.raw.{dataset} ORDER BY units") == [
            ("Ö;l", 1, 2),
            ("ß", 2, 3),
        ]


def test_nothing_new_writes_nothing(tmp_path):
    home, sales = company(tmp_path), contract()
    for number in range(100):
        deliver(home, f"sales_{number:03}.csv", A.replace("A,1", f"A{number},1"))
    assert load(home, sales).totals["loaded"] == 200
    snapshot = Lake.of(home).snapshot()
    report = load(home, sales, run_id="second")
    assert report.totals["files_skipped"] == 100
    assert Lake.of(home).snapshot() == snapshot
    assert totals(Lake.of(home), "second") == dict.fromkeys(totals(Lake.of(home)), 0)
    assert totals(Lake.of(home))["rows_read"] == 200


def test_originals_are_kept_once_unchanged_and_private(tmp_path):
    home, sales = company(tmp_path), contract()
    deliver(home, "sales_1.csv", A)
    deliver(home, "sales_2.csv", A)
    one, two = land(home, sales)
    assert one.path == two.path
    assert one.path.read_text() == A
    assert one.path.stat().st_mode & 0o777 == 0o400
    assert home.landing.stat().st_mode & 0o777 == 0o700
    deliver(home, "sales_1.csv", B)
    assert one.path.read_text() == A
    assert [path.name for path in home.landing.rglob("*") if path.is_file()] == [one.sha256]


def test_progress_tells_files_and_rows(tmp_path):
    home, seen = company(tmp_path), []

    class Listener:
        def started(self, stage):
            pass

        def advanced(self, stage):
            pass

        def ended(self, stage):
            seen.append((stage.name, stage.total, stage.done, stage.rows))

    deliver(home, "sales_1.csv", A)
    deliver(home, "sales_2.csv", B)
    with listening(Listener()):
        load(home, contract())
    assert seen == [("raw", 2, 2, 4)]


@pytest.mark.parametrize("delimiter", ["||", "¦", "\t"])
def test_a_long_delimiter_reaches_the_lake(tmp_path, delimiter):
    home = company(tmp_path)
    deliver(home, "sales_1.csv", (HEADER + "A1,1,2.50,2024-01-05\n").replace(",", delimiter))
    report = load(home, contract(location={"delimiter": delimiter}))
    assert report.problems == []
    assert rows(home, "SELECT item_id, quantity FROM lake.raw.sales") == [("A1", 1)]
