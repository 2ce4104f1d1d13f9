"""The first rows of every sheet of a workbook as text, with a guess at the header: what a contract is proposed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lake.sources.workbooks.text import text
from lake.sources.workbooks.workbook import Value, Workbook

_HEADER_WITHIN = 30
"""Rows, from the first used one, among which a header is looked for."""
_FILLED_SHARE = 0.8
"""Of the widest row's cells that a header fills."""


@dataclass(frozen=True)
class SheetSample:
    """Some rows of one sheet."""

    name: str
    position: int
    """1-based, among the tabs."""
    is_hidden: bool
    first_row: int
    """1-based row of `rows[0]`."""
    first_column: int
    """1-based column of the first cell of each row."""
    rows: list[list[str]]
    header_row: int | None
    """1-based row that looks like the header; None where none does."""


def sample_sheets(path: Path, name: str, rows: int = 1_000) -> list[SheetSample]:
    """Return up to `rows` used rows of every sheet that has cells. Raises `FileRefused` for what is no workbook."""
    workbook = Workbook(path, name)
    found = []
    for sheet in workbook.sheets:
        if not sheet.has_cells:
            continue
        grid = workbook.grid(sheet)
        values = list(islice(grid.rows, rows))
        header = guess_header(values)
        found.append(
            SheetSample(
                name=sheet.name,
                position=sheet.position,
                is_hidden=sheet.is_hidden,
                first_row=grid.first_row + 1,
                first_column=grid.first_column + 1,
                rows=[[text(value) for value in row] for row in values],
                header_row=None if header is None else grid.first_row + 1 + header,
            )
        )
    return found


def guess_header(rows: Sequence[Sequence[Value]]) -> int | None:
    """Return which row looks like a header: the first with different texts in nearly as many cells as the widest has."""
    head = [[value for value in row if value != ""] for row in rows[:_HEADER_WITHIN]]
    widest = max(map(len, head), default=0)
    for i, filled in enumerate(head):
        is_wide = len(filled) >= max(_FILLED_SHARE * widest, 1)
        is_text = all(isinstance(value, str) for value in filled) and len(set(map(str, filled))) == len(
            filled
        )
        if is_wide and is_text and any(head[i + 1 :]):
            return i
    return None
