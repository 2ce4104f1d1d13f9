"""Workbooks of Excel 2, 3 and 4 (.xls from before 1993), which calamine does not open: read by xlrd.

They have one sheet, or several in a workbook of Excel 4, and no merged cells.
"""

import io
from collections.abc import Iterator
from datetime import date, datetime, time

import xlrd
from xlrd.book import Book
from xlrd.sheet import Sheet as OldSheet

from lake.sources.workbooks.layout import ERRORS, Layout, Wanted

STARTS = (b"\x09\x00", b"\x09\x02", b"\x09\x04")
"""The first two bytes: the number of the record that begins a sheet, by version."""

Value = str | float | bool | date | datetime | time


def open_book(content: bytes) -> Book:
    """Open a workbook; its sheets are parsed whole. Raises `xlrd.XLRDError` and, for damaged bytes, much else."""
    return xlrd.open_workbook(
        file_contents=content, logfile=io.StringIO(), formatting_info=True, ragged_rows=True
    )


def read_layout(sheet: OldSheet, wanted: Wanted) -> Layout:
    """Return the layout of a sheet: errors, wanted number formats, hidden rows."""
    layout = Layout()
    book = sheet.book
    codes = [book.format_map[style.format_key].format_str for style in book.xf_list]
    layout.hidden_rows |= {row for row, about in sheet.rowinfo_map.items() if about.hidden}
    for row in range(sheet.nrows):
        for column, cell in enumerate(sheet.row(row)):
            if cell.ctype == xlrd.XL_CELL_ERROR:
                layout.note_problem(row, column, ERRORS.get(cell.value, "#ERROR!"))
            elif cell.ctype in (xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE) and wanted(codes[cell.xf_index]):
                layout.note_format(row, column, codes[cell.xf_index])
    return layout


def read_rows(sheet: OldSheet, layout: Layout) -> Iterator[list[Value]]:
    """Yield the rows from A1 on, all `sheet.ncols` wide."""
    epoch = sheet.book.datemode
    for row in range(sheet.nrows):
        formats = layout.formats.get(row, {})
        values = [_value(cell, epoch, column in formats) for column, cell in enumerate(sheet.row(row))]
        yield values + [""] * (sheet.ncols - len(values))


def _value(cell: xlrd.sheet.Cell, epoch: int, is_refined_later: bool) -> Value:
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype in (xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER):
        return cell.value  # type: ignore[no-any-return]
    if cell.ctype == xlrd.XL_CELL_DATE:
        return cell.value if is_refined_later else _moment(cell.value, epoch)
    return ""


def _moment(serial: float, epoch: int) -> date | datetime | time | float:
    """Return what a serial number displayed as a date is; itself where Excel has no such date."""
    if serial < 0:
        return serial
    try:
        moment: datetime = xlrd.xldate_as_datetime(serial, epoch)
    except OverflowError:
        return serial
    if serial < 1:
        return moment.time()
    return moment if serial % 1 else moment.date()
