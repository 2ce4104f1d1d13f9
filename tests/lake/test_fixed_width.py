"""Fixed-width files: fields by their place, padding taken off, lines of the wrong length quarantined."""

from decimal import Decimal

import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.fixed_width import read_fixed_width
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("item_id", "item_id", "string", required=True, start=1, width=5),
    Column("units", "units", "integer", start=6, width=4),
    Column("price", "price", "number", scale=2, start=12, width=6),
)


def made(**location):
    return contract(
        "stock", COLUMNS, location={"path": "${INBOX}/stock*", "format": "fixed_width"} | location
    )


def read(tmp_path, content, **location):
    (tmp_path / "a").write_bytes(content)
    return list(read_fixed_width(tmp_path / "a", "a.txt", made(**location)))


def test_a_mainframe_file_loads_and_its_bad_lines_stand_in_quarantine(tmp_path):
    home = company(tmp_path)
    lines = [
        "HDR20240131",
        "A    0007xx001.10",
        "Zü 1   -5    1.5 ",
        "B    0008xx001.1",
        "C    0009xx0001.10",
        "",
        "D    00x1xx      ",
        "         xx1.00  ",
        "\x1a",
    ]
    deliver(home, "stock.txt", "\r\n".join(lines).encode("cp1252"))
    report = load(home, made(encoding="cp1252", header_lines=1))
    assert report.is_clean
    assert report.totals | {"rows_read": 6, "loaded": 2, "quarantined": 4} == report.totals
    assert rows(home, "SELECT item_id, units, price, _line FROM lake.raw.stock ORDER BY _line") == [
        ("A", 7, Decimal("1.10"), 2),
        ("Zü 1", -5, Decimal("1.50"), 3),
    ]
    refused = {row.line: (row.rules, row.raw_text) for row in quarantine.show(Lake.of(home))}
    assert refused == {
        4: (("field_count",), lines[3]),
        5: (("field_count",), lines[4]),
        7: (("type",), lines[6]),
        8: (("required",), lines[7]),
    }


def test_lines_whose_blanks_were_cut_off_may_be_padded(tmp_path):
    [block] = read(tmp_path, b"A    0007\rB\r", short_lines="pad")
    assert block.text.rows() == [("A", "0007", None), ("B", None, None)]
    assert block.refused == []


def test_columns_are_characters_not_bytes_and_bad_bytes_cost_their_line(tmp_path):
    content = "ÄÖÜßé0001xx  1.00\n".encode() + b"A\xff   0002xx  1.00\nB\x00   0003xx  1.00\n"
    [block] = read(tmp_path, content)
    assert block.text["item_id"][0] == "ÄÖÜßé"
    assert [(one.line, one.raw_text[:5], one.reasons[0].rule) for one in block.refused] == [
        (2, "A\\xff", "encoding")
    ]
    assert [(row, reason.rule) for row, reason in block.marks] == [(1, "nul_byte")]
    assert block.raw_text([1])[0].startswith("B\\x00")


@pytest.mark.parametrize("content", [b"", b"HDR\n", b"HDR\n\n  \n"])
def test_a_file_without_rows_is_refused(tmp_path, content):
    with pytest.raises(FileRefused, match="has no rows"):
        read(tmp_path, content, header_lines=1)
