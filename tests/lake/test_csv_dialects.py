"""Delimited files of any dialect that a contract can name: written by Python's csv or by pandas, read by the platform."""

import csv
import io
import lzma
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import files
from lake.sources.conforming import conform
from lake.sources.files import read_csv
from tests.lake.loading_kit import DATA, contract

NAMES = ("a", "b", "c")
COLUMNS = tuple(Column(name, name.upper(), "string") for name in NAMES)


def read(
    path: Path, columns=COLUMNS, **location: object
) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    """Return (rows, refused as (line, raw text))."""
    rows: list[tuple[object, ...]] = []
    refused: list[tuple[int, str]] = []
    promised = contract("any", columns, location=location)
    for block in read_csv(path, path.name, promised):
        result = conform(block, promised, {})
        rows += result.good.drop("_line").rows()
        refused += result.refused.select("line", "raw_text").rows()
    return rows, refused


def as_read(table: list[tuple[str, ...]]) -> list[tuple[str | None, ...]]:
    return [tuple(value or None for value in row) for row in table if any(row)]


value = st.text(alphabet="ab,;|#\\'\" é", max_size=5)
cell = st.one_of(value, value, st.sampled_from(["two\nlines", 'a"', "||", "\\", "\\n", "#no", ""]))
table = st.lists(
    st.tuples(cell, cell, cell).map(lambda row: ("x" + row[0], *row[1:])), min_size=1, max_size=6
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=table,
    delimiter=st.sampled_from([",", ";", "\t", "|", "\x1f"]),
    quote=st.sampled_from(['"', "'"]),
    escape=st.sampled_from(["", "\\", "^"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-be", "cp1252", "utf-8-sig"]),
    block_bytes=st.sampled_from([16, 50, 1 << 20]),
)
def test_what_python_writes_is_read(
    tmp_path, monkeypatch, table, delimiter, quote, escape, newline, encoding, block_bytes
):
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
    stream = io.StringIO(newline="")
    writer = csv.writer(
        stream,
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape or None,
        doublequote=not escape,
        lineterminator=newline,
    )
    writer.writerows([[name.upper() for name in NAMES], *table])
    path = tmp_path / "file.csv"
    path.write_bytes(stream.getvalue().encode(encoding))
    found, refused = read(
        path, delimiter=delimiter, quote=quote, escape=escape, encoding=encoding.removesuffix("-sig")
    )
    assert refused == []
    assert found == as_read(table)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=table,
    delimiter=st.sampled_from(["||", "|~|", "::", ", ", "¦", "ab"]),
    block_bytes=st.sampled_from([13, 64, 1 << 20]),
)
def test_delimiters_of_several_characters(tmp_path, monkeypatch, table, delimiter, block_bytes):
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)

    def field(text: str) -> str:
        is_plain = not set(text) & {*delimiter, '"', "\n"} and text
        return text if is_plain else '"' + text.replace('"', '""') + '"'

    path = tmp_path / "file.csv"
    lines = [
        delimiter.join(map(field, row)) + "\n" for row in [tuple(name.upper() for name in NAMES), *table]
    ]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    assert read(path, delimiter=delimiter) == (as_read(table), [])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(
        st.tuples(*[st.text(alphabet="ab\"'\\ é", min_size=1, max_size=4)] * 3), min_size=1, max_size=5
    )
)
def test_no_quotes_at_all(tmp_path, table):
    path = tmp_path / "file.csv"
    path.write_text("A|B|C\n" + "".join("|".join(row) + "\n" for row in table), encoding="utf-8")
    python = list(
        csv.reader(io.StringIO(path.read_text(encoding="utf-8")), delimiter="|", quoting=csv.QUOTE_NONE)
    )
    found, refused = read(path, delimiter="|", quote="")
    assert (found, refused) == (as_read([tuple(row) for row in python[1:]]), [])


def test_a_row_is_refused_as_it_was_written(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b'A||B||C\n1||2\n"x||y"||\\"||3\nx||y||z||4\n')
    found, refused = read(path, delimiter="||", escape="\\")
    assert found == [("x||y", '"', "3")]
    assert refused == [(2, "1||2"), (4, "x||y||z||4")]
    path.write_bytes(b"A||B||C\n1||\x1f||3\n")
    with pytest.raises(FileRefused, match="control character 0x1f"):
        read(path, delimiter="||")


def test_without_a_header_columns_stand_in_order(tmp_path):
    path = tmp_path / "file.tsv"
    path.write_text("made by a tool\n1\tx\t2\n\n3\ty\t\n4\tz\n")
    found, refused = read(path, delimiter="\t", header="none", header_row=2)
    frame = pd.read_csv(
        path, sep="\t", header=None, skiprows=1, names=list("abc"), dtype=str, keep_default_na=False
    )
    assert [*found, ("4", "z", None)] == as_read(list(frame.fillna("").itertuples(index=False, name=None)))
    assert refused == [(5, "4\tz")]
    path.write_text("")
    with pytest.raises(FileRefused, match="empty"):
        read(path, header="none")


def test_comments_are_no_rows_except_within_quotes(tmp_path, monkeypatch):
    path = tmp_path / "file.csv"
    path.write_bytes(b'# by hand\nA,B,C\n# "open\n1,"two\n# lines",3\n#,,\r\n4,5,#6\n# \xff last')
    for block_bytes in (20, 33, 1 << 20):
        monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
        assert read(path, comment="#") == ([("1", "two\n# lines", "3"), ("4", "5", "#6")], [])


def test_several_header_rows_are_joined(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text('Stock,,Note\nunits,"value, EUR",\n1,2,3\n')
    columns = (
        Column("units", "Stock / units", "integer"),
        Column("value", "value, EUR", "integer"),
        COLUMNS[2],
    )
    columns = (*columns[:2], Column("note", "Note", "integer"))
    assert read(path, columns, header_rows=2) == ([(1, 2, 3)], [])


def test_a_footer_is_no_row_and_has_to_be_there(tmp_path, monkeypatch):
    path = tmp_path / "file.csv"
    text = "A,B,C\n1,2,3\n4,5,6\nTotal,7\n2 rows\n\n"
    for block_bytes in (5, 17, 1 << 20):
        monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
        path.write_text(text)
        options = {"footer_pattern": r"Total,.*|\d+ rows", "footer_lines": 2}
        assert read(path, **options) == ([("1", "2", "3"), ("4", "5", "6")], [])
        path.write_text(text.replace("2 rows\n", ""))
        with pytest.raises(FileRefused, match="are no footer"):
            read(path, **options)


def test_a_character_cut_off_at_the_end_is_noticed(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes("A,B,C\n1,2,3\n".encode("utf-16")[:-1])
    with pytest.raises(FileRefused, match="ends within a character"):
        read(path, encoding="utf-16")


def test_a_delivery_history_with_mark_and_returns_only(tmp_path):
    packed = DATA / "scms/SCMS_Delivery_History_Dataset.csv.xz"
    if not packed.is_file():
        pytest.skip("no such file in the data folder (STOCKLAKE_DATA): scms/")
    path = tmp_path / "scms.csv"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    text = path.read_text(encoding="utf-8-sig")
    header, *expected = csv.reader(io.StringIO(text, newline=None))
    columns = tuple(Column(f"c{i}", name, "string") for i, name in enumerate(header))
    found, refused = read(path, columns)
    assert (len(found), refused) == (10_324, [])
    assert found == as_read([tuple(row) for row in expected])
    assert pl.DataFrame(found, orient="row").height == 10_324
