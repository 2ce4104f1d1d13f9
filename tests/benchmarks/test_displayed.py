"""The judge of the spreadsheet benchmark: blind to format, strict about values."""

import csv

import pytest
import xlsxwriter

from benchmarks.displayed import differences, same
from benchmarks.workbook_reading import read_workbook

SAME = [
    ("$1,234.50", "1234.5"), ("1,234", "1234.4"), ("(12.5)", "-12.5"), ("-12.5", "-12.46"), ("15%", "0.15"),
    ("15.3%", "0.15349"), ("0.333333333", "0.333333333333333"), ("1.23E+05", "123456"), ("1 1/2", "1.5"), ("-", "0"),
    ("$ -", "0"), ("012-34-5678", "12345678"), ("5 pcs", "5"), ("TRUE", "true"), ("", "0"), ("#####", "45000"),
    ("#####", "2024-01-31"), ("1/31/24", "2024-01-31"), ("31-Jan-24", "2024-01-31"), ("January 2024", "2024-01-31"),
    ("Wed 31/01/2024", "2024-01-31"), ("1/31/24 3:05 PM", "2024-01-31 15:05:09"), ("15:05", "2024-01-31 15:05:09"),
    ("12:00 AM", "00:00:00"), ("30:15", "30:15:00"), ("23:59:59", "2012-11-11 23:59:58.995"), ("a\r\nb", "a\nb"),
    ("___", "\u4f5c\u696d\u540d"), (" x ", "x"),
]  # fmt: skip
DIFFERENT = [
    ("1234.5", "1234.6"), ("1,234", "1235.6"), ("12.5", "-12.5"), ("15%", "0.16"), ("1.23E+05", "12345"), ("1 1/2", "1.75"),
    ("0", "1"), ("", "1"), ("5", ""), ("x", ""), ("", "x"), ("TRUE", "false"), ("1", "true"), ("#####", "text"),
    ("1/31/24", "2024-01-30"), ("1/31/24", "2025-01-31"), ("31-Feb-24", "2024-01-31"), ("Tue 31/01/2024", "2024-01-31"),
    ("3:05 AM", "15:05:00"), ("30:16", "30:15:00"), ("1/31/24", "45322"), ("___", "abc"), ("ab", "abc"), ("#N/A", "0"),
    ("012-34-5678", "12345679"), ("5 of 6", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "read"), SAME)
def test_format_makes_no_difference(shown, read):
    assert same(shown, read)


@pytest.mark.parametrize(("shown", "read"), DIFFERENT)
def test_a_value_does(shown, read):
    assert not same(shown, read)


def test_what_stands_around_the_cells_is_no_part_of_them_and_what_stands_within_is():
    shown = [["", ""], ["a", "1", "234 ", "x"], ["b", "2", "", ""]]
    assert list(differences(shown, [["a", "1234", "x"], ["b", "2", ""], ["", "", ""]])) == []
    assert list(differences([["a", "b"]], [["", "a", "c"]])) == [(0, 2, "b", "c")]
    assert list(differences([["a"], ["b"]], [["a"]])) == [(1, 0, "b", "")]
    assert list(differences([], [["a"]])) == [(0, 0, "", "a")]


def test_a_workbook_is_read_compared_and_written(tmp_path):
    folder = tmp_path / "book.xlsx"
    folder.mkdir()
    book = xlsxwriter.Workbook(folder / "workbook.xlsx")
    for today in ("3/25/17", "wrong"):
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ("a", 1.5))
        sheet.write_formula(1, 0, "=TODAY()", book.add_format({"num_format": "m/d/yy"}), 39120)
        shown = [["a", "1.50" if today != "wrong" else "1.7"], ["3/25/17", ""]]
        with (folder / f"sheet_{len(book.worksheets()) - 1}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(shown)
    book.close()
    result = read_workbook(folder, tmp_path / "out")
    assert result["refused"] is None
    first, second = result["sheets"]["sheet_0.csv"], result["sheets"]["sheet_1.csv"]
    assert (first["right"], first["as_exported"]) == (
        True,
        False,
    )  # what was saved is read, not what was calculated since
    assert (second["right"], second["as_exported"]) == (False, False)
    assert second["differences"] == ["row 1, column 2: '1.7' was read as '1.5'"]
    assert (tmp_path / "out" / "book.xlsx" / "sheet_0.csv").read_text() == "a,1.5\n2007-02-07,\n"
