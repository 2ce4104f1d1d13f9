"""Every row of dirty CSV files, judged twice: by the platform and, row by row, by plain Python that shares no code."""

import re
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import files
from lake.sources.block import Block, merged
from lake.sources.conforming import Conformed, conform
from lake.sources.files import read_csv
from lake.sources.quick import Separator
from tests.lake.loading_kit import contract

COLUMNS = (
    Column("code", "Code", "string", required=True, pattern="[A-Z][^,]*", key=True),
    Column("units", "Units", "integer", minimum=0, maximum=99),
    Column("price", "Price", "number", precision=6, scale=2, default="1.5"),
    Column("cases", "Cases", "number", precision=6, scale=2, is_whole=True),
    Column("day", "Day", "date"),
    Column("sold_at", "At", "timestamp", format="%m/%d/%Y %H:%M"),
    Column("kind", "Kind", "string", allowed=("a", "b")),
)
NOTHING = Conformed(pl.DataFrame(), pl.DataFrame(), 0)
CONTRACT = contract("oracle", COLUMNS, location={"final_newline": "required"})
HEADER = b"Code,Units,Price,Cases,Day,At,Kind\n"


def split_record(text: bytes) -> tuple[list[bytes], int] | None:
    """Return (fields, lines used) of the record at the start of the text, or None if its quotes are wrong."""
    fields, field, used, i = [], b"", 1, 0
    while True:
        if text[i : i + 1] == b'"':
            i += 1
            while True:
                if i >= len(text):
                    return None
                if text[i : i + 2] == b'""':
                    field, i = field + b'"', i + 2
                elif text[i : i + 1] == b'"':
                    i += 1
                    break
                else:
                    used += text[i : i + 1] == b"\n"
                    field, i = field + text[i : i + 1], i + 1
        else:
            while (
                i < len(text)
                and text[i : i + 1] not in b",\n"
                and text[i:] != b"\r"
                and text[i : i + 2] != b"\r\n"
            ):
                if text[i : i + 1] == b'"':
                    return None
                field, i = field + text[i : i + 1], i + 1
        fields, field = [*fields, field], b""
        if text[i : i + 1] == b",":
            i += 1
        elif i >= len(text) or text[i : i + 1] == b"\n" or text[i:] == b"\r" or text[i : i + 2] == b"\r\n":
            return fields, used
        else:
            return None


def judge(column: Column, text: str) -> tuple[object, set[str]]:
    text = text or column.default or ""
    if not text:
        return None, {"required"} if column.required else set()
    rules: set[str] = set()
    value: object = text
    if column.required and not text.strip(" \t\r\n"):
        rules.add("required")
    if column.pattern and not re.fullmatch(column.pattern, text):
        rules.add("pattern")
    if column.allowed and text not in column.allowed:
        rules.add("allowed")
    if column.type == "integer":
        if not re.fullmatch("[+-]?[0-9]+", text):
            return None, rules | {"type"}
        value = int(text)
        if not 0 <= value <= 99:
            rules.add("range")
    elif column.type == "number":
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
            return None, rules | {"type"}
        value = Decimal(text)
        if len(text.partition(".")[2]) > 2 or (
            column.is_whole and value != int(value) and abs(value) < 10**4
        ):
            rules.add("scale")
        elif abs(value) >= 10**4:
            rules.add("range")
    elif column.type in ("date", "timestamp"):
        try:
            if column.type == "date":
                value = date.fromisoformat(text)
                assert re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
            else:
                value = datetime.strptime(text, "%m/%d/%Y %H:%M")
                assert re.fullmatch("[0-9]+/[0-9]+/[0-9]{4} [0-9]+:[0-9]+", text)
        except (ValueError, AssertionError):
            return None, rules | {"type"}
    return value, rules


