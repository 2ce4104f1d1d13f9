"""Where the table lies on a sheet: ranges, anchors, totals, hidden rows, and which sheet at all."""

import gzip
import zipfile
from decimal import Decimal

import openpyxl
import pytest
import xlsxwriter

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.readers import reader
from lake.sources.workbooks.sample import sample_sheets
from tests.lake.loading_kit import contract
from tests.lake.workbooks.kit import ods_number, ods_row, ods_text, table, write_ods

ITEM = Column("item", "Item", "string", required=True)
UNITS = Column("units", "Units", "integer")
PRICE = Column("price", "Price", "number", scale=2)


@pytest.fixture
def two_tables(tmp_path):
    """Two tables side by side, one below the other, notes around them."""
    book = openpyxl.Workbook()
    sheet = book.active
    for place, row in {
        "A1": ["Stock list of the year"],
        "B4": ["Item", "Units", None, "Place", "Shelf"],
        "B5": ["A", 1, None, "north", 7],
        "B6": ["Subtotal", 1, None, "south", 8],
        "B7": ["B", 2],
        "B8": ["Grand total", 3],
        "B10": ["printed by the office"],
        "B12": ["Code", "Price"],
        "B13": ["X", 2.5],
    }.items():
        first = sheet[place]
        for i, value in enumerate(row):
            sheet.cell(first.row, first.column + i, value)
    book.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


def test_a_range_cuts_one_table_out(two_tables):
    assert table(two_tables, ITEM, UNITS, range="B4:C8")[0] == [
        (5, "A", 1), (6, "Subtotal", 1), (7, "B", 2), (8, "Grand total", 3),
    ]  # fmt: skip
    place, shelf = Column("place", "Place", "string"), Column("shelf", "Shelf", "integer")
    assert table(two_tables, place, shelf, range="E4:F")[0] == [(5, "north", 7), (6, "south", 8)]


def test_an_anchor_finds_a_table_wherever_it_stands(two_tables):
    totals = ("subtotal", "Grand total")
    assert table(two_tables, ITEM, UNITS, table_anchor="Item", totals_label=totals)[0] == [
        (5, "A", 1),
        (7, "B", 2),
    ]
    code = Column("code", "Code", "string")
    assert table(two_tables, code, PRICE, table_anchor="Code")[0] == [(13, "X", Decimal("2.50"))]
    with pytest.raises(FileRefused, match="no cell 'Colour', where its table should begin"):
        table(two_tables, code, table_anchor="Colour")


def test_a_range_beyond_the_used_cells_is_refused(two_tables):
    with pytest.raises(FileRefused, match="has nothing on row 400"):
        table(two_tables, ITEM, range="B400:C500")


def test_merged_headers_of_opendocument(tmp_path):
    spanned = 'table:number-columns-spanned="2"'
    write_ods(
        tmp_path / "a.ods",
        ods_row(ods_text("Item", 'table:number-rows-spanned="2"'), ods_text("Stock", spanned), "<table:covered-table-cell/>"),
        ods_row("<table:covered-table-cell/>", ods_text("Units"), ods_text("Price")),
        ods_row(ods_text("A"), ods_number(3), ods_number(1.5)),
    )  # fmt: skip
    units, price = (
        Column("units", "Stock / Units", "integer"),
        Column("price", "Stock / Price", "number", scale=2),
    )
    assert table(tmp_path / "a.ods", ITEM, units, price, header_rows=2)[0] == [(3, "A", 3, Decimal("1.50"))]


def test_hidden_rows_are_data_unless_the_contract_skips_them(tmp_path):
    book = xlsxwriter.Workbook(tmp_path / "a.xlsx")
    sheet = book.add_worksheet()
    for row, values in enumerate([("Item", "Units"), ("A", 1), ("B", 2), ("C", 3)]):
        sheet.write_row(row, 0, values)
    sheet.set_row(2, None, None, {"hidden": True})
    book.close()
    assert [row[1] for row in table(tmp_path / "a.xlsx", ITEM, UNITS)[0]] == ["A", "B", "C"]
    assert [row[1] for row in table(tmp_path / "a.xlsx", ITEM, UNITS, hidden_rows="skip")[0]] == ["A", "C"]


@pytest.mark.parametrize(
    ("decimal", "typed", "read"),
    [
        (",", "1.234,5", Decimal("1234.50")),
        (",", "1 234,50", Decimal("1234.50")),
        (",", "-0,5", Decimal("-0.50")),
        (",", "12", Decimal(12)),
        (".", "1,234.5", Decimal("1234.50")),
        (".", "1'234.5", Decimal("1234.50")),
        (",", "1,234.5", None),
        (",", "1.5", None),
        (".", "1,5", None),
        (None, "1,5", None),
        (",", "12 pcs", None),
    ],
)
def test_decimals_typed_as_text(tmp_path, decimal, typed, read):
    book = openpyxl.Workbook()
    book.active.append(["Item", "Price"])
    book.active.append(["A", typed])
    book.active.append(["B", 1.25])
    book.save(tmp_path / "a.xlsx")
    good, refused = table(tmp_path / "a.xlsx", ITEM, PRICE, decimal=decimal)
    assert good[-1] == (3, "B", Decimal("1.25"))
    assert (good[0][2] if len(good) > 1 else None) == read
    assert (read is None) == (refused == {2: ["type"]})


def test_sheets_by_name_position_and_pattern(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    for name, item in (("2024-01", "A"), ("2024-02", "B"), ("O'Brien; DROP TABLE x--", "C")):
        sheet = book.create_sheet(name)
        sheet.append(["Item", "Units"])
        sheet.append([item, 1])
    book.save(tmp_path / "a.xlsx")

    def items(**location):
        return [row[1] for row in table(tmp_path / "a.xlsx", ITEM, UNITS, **location)[0]]

    assert items(sheet="O'Brien; DROP TABLE x--") == ["C"]
    assert items(sheet_position=3) == ["B"]
    assert items(sheet_pattern=r"\d{4}-\d{2}") == ["A", "B"]
    for location in ({"sheet": "2025-01"}, {"sheet_position": 9}, {"sheet_pattern": "x"}):
        with pytest.raises(FileRefused, match="has no sheet"):
            items(**location)


def test_a_sample_says_where_the_header_may_be(two_tables):
    [sample] = sample_sheets(two_tables, "a.xlsx", rows=6)
    assert (sample.name, sample.position, sample.header_row) == ("Sheet", 1, 4)
    assert sample.rows[sample.header_row - sample.first_row] == ["", "Item", "Units", "", "Place", "Shelf"]
    assert len(sample.rows) == 6


@pytest.mark.parametrize("packing", ["a.zip", "a.xlsx.gz"])
def test_a_packed_workbook_is_unpacked_first(two_tables, tmp_path, packing):
    path = tmp_path / packing
    if packing.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(two_tables, "list.xlsx")
            archive.writestr("readme.txt", "not a workbook")
    else:
        path.write_bytes(gzip.compress(two_tables.read_bytes()))
    of = contract("a", (ITEM, UNITS), location={"format": "spreadsheet", "path": "a", "table_anchor": "Item"})
    [block] = reader(of)(path, packing, of)
    assert block.text["item"].to_list() == ["A", "Subtotal", "B", "Grand total"]
