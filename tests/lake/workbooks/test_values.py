"""What a cell holds arrives as it is, in every format; what is no value is named, never lost."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from struct import pack

import openpyxl
import pytest
import xlsxwriter

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.workbooks.layout import masked
from lake.sources.workbooks.text import text
from lake.sources.workbooks.workbook import Workbook
from tests.lake.workbooks.kit import (
    needs_real_workbooks,
    ods_number,
    ods_row,
    ods_text,
    real_workbook,
    replace_part,
    table,
    write_ods,
)

ITEM = Column("item", "Item", "string")
UNITS = Column("units", "Units", "number", scale=12)


def cells(path, sheet=0):
    workbook = Workbook(path, path.name)
    return [[text(value) for value in row] for row in workbook.grid(workbook.sheets[sheet]).rows]


@pytest.mark.parametrize(
    ("number", "code", "shown"),
    [
        (123, "00000", "00123"),
        (1234567, "00000", "1234567"),
        (12345678, "000-00-0000", "012-34-5678"),
        (7, '"A-"000', "A-007"),
        (7, "000;-000;0", "007"),
        (7, r"\X00", "X07"),
        (1.5, "00000", None),
        (-3, "00000", None),
        (123, "0", None),
        (123, "#,##0", None),
        (123, "0.00", None),
        (0.5, "00%", None),
        (45000, "dd/mm/yyyy", None),
        (123, "General", None),
    ],
)
def test_a_mask_of_digits_is_part_of_what_a_cell_says(number, code, shown):
    assert masked(number, code) == shown


def test_numbers_truth_values_dates_and_durations_of_xlsx(tmp_path):
    book = xlsxwriter.Workbook(tmp_path / "a.xlsx")
    sheet = book.add_worksheet()
    elapsed, day = (book.add_format({"num_format": code}) for code in ("[h]:mm", "yyyy-mm-dd"))
    conditional = book.add_format({"num_format": "[=0]?;[<4][hh]:mm:ss;[hh]:mm"})
    for column, number in enumerate((1e-12, 0.1 + 0.2, 12, 1 / 3, 1.5e20)):
        sheet.write_number(0, column, number)
    sheet.write_row(1, 0, (True, False))
    sheet.write_number(1, 2, 1.25, elapsed)
    sheet.write_number(1, 3, 0.5, conditional)
    sheet.write_datetime(1, 4, datetime(2024, 2, 29), day)
    book.close()
    assert cells(tmp_path / "a.xlsx") == [
        ["0.000000000001", "0.3", "12", "0.333333333333333", "150000000000000000000"],
        ["true", "false", "30:00:00", "12:00:00", "2024-02-29"],
    ]


def test_days_count_from_1904_where_the_workbook_says_so(tmp_path):
    book = xlsxwriter.Workbook(tmp_path / "a.xlsx", {"date_1904": True})
    book.add_worksheet().write_datetime(
        0, 0, datetime(2024, 1, 31), book.add_format({"num_format": "d/m/yy"})
    )
    book.close()
    assert cells(tmp_path / "a.xlsx") == [["2024-01-31"]]


def test_leading_zeros_stay_for_text_and_go_for_numbers(tmp_path):
    book = xlsxwriter.Workbook(tmp_path / "a.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ("Item", "Units"))
    for column in (0, 1):
        sheet.write_number(1, column, 123, book.add_format({"num_format": "00000"}))
    sheet.write_string(2, 0, "00124")
    book.close()
    good, _ = table(tmp_path / "a.xlsx", ITEM, UNITS)
    assert good == [(2, "00123", Decimal(123)), (3, "00124", None)]


def test_errors_and_formulas_without_a_saved_value_are_named(tmp_path):
    book = xlsxwriter.Workbook(tmp_path / "error.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ("Item", "Units"))
    sheet.write_string(1, 0, "A")
    sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
    sheet.write_string(2, 0, "B")
    sheet.write_formula(2, 1, "=1+1", None, 2)
    sheet.write_string(3, 0, "C")
    sheet.write_formula(3, 1, '=""', None, "nothing")
    book.close()
    empty_text = lambda xml: xml.replace(b"<v>nothing</v>", b"<v></v>")  # noqa: E731
    replace_part(tmp_path / "error.xlsx", "xl/worksheets/sheet1.xml", empty_text)
    good, refused = table(tmp_path / "error.xlsx", ITEM, UNITS)
    assert good == [(3, "B", Decimal(2)), (4, "C", None)]
    assert refused == {2: ["cell_error"]}
    unsaved = openpyxl.Workbook()
    unsaved.active.append(["Item", "Units"])
    unsaved.active.append(["A", "=1+1"])
    unsaved.save(tmp_path / "unsaved.xlsx")
    assert table(tmp_path / "unsaved.xlsx", ITEM, UNITS) == ([], {2: ["cell_error"]})


def test_an_opendocument_sheet(tmp_path):
    error = 'office:value-type="string" calcext:value-type="error" table:formula="of:=1/0"'
    write_ods(
        tmp_path / "a.ods",
        ods_row(ods_text("Item"), ods_text("Units")),
        ods_row(ods_number(123, "00123"), ods_number(1.5, "1,50 EUR")),
        ods_row(ods_text("B"), f"<table:table-cell {error}><text:p>#DIV/0!</text:p></table:table-cell>"),
        ods_row(ods_text("C"), ods_number(3), attributes='table:visibility="collapse"'),
        ods_row('<table:table-cell table:number-columns-repeated="16384"/>', attributes='table:number-rows-repeated="1048000"'),
    )  # fmt: skip
    path = tmp_path / "a.ods"
    assert table(path, ITEM, UNITS) == (
        [(2, "00123", Decimal("1.5")), (4, "C", Decimal(3))],
        {3: ["cell_error"]},
    )
    assert table(path, ITEM, UNITS, hidden_rows="skip")[0] == [(2, "00123", Decimal("1.5"))]


@needs_real_workbooks
def test_old_workbooks_have_truth_values_errors_and_masks(tmp_path):
    truths = cells(real_workbook(tmp_path, "51498.xls"))
    assert {"false", "true"} <= {cell for row in truths for cell in row}
    errors = cells(real_workbook(tmp_path, "AreaErrPtg.xls"))
    assert any("#REF!" in row for row in errors)
    dates = cells(real_workbook(tmp_path, "1904DateWindowing.xls"))
    assert dates[0][0] == "2000-01-01"


@needs_real_workbooks
def test_workbooks_of_excel_3_and_4(tmp_path):
    rows = cells(real_workbook(tmp_path, "testEXCEL_3.xls"))
    assert rows[5] == ["1977/78", "", "376.2", "395.2", "", "87.4", "133", "", "463.6", "528.2"]
    assert cells(real_workbook(tmp_path, "testEXCEL_4.xls"))[12][:3] == [
        "United States, total [2]",
        "168184400",
        "815057",
    ]


def old_sheet(*records):
    """A workbook of Excel 3: one sheet of these records, the styles General, m/d/yy and a mask before them."""
    head = [(0x209, pack("<3H", 0, 0x10, 0)), (0x42, pack("<H", 1252))]
    head += [(0x1E, bytes([len(code)]) + code) for code in (b"General", b"m/d/yy", b"00000")]
    head += [(0x243, pack("<2B5H", 0, number, 0, 0, 0, 0, 0)) for number in range(3)]
    return b"".join(pack("<HH", kind, len(said)) + said for kind, said in [*head, *records, (0x0A, b"")])


def test_dates_errors_masks_and_hidden_rows_of_excel_3(tmp_path):
    number = lambda row, column, style, value: (0x203, pack("<3Hd", row, column, style, value))  # noqa: E731
    path = tmp_path / "old.xls"
    path.write_bytes(
        old_sheet(
            (0x208, pack("<8H", 1, 0, 5, 255, 0, 0, 0x20, 0)),
            (0x204, pack("<4H", 0, 0, 0, 4) + b"caf\xe9"),
            number(0, 1, 1, 33_000.0),
            number(0, 2, 1, 33_000.75),
            number(0, 3, 2, 123.0),
            number(1, 0, 0, 0.1 + 0.2),
            (0x205, pack("<3H2B", 1, 1, 0, 1, 0)),
            (0x205, pack("<3H2B", 1, 2, 0, 0x2A, 1)),
            number(1, 3, 1, -5.0),
        )
    )
    assert cells(path) == [
        ["café", "1990-05-07", "1990-05-07 18:00:00", "00123"],
        ["0.3", "true", "#N/A", "-5"],
    ]
    workbook = Workbook(path, "old.xls")
    assert workbook.grid(workbook.sheets[0]).layout.hidden_rows == {1}


def test_what_is_no_number_elsewhere_is_one_beyond_doubles_to_excel():
    assert Decimal(text(float("nan"))) == Decimal("2.69653970229347e308")
    assert Decimal(text(float("-inf"))) == Decimal("-1.79769313486232e308")


@needs_real_workbooks
def test_binary_workbooks(tmp_path):
    assert cells(real_workbook(tmp_path, "sample.xlsb"))[:2] == [["Lorem", "111"], ["ipsum", "222"]]
    assert cells(real_workbook(tmp_path, "date.xlsb")) == [["2013-01-12"]]


@needs_real_workbooks
@pytest.mark.parametrize(
    ("name", "first"), [("50833.xls", "test cell value"), ("60284.xls", "PI PAD Attenuator (ver 3.2)")]
)
def test_what_excel_encrypted_with_its_own_password_opens(tmp_path, name, first):
    rows = cells(real_workbook(tmp_path, name))
    assert first in rows[0]


def test_durations_have_a_sign():
    assert text(timedelta(hours=-36, minutes=-30)) == "-36:30:00"
    assert text(timedelta(seconds=1, microseconds=500_000)) == "00:00:01.5"
    assert text(date(2024, 1, 2)) == "2024-01-02"


@pytest.mark.parametrize(
    "content", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 4096]
)
def test_a_damaged_container_is_refused(tmp_path, content):
    (tmp_path / "a.xls").write_bytes(content)
    with pytest.raises(FileRefused, match=r"a\.xls"):
        Workbook(tmp_path / "a.xls", "a.xls")