def oracle(data: bytes) -> tuple[dict[int, tuple[object, ...]], dict[int, set[str]]]:
    good: dict[int, tuple[object, ...]] = {}
    bad: dict[int, set[str]] = {}
    lines = data.split(b"\n")
    i = 1
    while i < len(lines):
        is_cut_off = i == len(lines) - 1 and lines[i] != b""
        if lines[i] in (b"", b"\r"):
            # A lone carriage return at the very end is an empty line that lacks its line end.
            i += 1
            continue
        number, found = i + 1, split_record(b"\n".join(lines[i:]))
        if found and found[1] > 1 and len(found[0]) != len(COLUMNS):
            found = None
        if found is None:
            bad[number] = {"quote"} | ({"final_newline"} if is_cut_off else set())
            i += 1
            continue
        fields, used = found
        rules: set[str] = set()
        record = b"\n".join(lines[i : i + used]).removesuffix(b"\r")
        is_cut_off = i + used == len(lines)
        if len(fields) != len(COLUMNS):
            rules.add("field_count")
        if b"\0" in record:
            rules.add("nul_byte")
        if b"\r" in re.sub(rb'"[^"]*"', b"", record):
            rules.add("line_end")
        try:
            record.decode()
        except UnicodeDecodeError:
            rules.add("encoding")
        values: list[object] = []
        if not rules:
            judged = [judge(column, text.decode()) for column, text in zip(COLUMNS, fields, strict=True)]
            values = [value for value, _ in judged]
            rules = set().union(*(reasons for _, reasons in judged))
        if is_cut_off:
            rules.add("final_newline")
        if rules:
            bad[number] = rules
        else:
            good[number] = tuple(values)
        i += used
    return good, bad


def platform(path) -> tuple[dict[int, tuple[object, ...]], dict[int, set[str]], int]:
    good: dict[int, tuple[object, ...]] = {}
    bad: dict[int, set[str]] = {}
    read = 0
    separator = Separator(CONTRACT, {})
    for block in read_csv(path, path.name, CONTRACT):
        certain, others = separator.separate(block)
        result = conform(merged([others]), CONTRACT, {}) if others is not None else NOTHING
        read += certain.height + result.rows
        for *values, line in [*certain.iter_rows(), *result.good.iter_rows()]:
            assert line not in good
            good[line] = tuple(values)
        for row in result.refused.iter_rows(named=True):
            assert row["line"] not in bad
            assert len(row["rules"]) == len(row["columns"]) == len(row["messages"])
            bad[row["line"]] = set(row["rules"])
    return good, bad, read


def mostly(good: st.SearchStrategy[bytes], *dirt: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(good, good, good, st.sampled_from(dirt))


quoted = st.sampled_from([b'"A,1"', b'"A""q"""', b'"A\nB"', b'"A\r\nB"', b'""', b'"A"', b'"A\n\n,,,\nB"'])
code = mostly(st.one_of(st.sampled_from([b"A1", b"B \xc3\xa9", b"C'"]), quoted), b"", b"  ", b"a", b'5" pipe', b'A"', b'"A', b"A\0", b"\xff", b"A\rB", b'"A"x', b'"A\rB"', b'"')  # fmt: skip
units = mostly(st.integers(0, 99).map(lambda n: str(n).encode()), b"", b"1.7", b"-1", b"100", b"1e2", b" 5", b"+7", b"007", b"9" * 30, b"x", "٣".encode())  # fmt: skip
price = mostly(st.sampled_from([b"1.25", b"0", b".5", b"3.", b"-2.5"]), b"", b"1.234567", b"1.230", b"99999", b"1e3", b"NaN", b"1,5", b"12345678901234567890123456789012345678901234567890")  # fmt: skip
cases = mostly(
    st.sampled_from([b"1", b"2.00", b"0.", b"-3.0"]), b"", b"1.50", b".5", b"7.01", b"7.001", b"99999.00"
)
day = mostly(st.dates(date(1990, 1, 1)).map(lambda d: d.isoformat().encode()), b"", b"2024-02-30", b"2024-1-5", b"20240105", b"05.01.2024", b"0024-01-01x", b"2024-01-05 ")  # fmt: skip
sold_at = mostly(st.sampled_from([b"12/1/2009 7:45", b"01/31/2010 23:59"]), b"", b"12/1/09 7:45", b"13/1/2009 7:45", b"12/1/2009  7:45", b"12/1/2009 24:00", b"2/29/2011 1:1", b"12/1/20090 7:45")  # fmt: skip
kind = mostly(st.sampled_from([b"a", b"b", b'"b"', b""]), b"c", b"A")
row = st.tuples(code, units, price, cases, day, sold_at, kind).map(b",".join)
dirty_row = st.sampled_from(
    [b"", b",,,,,,", b"A,1", b"A,1,2,3,4,5,6,7,8", b'"', b'""', b'","', b'A,"', b"\r", b'"A\n']
)
line_end = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])
line = st.tuples(st.one_of(row, row, row, row, dirty_row), line_end).map(b"".join)
file = st.tuples(
    st.lists(line, max_size=12).map(b"".join), st.one_of(st.just(b""), row, st.just(b"A,1"))
).map(b"".join)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=file, block_bytes=st.sampled_from([40, 64, 97, 1 << 20]))
def test_every_row_is_judged_as_plain_python_judges_it(tmp_path, monkeypatch, body, block_bytes):
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "file.csv"
    path.write_bytes(HEADER + body)
    good, bad = oracle(HEADER + body)
    if not good and not bad:
        with pytest.raises(FileRefused, match="has a header but no rows"):
            platform(path)
        return
    found_good, found_bad, read = platform(path)
    assert found_good == good
    assert read == len(good) + len(bad)
    assert found_bad.keys() == bad.keys()
    for number, rules in bad.items():
        if "quote" in rules:
            assert rules <= found_bad[number]  # what else is said of a row that cannot be cut is free
        else:
            assert rules == found_bad[number]


