"""Parquet files: typed columns fit the contract exactly or their rows are refused by the same rules as text."""

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import parquet
from lake.sources.conforming import conform
from lake.sources.parquet import read_parquet
from tests.lake.loading_kit import company, contract, load, rows

ZONE = timezone(timedelta(hours=2))
COLUMNS = (
    Column("item_id", "Item", "string", required=True, key=True),
    Column("units", "Units", "integer", minimum=0, maximum=500),
    Column("price", "Price", "number", precision=9, scale=2),
    Column("sold_on", "Day", "date"),
    Column("posted_at", "meta.posted", "timestamp"),
    Column("is_open", "Open", "boolean"),
)


def table(**changes):
    posted = [{"posted": datetime(2024, 1, 31, 12, 0, 0, 5, ZONE)}, {"posted": None}, None]
    return pa.table(
        {
            "Item": pa.array(["A", "B", "C"]).dictionary_encode(),
            "Units": pa.array([1.0, 2.0, None]),
            "Price": pa.array([Decimal("1.10"), Decimal("-0.05"), None], pa.decimal128(20, 2)),
            "Day": pa.array([date(2024, 1, 31), None, date(1, 1, 1)]),
            "meta": pa.array(posted, pa.struct([("posted", pa.timestamp("us", "Europe/Berlin"))])),
            "Open": pa.array([True, False, None]),
        }
        | changes
    )


def made(columns=COLUMNS):
    return contract("sales", columns, location={"path": "${INBOX}/sales*.parquet", "format": "parquet"})


def read(tmp_path, content, columns=COLUMNS):
    pq.write_table(content, tmp_path / "a.parquet")
    return [
        conform(block, made(columns), {})
        for block in read_parquet(tmp_path / "a.parquet", "a.parquet", made(columns))
    ]


def test_a_typed_file_loads_and_what_does_not_fit_stands_in_quarantine(tmp_path):
    home = company(tmp_path)
    pq.write_table(table(), home.inbox / "sales_1.parquet")
    odd = table(
        Units=pa.array([1.7, 501, 3]),
        Price=pa.array([1.5, 0.30000000000000004, float("nan")]),
        Day=pa.array([datetime(2024, 1, 31), datetime(2024, 1, 31, 10), datetime(2024, 2, 1)]),
    )
    pq.write_table(odd, home.inbox / "sales_2.parquet")
    report = load(home, made())
    assert report.is_clean
    assert report.totals | {"rows_read": 6, "loaded": 3, "quarantined": 3} == report.totals
    assert rows(
        home, "SELECT * EXCLUDE (_delivery_id, _file, _sheet, _known_at) FROM lake.raw.sales ORDER BY _line"
    ) == [
        ("A", 1, Decimal("1.10"), date(2024, 1, 31), datetime(2024, 1, 31, 10, 0, 0, 5), True, 1),
        ("B", 2, Decimal("-0.05"), None, None, False, 2),
        ("C", None, None, date(1, 1, 1), None, None, 3),
    ]
    refused = {row.line: row for row in quarantine.show(Lake.of(home))}
    assert [set(refused[line].rules) for line in (1, 2, 3)] == [
        {"type"},
        {"range", "scale", "type"},
        {"type"},
    ]
    assert json.loads(refused[2].raw_text)["Day"] == "2024-01-31 10:00:00"
    assert "'1.7' is not an integer" in refused[1].messages


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column("x", "x", "integer"), pa.array([2**63 - 1, 2**63], pa.uint64()), [2**63 - 1, {"range"}]),
        (Column("x", "x", "integer"), pa.array([2.0**53 - 1, 2.5]), [2**53 - 1, {"type"}]),
        (Column("x", "x", "integer"), pa.array(["7", "x"]), [7, {"type"}]),
        (Column("x", "x", "integer"), pa.array([True, None]), [{"type"}, None]),
        (Column("x", "x", "integer"), pa.array([Decimal("3.00"), Decimal("3.50")]), [3, {"type"}]),
        (Column("x", "x", "number", precision=4, scale=2), pa.array([99, 100]), [Decimal(99), {"range"}]),
        (Column("x", "x", "number", precision=9, scale=1), pa.array([Decimal("1.50"), Decimal("1.25")]), [Decimal("1.5"), {"scale"}]),
        (Column("x", "x", "number", precision=30, scale=9), pa.array([1e-7, 1e16]), [Decimal("1E-7"), Decimal(10**16)]),
        (Column("x", "x", "number", scale=2), pa.array(np.array([19.99, np.inf], np.float32)), [Decimal("19.99"), {"type"}]),
        (Column("x", "x", "date"), pa.array([date(2024, 2, 29)], pa.date64()), [date(2024, 2, 29)]),
        (Column("x", "x", "date", format="%d.%m.%Y"), pa.array(["31.01.2024", "x"]), [date(2024, 1, 31), {"type"}]),
        (Column("x", "x", "date", format="%d.%m.%Y", default="01.01.2020"), pa.array([date(2024, 1, 31), None]), [date(2024, 1, 31), date(2020, 1, 1)]),
        (Column("x", "x", "timestamp"), pa.array([1000, 1001], pa.timestamp("ns")), [datetime(1970, 1, 1, 0, 0, 0, 1), {"type"}]),
        (Column("x", "x", "timestamp", format="%d.%m.%Y %H:%M"), pa.array([60_000_000_000, 60_000_000_001], pa.timestamp("ns")), [datetime(1970, 1, 1, 0, 1), {"type"}]),
        (Column("x", "x", "timestamp"), pa.array([date(2024, 1, 31)]), [datetime(2024, 1, 31)]),
        (Column("x", "x", "timestamp"), pa.array([time(10)]), [{"type"}]),
        (Column("x", "x", "boolean"), pa.array([1, 0, 2]), [True, False, {"type"}]),
        (Column("x", "x", "string"), pa.array([7, None]), ["7", None]),
        (Column("x", "x", "string"), pa.array([b"a", b""]), ["a", None]),
        (Column("x", "x", "string"), pa.array([datetime(2024, 1, 31, 1, tzinfo=UTC)]), ["2024-01-31 01:00:00"]),
        (Column("x", "x", "string", allowed=("1", "2")), pa.array([1, 3]), ["1", {"allowed"}]),
        (Column("x", "x", "integer", pattern="[0-9]{2}"), pa.array([12, 3]), [12, {"pattern"}]),
        (Column("x", "x", "string"), pa.array(["a\0b", "c"]), [{"nul_byte"}, "c"]),
        (Column("x", "x", "string"), pa.array([None, None], pa.null()), [None, None]),
        (Column("x", "x", "string", required=True), pa.array(["", " ", "a"]), [{"required"}, {"required"}, "a"]),
    ],
)  # fmt: skip
def test_every_type_is_taken_exactly_or_refused(tmp_path, column, values, expected):
    [found] = read(tmp_path, pa.table({"x": values}), (column,))
    got = {line: value for value, line in found.good.rows()}
    got |= {line: set(rules) for line, _, rules, *_ in found.refused.rows()}
    assert [got[line] for line in sorted(got)] == expected


