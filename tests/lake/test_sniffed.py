"""Files about which nothing is said: every dialect of one table reads as that table, and so does one crooked row."""

import csv
import io
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.csv_reading import ARCHIVE, DATA, evaluate, overlap, score
from lake.sources.dialects import detect_dialect
from lake.sources.encodings import detect_encoding
from lake.sources.sniffed import read_any, read_text

HEADER = ("Order", "Placed", "Units", "Unit price", "Item", "Remark")
ITEMS = ("Kettle, steel", "Lamp", '19" rack', "Bolt; M8", "Cord", "Ladder", "Hose")
ROWS = [
    (f"SO-{1000 + 7 * i}", f"2024-03-{i % 28 + 1:02d}", str(i * 3 % 17), f"{i * 1.37 + 2:.2f}", ITEMS[i % 7], "" if i % 3 else "call first")
    for i in range(30)
]  # fmt: skip
TABLE = [HEADER, *ROWS]


def written(
    delimiter: str = ",", quote: str = '"', newline: str = "\n", escape: str = "", table=TABLE
) -> str:
    def field(text: str) -> str:
        if not any(mark in text for mark in (delimiter, quote, "\n", ",", '"')):
            return text
        return quote + text.replace(quote, (escape or quote) + quote) + quote

    return newline.join(delimiter.join(field(text) for text in row) for row in table) + newline


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "~", "||", ", ", "\x01"])
def test_every_delimiter_and_line_end(delimiter, newline):
    found = read_text(written(delimiter, newline=newline))
    assert found.dialect.delimiter == delimiter
    assert [found.header, *found.rows] == TABLE
    assert not found.mended


@pytest.mark.parametrize(("quote", "escape"), [("'", ""), ('"', "\\")])
def test_other_quotes_and_escapes(quote, escape):
    found = read_text(written(quote=quote, escape=escape))
    assert [found.header, *found.rows] == TABLE


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "cp1251"]
)
def test_every_encoding(tmp_path, encoding):
    words = ("Москва", "Тверь", "Псков") if encoding == "cp1251" else ("Köln", "Malmö", "Orléans")
    table = [("place", "units"), *[(words[i % 3], str(i)) for i in range(40)]]
    path = tmp_path / "file.csv"
    path.write_bytes(written(table=table).encode(encoding))
    found = read_any(path)
    assert [found.header, *found.rows] == table
    assert found.has_mark == (encoding in ("utf-8-sig", "utf-16"))


def test_western_text_is_not_taken_for_another():
    assert detect_encoding("prix;5 € à l’été\n".encode("cp1252") * 5) == ("cp1252", 0)
    assert detect_encoding(b"\x81 and caf\xe9")[0] == "latin-1"


def test_titles_headers_footnotes_and_further_tables():
    body = written()
    titled = read_text("Sales of March\n,,,,,\n\n" + body + "\nSource: the shop\n")
    assert [titled.header, *titled.rows] == TABLE
    assert (titled.titles, titled.header_line, titled.rest) == (
        ["Sales of March", ",,,,,"],
        4,
        ["Source: the shop"],
    )
    two_rows = read_text("id,,,price,,\n" + body)
    assert two_rows.header == ("id Order", "Placed", "Units", "price Unit price", "Item", "Remark")
    assert two_rows.rows == ROWS
    bare = read_text(written(table=ROWS))
    assert (bare.header, bare.header_rows) == ((), 0)
    assert bare.rows == ROWS
    more = read_text(body + written(table=[row[:4] for row in TABLE]))
    assert [more.header, *more.rows] == TABLE
    assert len(more.rest) == len(TABLE)
    assert [read_text(body + body).header, *read_text(body + body).rows] == TABLE
    doubled = read_text(written(table=[HEADER, HEADER, *ROWS]))
    assert doubled.header[3] == "Unit price Unit price"
    assert read_text("").width == 0
    assert read_text("a,b\n").header == ("a", "b")
    assert read_text("name\nx y\nz\nlonger than that\nq\n").width == 1


def test_line_breaks_within_quotes_stay():
    table = [HEADER, *[(*row[:5], "two\nlines, of text") for row in ROWS[:9]]]
    found = read_text(written(table=table))
    assert [found.header, *found.rows] == table