MOST = (
    Column("whole", "A", "integer", minimum=-100, maximum=10**15),
    Column("needed", "B", "integer", required=True),
    Column("money", "C", "number", precision=18, scale=4, minimum=0),
    Column("units", "D", "number", precision=5, scale=0),
    Column("cases", "M", "number", precision=9, scale=3, is_whole=True),
    Column("day", "E", "date"),
    Column("local", "F", "date", format="%d.%m.%Y"),
    Column("at", "G", "timestamp", required=True),
    Column("flag", "H", "boolean"),
    Column("said", "I", "boolean", format="Y/N"),
    Column("code", "J", "string", required=True, pattern="[A-Z][0-9]*"),
    Column("kind", "K", "string", allowed=("a", "b"), default="a"),
    Column("place", "L", "integer", references="place.number"),
)
REFERENCES = {"place.number": pl.Series([1, 2, 7])}
near_number = (
    st.text("0123456789+-.eE_ ,x٣", max_size=8)
    | st.integers().map(str)
    | st.decimals(allow_nan=False, places=5).map(str)
)
near_date = st.text("0123456789-./: T+Z", max_size=12) | st.dates().map(str) | st.datetimes().map(str) | st.datetimes().map(lambda at: at.isoformat()) | st.dates(date(1000, 1, 1)).map(lambda day: day.strftime("%d.%m.%Y"))  # fmt: skip
near_word = st.sampled_from(["true", "FALSE", "1", "0", "Y", "N", "y", "a", "b", "A1", "B", " ", "\t", "\u00a0", "A\n1", ""]) | st.text(max_size=3)  # fmt: skip
near = {"integer": near_number, "number": near_number, "date": near_date, "timestamp": near_date}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_certain_at_once_is_what_the_judge_calls_good(data):
    column = data.draw(st.sampled_from(MOST))  # one alone, for a row that is good in twelve columns is rare
    words = st.none() | near.get(column.type, near_word)
    alone = contract("alone", (column,))
    separator = Separator(alone, REFERENCES)
    for _ in range(2):  # the second block meets what the first left
        text = pl.DataFrame(
            {column.name: data.draw(st.lists(words, min_size=1))}, schema={column.name: pl.String}
        )
        lines = pl.Series("_line", range(text.height), dtype=pl.Int64)
        block = Block(text, lines, lambda rows: [""] * len(rows))
        judged = conform(block, alone, REFERENCES).good
        certain, others = separator.separate(block)
        rest = conform(merged([others]), alone, REFERENCES).good if others is not None else certain.clear()
        both = pl.concat([certain, rest]).sort("_line")
        assert certain["_line"].is_in(judged["_line"].implode()).all()
        assert both.rows() == judged.rows()
        assert both.schema == judged.schema
