"""Cells as text: each value in one plain, unambiguous form, whatever the sheet's number formats make of it.

Numbers have up to 15 significant digits (all that Excel keeps; what is beyond is noise of their binary form), a decimal
point and no exponent; dates are ISO 8601; times and durations hours:minutes:seconds; truth values true and false.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from lake.sources.workbooks.layout import masked
from lake.sources.workbooks.workbook import Grid, Value

_SHORT = 16
"""A double that Python writes with so many characters or fewer has at most 15 digits."""


def text(value: Value) -> str:
    """Write one value.

    >>> text(0.1 + 0.2), text(12.0), text(1e-7), text(True), text(timedelta(hours=30))
    ('0.3', '12', '0.0000001', 'true', '30:00:00')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def number_text(value: float) -> str:
    """Write a number with up to 15 significant digits and no exponent."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    written = repr(value)
    if len(written) > _SHORT:
        written = f"{value:.15g}"
    return f"{Decimal(written):f}" if "e" in written else written


def _duration(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = value.days * 86_400 + value.seconds
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def rows_of_text(grid: Grid) -> Iterator[list[str]]:
    """Yield the used rows as text: errors as the sheet shows them, masked numbers with their leading zeros."""
    for row, values in enumerate(grid.rows, grid.first_row):
        cells = [text(value) for value in values]
        for column, error in grid.layout.problems.get(row, {}).items():
            if 0 <= column - grid.first_column < len(cells):
                cells[column - grid.first_column] = error
        for column, code in grid.layout.formats.get(row, {}).items():
            at = column - grid.first_column
            if 0 <= at < len(cells) and isinstance(values[at], int | float):
                cells[at] = masked(float(values[at]), code) or cells[at]
        yield cells
