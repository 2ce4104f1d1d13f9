"""Workbooks as planners keep them: titles on top, merged headers, a totals row, numbers and dates as real cells."""

import io
from datetime import date, datetime

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from generator.writing import SEEDED, Export

_MADE_AT = datetime(2026, 1, 1)  # fixed: a workbook carries its time of making


def workbook_bytes(export: Export) -> bytes:
    """Return the workbook of a stock count, the promotion calendar or the market prices."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False})
    book.set_properties({"title": export.dataset.replace("_", " "), "created": _MADE_AT})
    sheet = book.add_worksheet(
        {"stock_count": "Count", "market_price": "Prices"}.get(export.dataset, "Calendar")
    )
    frame = export.frame.drop(SEEDED, strict=False)
    bold = book.add_format({"bold": True})
    head = book.add_format({"bold": True, "align": "center", "bottom": 1, "bg_color": "#DDE6F0"})
    is_count = export.dataset == "stock_count"
    heads = {"stock_count": _count_head, "market_price": _prices_head}
    heads.get(export.dataset, _calendar_head)(sheet, export, frame.columns, bold, head)
    _cells(book, sheet, frame, export.first_row - 1)
    if is_count:
        _totals(sheet, export, bold)
    sheet.set_column(0, len(frame.columns) - 1, 16)
    sheet.freeze_panes(export.first_row - 1, 0)
    book.close()
    return buffer.getvalue()


def _count_head(sheet: Worksheet, export: Export, columns: list[str], bold: Format, head: Format) -> None:
    month = export.path[-12:-5]
    sheet.write(0, 0, "Monthly stock count", bold)
    sheet.write(1, 0, f"Period {month}, counted at close of business; a third of the items each month")
    for first, last, text in ((0, 1, "Place"), (2, 3, "Item"), (4, 6, "Units")):
        sheet.merge_range(3, first, 3, last, text, head)
    for column, name in enumerate(columns):
        sheet.write(4, column, name.split(" / ")[1], head)


def _calendar_head(sheet: Worksheet, _: Export, columns: list[str], bold: Format, head: Format) -> None:
    sheet.write(0, 0, "Promotion calendar", bold)
    sheet.write(
        1, 0, "An empty location means every store. Planned promotions stand here as soon as announced."
    )
    for column, name in enumerate(columns):
        sheet.write(3, column, name, head)


def _prices_head(sheet: Worksheet, _: Export, columns: list[str], bold: Format, head: Format) -> None:
    sheet.write(0, 0, "Market prices", bold)
    sheet.write(1, 0, "Fuel and competitors by the week, consumer prices by the month.")
    for column, name in enumerate(columns):
        sheet.write(3, column, name, head)


def _cells(book: xlsxwriter.Workbook, sheet: Worksheet, frame: pl.DataFrame, top: int) -> None:
    """Write the data: texts that are numbers or days as such, what is neither as it was typed."""
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    share = book.add_format({"num_format": "0%"})
    numbers = {"Units / System", "Units / Counted", "Units / Difference", "Discount", "Value"}
    for column, name in enumerate(frame.columns):
        for row, text in enumerate(frame[name].to_list(), start=top):
            if text is None or text == "":
                continue
            value = _number(text) if name in numbers else _day(text)
            if isinstance(value, date):
                sheet.write_datetime(row, column, value, day)
            elif isinstance(value, float):
                sheet.write_number(row, column, value, share if name == "Discount" else None)
            else:
                sheet.write_string(row, column, text)


def _totals(sheet: Worksheet, export: Export, bold: Format) -> None:
    row = export.first_row - 1 + export.frame.height
    sheet.write(row, 0, "Total", bold)
    for column in (4, 5, 6):
        values = [
            _number(text) for text in export.frame.drop(SEEDED, strict=False).to_series(column).to_list()
        ]
        sheet.write_number(row, column, sum(v for v in values if isinstance(v, float)), bold)


def _number(text: str | None) -> float | str | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text


def _day(text: str) -> date | str:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text
