"""What a contract says of a workbook: which sheet, where the table lies on it, which rows are data.

Each option is a field of `Location`. Not here: finding the table (`lake/sources/workbooks/tables.py`).
"""

import re
from typing import Any

from lake.contracts import values
from lake.contracts.document import Node

SUFFIXES = (".xls", ".xlsx", ".xlsm", ".xlsb", ".ods")
MAX_COLUMNS = 16_384
_RANGE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6}):([A-Z]{1,3})([1-9][0-9]{0,6})?")
_ALONE = (("sheet", "sheet_position", "sheet_pattern"), ("header_row", "range", "table_anchor"))
"""Options that answer the same question: at most one of each group."""


def read_range(text: str) -> tuple[int, int, int, int | None]:
    """Return first column, first row, last column and last row of a range like B4:H200, 0-based.

    B4:H has no last row: None. Raises `ValueError` for what is no range, or lies outside any sheet.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    first, last = column_number(match[1]), column_number(match[3])
    top, bottom = int(match[2]) - 1, int(match[4]) - 1 if match[4] else None
    if first > last or last >= MAX_COLUMNS or (bottom is not None and top >= bottom):
        raise ValueError(text)
    return first, top, last, bottom


def names_workbook(path: str) -> bool:
    """Whether a path names workbooks, compressed or not."""
    return re.sub(r"\.(?:gz|bz2|xz|zst)$", "", path.lower()).endswith(SUFFIXES)


def column_number(letters: str) -> int:
    """Return the 0-based number of a column: A is 0, XFD 16,383."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _range(node: Node) -> str | None:
    try:
        read_range(node.text)
    except ValueError:
        node.reject(
            f"{node.text!r} is no range of cells: write e.g. B4:H200, or B4:H for all rows from the fourth"
        )
        return None
    return node.text


def _texts(node: Node) -> tuple[str, ...] | None:
    if isinstance(node.value, str):
        found = values.text(node)
        return (found,) if found else None
    return values.list_as_written(node)


WORKBOOK: dict[str, values.Parser] = {
    "sheet": values.text,
    "sheet_position": values.whole(1),
    "sheet_pattern": values.regex,
    "header_row": values.whole(1),
    "header_rows": values.whole(1),
    "range": _range,
    "table_anchor": values.text,
    "totals_label": _texts,
    "hidden_rows": values.one_of("read", "skip"),
    "decimal": values.one_of(".", ","),
}
"""Custom properties of the server, for workbooks."""


def check_options(server: Node, found: dict[str, Any]) -> None:
    """Judge that no two options answer the same question."""
    for group in _ALONE:
        named = [name for name in group if name in found]
        if len(named) > 1:
            server.reject(f"{' and '.join(named)} answer the same question: keep one")