def test_rows_come_batch_by_batch_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 1000)
    content = pl.DataFrame({"x": range(3500)})
    content.write_parquet(tmp_path / "a.parquet", row_group_size=1500)
    plain = made((Column("x", "x", "integer"),))
    blocks = list(read_parquet(tmp_path / "a.parquet", "a.parquet", plain))
    assert max(block.rows for block in blocks) <= 1000
    assert [line for block in blocks for line in block.lines] == list(range(1, 3501))
    assert [value for block in blocks for value in block.text["x"]] == list(range(3500))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pa.table({"y": [1]}), "the column 'y' is not in the contract"),
        (pa.table({"x": [[1]]}), "not single values"),
        (pa.table({"x": [{"a": 1}]}), "not single values"),
        (pa.table({"x": [b"\xff"]}), "not UTF-8 text"),
        (pa.table({"x": pa.array([b"\xff"]).view(pa.string())}), "cannot be read"),
        (pa.table({"x": pa.array([], pa.int64())}), "has columns but no rows"),
        (pa.table([[1], [2]], names=["x", "x"]), "there twice"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(tmp_path, content, sentence):
    with pytest.raises(FileRefused) as refusal:
        read(tmp_path, content, (Column("x", "x", "string", required=False),))
    assert sentence in str(refusal.value)
    assert "a.parquet" in str(refusal.value)


def test_fields_of_a_struct_that_nobody_reads_are_named(tmp_path):
    content = pa.table({"meta": [{"a": {"b": 1, "c": 2}}]})
    with pytest.raises(FileRefused, match=r"the column 'meta\.a\.c' is not in the contract"):
        read(tmp_path, content, (Column("x", "meta.a.b", "integer"),))


@pytest.mark.parametrize("cut", [0, 3, 4, 200, -1])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, cut):
    pq.write_table(table(), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[:cut])
    with pytest.raises(FileRefused, match="is empty" if cut == 0 else "cannot be read as a Parquet file"):
        list(read_parquet(tmp_path / "a.parquet", "a.parquet", made()))
