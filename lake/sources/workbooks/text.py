"""Cells as text: each value in one plain, unambiguous form, whatever the sheet's number formats make of it.

Numbers have up to 15 significant digits (all that Excel keeps; what is beyond is noise of their binary form), a decimal
point and no exponent; dates are ISO 8601; times and durations hours:minutes:seconds; truth values true and false.
"""

import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from lake.sources.workbooks.workbook import CellError, Masked, Value

_SHORT = 16
"""A double that Python writes with so many characters or fewer has at most 15 digits."""


def text(value: Value) -> str:
    """Write one value.

    >>> text(0.1 + 0.2), text(12.0), text(1e-7), text(True), text(timedelta(hours=30))
    ('0.3', '12', '0.0000001', 'true', '30:00:00')
    """
    return _WRITERS[type(value)](value)


def number_text(value: float) -> str:
    """Write a number with up to 15 significant digits and no exponent.

    Excel knows no NaN and no infinity: what are their bits elsewhere is to it a number from 2^1024 up.
    """
    if not isfinite(value):
        return f"{Decimal(f'{_beyond_double(value):.15g}'):f}"
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    written = repr(value)
    if len(written) > _SHORT:
        written = f"{value:.15g}"
    return f"{Decimal(written):f}" if "e" in written else written


def _beyond_double(value: float) -> Decimal:
    """Return the number that Excel sees in the bits of a NaN or an infinity: its fraction, times 2^1024."""
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    magnitude = Decimal((1 << 52) + (bits & ((1 << 52) - 1))) * (1 << 972)
    return -magnitude if bits >> 63 else magnitude


def _duration(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = value.days * 86_400 + value.seconds
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: number_text,
    date: date.isoformat,
    datetime: lambda value: value.isoformat(" "),
    time: time.isoformat,
    timedelta: _duration,
    Masked: lambda value: value.shown,
    CellError: lambda value: value.shown,
}
