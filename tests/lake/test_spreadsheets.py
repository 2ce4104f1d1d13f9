"""Workbooks as people make them: titles, merged headers, totals, empty rows, real dates, error cells."""

from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pytest
import xlsxwriter

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.conforming import conform
from lake.sources.spreadsheets import read_spreadsheet
from tests.lake.loading_kit import company, contract, load, rows

COLUMNS = (
    Column("item_id", "Item", "string", required=True, key=True),
    Column("units", "Stock / Units", "integer", required=True),
    Column("amount", "Stock / Value", "number", scale=2),
    Column("counted_on", "Counted", "date"),
    Column("entered_at", "Entered", "timestamp"),
)
LOCATION = {
    "path": "${INBOX}/count*.xlsx", "format": "xlsx", "sheet": "Count", "header_row": 3, "header_rows": 2,
    "totals_label": ("Total",),
}  # fmt: skip
COUNT = contract("stock_count", COLUMNS, location=LOCATION)


def count_sheet(path):
    book = xlsxwriter.Workbook(path)
    book.add_worksheet("Read me").write(0, 0, "nothing here")
    sheet = book.add_worksheet("Count")
    day, moment = (book.add_format({"num_format": text}) for text in ("dd/mm/yyyy", "dd/mm/yyyy hh:mm"))
    sheet.write(0, 0, "Monthly count")
    sheet.merge_range("A3:A4", "Item")
    sheet.merge_range("B3:C3", "Stock")
    sheet.write("B4", "Units")
    sheet.write("C4", "Value")
    sheet.write("D4", "Counted")
    sheet.write("E3", "Entered")
    sheet.write_string("A5", "00123")
    sheet.write_number("B5", 5)
    sheet.write_number("C5", 123456789.12)
    sheet.write_datetime("D5", datetime(2024, 1, 31), day)
    sheet.write_datetime("E5", datetime(2024, 1, 31, 10, 30), moment)
    sheet.write_number("A7", 42)
    sheet.write_string("B7", "7")
    sheet.write_number("C7", 0.1 + 0.2)
    sheet.write_string("D7", "2024-02-01")
    sheet.write_string("A8", "bad")
    sheet.write_number("B8", 5.5)
    sheet.write_number("C8", 1.234)
    sheet.write_datetime("D8", datetime(2024, 1, 31, 10, 30), moment)
    sheet.write_string("A9", "error")
    sheet.write_number("B9", 1)
    sheet.write_formula("C9", "=1/0", None, "#DIV/0!")
    sheet.write_string("A10", "  ")
    sheet.write("A11", "total")
    sheet.write("B11", 12)
    book.close()


def test_a_count_sheet_as_people_make_it(tmp_path):
    home = company(tmp_path)
    count_sheet(home.inbox / "count.xlsx")
    report = load(home, COUNT)
    assert report.is_clean
    assert report.totals | {"rows_read": 4, "loaded": 2, "quarantined": 2} == report.totals
    assert rows(home, "SELECT * EXCLUDE (_delivery_id, _known_at) FROM lake.raw.stock_count ORDER BY _line") == [
        ("00123", 5, Decimal("123456789.12"), date(2024, 1, 31), datetime(2024, 1, 31, 10, 30), "count.xlsx", "Count", 5),
        ("42", 7, Decimal("0.30"), date(2024, 2, 1), None, "count.xlsx", "Count", 7),
    ]  # fmt: skip
    refused = {row.line: row for row in quarantine.show(Lake.of(home))}
    assert refused[8].place == "count.xlsx, sheet 'Count', line 8"
    assert set(refused[8].rules) == {"type", "scale"}
    assert refused[8].raw_text == "bad\t5.5\t1.234\t2024-01-31 10:30:00\t"
    assert refused[9].rules == ("cell_error",)
    assert refused[9].columns == ("amount",)


def test_a_header_of_one_row_in_a_workbook_of_another_program(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Units", "Item", None])
    book.active.append([3, "A", None])
    book.save(tmp_path / "a.xlsx")
    columns = (Column("item_id", "Item", "string"), Column("units", "Units", "integer"))
    simple = contract("a", columns, location={"format": "xlsx", "path": "a.xlsx"})
    [block] = read_spreadsheet(tmp_path / "a.xlsx", "a.xlsx", simple)
    assert conform(block, simple, {}).good.rows() == [("A", 3, 2)]


def write(path, *sheet_rows):
    book = openpyxl.Workbook()
    book.active.title = "Count"
    for row in sheet_rows:
        book.active.append(row)
    book.save(path)


@pytest.mark.parametrize(
    ("sheet_rows", "sentence"),
    [
        ([], "has nothing on row 1, where its header should be"),
        ([["Item", "Units"]], "has a header but no rows"),
        ([["Item"], ["A"]], "the required column 'Units' is missing"),
        ([["Item", "Units", "Colour"], ["A", 1, "red"]], "the column 'Colour' is not in the contract"),
        ([["Item", "Units"], ["A", 1, "red"]], "column C has values (first on row 2) but no header"),
    ],
)
def test_a_sheet_that_does_not_fit_is_refused(tmp_path, sheet_rows, sentence):
    write(tmp_path / "a.xlsx", *sheet_rows)
    columns = (Column("item_id", "Item", "string"), Column("units", "Units", "integer", required=True))
    plain = contract("a", columns, location={"format": "xlsx", "path": "a.xlsx", "sheet": "Count"})
    with pytest.raises(FileRefused) as refusal:
        list(read_spreadsheet(tmp_path / "a.xlsx", "a.xlsx", plain))
    assert sentence in str(refusal.value)
    assert "a.xlsx" in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"hello", "damaged"),
        (b"PK\x03\x04", "damaged"),
    ],
)
def test_what_is_no_workbook_is_refused(tmp_path, content, sentence):
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(FileRefused, match=sentence):
        list(read_spreadsheet(tmp_path / "a.xlsx", "a.xlsx", COUNT))


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(tmp_path):
    write(tmp_path / "a.xlsx", ["Item"])
    other = contract("a", COLUMNS, location=LOCATION | {"sheet": "Stock"})
    with pytest.raises(FileRefused, match="no sheet 'Stock' \\(it has 'Count'\\)"):
        list(read_spreadsheet(tmp_path / "a.xlsx", "a.xlsx", other))
