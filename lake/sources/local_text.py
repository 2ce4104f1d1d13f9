"""Texts as a place writes them, into texts as a contract's types are written: decimal signs, thousands, words for nothing.

Only what the contract says is read so. Checks and casts are `conforming.py`.
"""

import re
from functools import lru_cache

import polars as pl

from lake.contracts.model import Column, Location


def plain(text: pl.Series, column: Column, location: Location) -> tuple[pl.Series, pl.Series | None]:
    """Return a String column with the decimal point and without thousands, and which fields are no number so written.

    Those fields keep their text; None where nothing could be wrong. Null words are null.
    """
    if column.nulls:
        text = text.set(text.is_in(list(column.nulls)).fill_null(False), None)
    decimal = location.decimal or "."
    is_plain = decimal == "." and not location.thousands
    if column.type not in ("integer", "number") or is_plain or location.format in ("xlsx", "spreadsheet"):
        return text, None  # a workbook's reader knows numbers from texts, and has written them plain
    pattern = _pattern(decimal, location.thousands, column.type == "number")
    is_written_so = text.str.contains(pattern)
    written = text.str.replace_all(location.thousands, "", literal=True) if location.thousands else text
    written = written.str.replace(decimal, ".", literal=True)
    return written.zip_with(is_written_so.fill_null(True), text), ~is_written_so.fill_null(True)


@lru_cache
def _pattern(decimal: str, thousands: str, has_decimals: bool) -> str:
    """Return what a whole number so written looks like: with thousands in groups of three everywhere, or nowhere."""
    whole = r"[0-9]+"
    if thousands:
        whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    point = re.escape(decimal)
    number = rf"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)" if has_decimals else whole
    return rf"\A[+-]?{number}\z"