@pytest.mark.parametrize("row", [1, 8, 30])
@pytest.mark.parametrize("column", range(6))
def test_one_crooked_row_is_mended(row, column):
    lines = written().split("\n")
    fields = written(table=[TABLE[row]]).rstrip("\n")
    starts = [0]
    for field in next(csv.reader([fields])):
        width = len(written(table=[(field,)]).rstrip("\n"))
        starts.append(starts[-1] + width + 1)
    at = starts[column]

    def read_with(line: str):
        found = read_text("\n".join([*lines[:row], line, *lines[row + 1 :]]))
        assert [*found.rows[: row - 1], *found.rows[row:]] == [*ROWS[: row - 1], *ROWS[row:]]
        assert found.header == HEADER
        return found.rows[row - 1]

    assert read_with(fields[:at] + "," + fields[at:]) == TABLE[row]
    stray = read_with(fields[:at] + '"' + fields[at:])
    assert stray == tuple(('"' if i == column else "") + text for i, text in enumerate(TABLE[row]))
    if column and TABLE[row][column]:
        assert read_with(fields[: at - 1] + fields[at:]) == TABLE[row]


def test_a_header_with_a_stray_quote_is_still_the_header():
    table = [('"' + HEADER[0], *HEADER[1:]), *ROWS]
    quoted = ",".join([*HEADER[:4], '"Item"', '"Remark"'])
    found = read_text('"' + quoted + written().removeprefix(",".join(HEADER)))
    assert [found.header, *found.rows] == table


def test_a_row_with_another_delimiter():
    lines = written().split("\n")
    lines[5] = written(";", table=[TABLE[5]]).rstrip("\n")
    assert read_text("\n".join(lines)).rows == ROWS


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab1,;\"'\\ \n\r\t|", max_size=60), st.sampled_from(["", "a,b\n1,2\n3,4\n"]))
def test_any_text_is_read_without_a_crash(text, before):
    found = read_text(before + text)
    assert all(len(row) == found.width for row in found.rows)


def test_attacks_take_little_time():
    started = time.process_time()
    for text in ('"' * 20_000, '"a,' * 5_000, ("a," * 300 + "\n") * 100, ('x,"y\n') * 3_000, "\\," * 9_000):
        read_text(text)
        detect_dialect(text)
    assert time.process_time() - started < 20


def test_the_score_is_that_of_the_definition():
    assert overlap("aab", "ab") == (1.0, 2 / 3, 0.8)
    assert overlap("", "ab") == (1.0, 1.0, 1.0)
    assert overlap("a", "b") == (0.0, 0.0, 0.0)
    clean = [("a", "b"), ("1", "2"), ("3", "4")]
    assert score(clean, clean) == 10
    assert score(clean, None) == 0
    assert score(clean, clean[:2]) == pytest.approx(1 + 3 + (1 + 0.5 + 2 / 3) + (1 + 4 / 6 + 0.8))
    assert score([], []) == 10


def test_pollock_by_a_sample(tmp_path):
    archive_path = DATA / ARCHIVE
    if not archive_path.is_file():
        pytest.skip(f"no such file in the data folder (STOCKLAKE_DATA): {ARCHIVE}")
    with tarfile.open(archive_path) as archive:
        for member in archive:
            folder, name = Path(member.name).parent.name, Path(member.name).name
            is_sample = name.startswith(("file_", "source")) or name.endswith(
                ("0_col3.csv", "7_col8.csv", "41_0x20.csv")
            )
            if member.isfile() and folder in ("csv", "clean") and is_sample:
                stream = archive.extractfile(member)
                assert stream is not None
                (tmp_path / folder).mkdir(exist_ok=True)
                (tmp_path / folder / name).write_bytes(stream.read())
    out = tmp_path / "out"
    out.mkdir()
    result = evaluate(tmp_path, {}, out)
    assert result["files"] > 60
    assert result["simple"] > 9.97
    with (out / "file_preamble.csv").open(newline="") as stream:
        assert next(csv.reader(stream))[0] == "DATE"
    assert io.StringIO((out / "file_no_payload.csv").read_text()).read() == ""
