"""Finds the table on a sheet: the contract's range, anchor or header row; its titles; and the rows that are data.

Not here: what becomes of a value in a column (`lake/sources/spreadsheets.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from lake.contracts.model import Location
from lake.contracts.workbook_options import read_range
from lake.errors import FileRefused
from lake.sources.workbooks.layout import Merge
from lake.sources.workbooks.text import text
from lake.sources.workbooks.workbook import Grid, Value

Row = tuple[int, list[Value]]
"""0-based row, and the table's cells in it."""


@dataclass(frozen=True)
class Table:
    """A table on a sheet."""

    header_row: int
    """0-based row of the (first) header row."""
    first_column: int
    """0-based column of the first title."""
    titles: list[str]
    """'' where a column has none."""
    rows: Iterator[Row]
    """Its rows of data."""


def column_letters(column: int) -> str:
    """Return the name of a 0-based column: 0 is A, 16,383 XFD."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def find_table(grid: Grid, location: Location, where: str) -> Table:
    """Return the contract's table on a sheet; `where` is for messages.

    Raises `FileRefused` where its header is not, and later for a column with values and no title.
    """
    rows: Iterator[Row] = enumerate(grid.rows, grid.first_row)
    top, first, last, bottom = (
        location.header_row - 1,
        grid.first_column,
        grid.first_column + grid.width - 1,
        None,
    )
    if location.range:
        first, top, last, bottom = read_range(location.range)
    elif location.table_anchor:
        (top, cells), first = _find_anchor(rows, grid, location.table_anchor, where)
        rows = chain([(top, cells)], rows)
    rows = _cropped(rows, grid.first_column, first, last, bottom)
    header, rows = _split_header(rows, top, location.header_rows)
    if not any(_is_filled(cell) for row in header for cell in row):
        raise FileRefused(
            f"{where} has nothing on row {top + 1}, where its header should be: deliver it again with its header and"
            " rows, or correct in the contract where it stands."
        )
    titles = _join_header(header, top, first, grid.layout.merges)
    if location.table_anchor:
        width = titles.index("") if "" in titles else len(titles)
        titles = titles[:width]
        rows = _until_empty((row, cells[:width]) for row, cells in rows)
    return Table(top, first, titles, _data(rows, location, grid.layout.hidden_rows))


def is_empty(cells: Sequence[Value]) -> bool:
    """Whether no cell holds more than white space."""
    return not any(map(_is_filled, cells))


def _is_filled(cell: Value) -> bool:
    return not isinstance(cell, str) or not (cell == "" or cell.isspace())


def _find_anchor(rows: Iterator[Row], grid: Grid, anchor: str, where: str) -> tuple[Row, int]:
    """Return the row in which the anchor stands, and its column."""
    wanted = anchor.strip()
    for row, cells in rows:
        for i, cell in enumerate(cells):
            if isinstance(cell, str) and cell.strip() == wanted:
                return (row, cells), grid.first_column + i
    raise FileRefused(
        f"{where} has no cell {anchor!r}, where its table should begin: deliver it again with its header, or correct"
        " `table_anchor` in the contract."
    )


def _cropped(rows: Iterator[Row], start: int, first: int, last: int, bottom: int | None) -> Iterator[Row]:
    """Yield of each row the cells from column `first` to `last`; `start` is the column of the rows' first cell."""
    width = last - first + 1
    for row, cells in rows:
        if bottom is not None and row > bottom:
            return
        part = [""] * (start - first) + cells[max(first - start, 0) : max(last + 1 - start, 0)]
        yield row, part + [""] * (width - len(part))


def _split_header(rows: Iterator[Row], top: int, count: int) -> tuple[list[list[Value]], Iterator[Row]]:
    """Return the cells of the header's rows, and the rows that follow."""
    header: list[list[Value]] = []
    for row, cells in rows:
        if row >= top + count:
            rows = chain([(row, cells)], rows)
            break
        if row >= top:
            blank: list[Value] = [""] * len(cells)
            header += [blank] * (row - top - len(header)) + [cells]
    return header, rows


def _join_header(header: list[list[Value]], top: int, first_column: int, merges: list[Merge]) -> list[str]:
    """Join the header's rows per column as 'Upper / Lower'; a merged cell counts for every column it spans, once."""
    grid = [[" ".join(text(cell).split()) for cell in row] for row in header]
    width = len(grid[0])
    for first_row, first, last_row, last in merges if len(grid) > 1 else ():
        left, right = first - first_column, min(last - first_column, width - 1)
        if not top <= first_row < top + len(grid) or not 0 <= left < width:
            continue
        title = grid[first_row - top][left]
        for row in range(first_row, min(last_row + 1, top + len(grid))):
            for column in range(left, right + 1):
                grid[row - top][column] = title if row == first_row else ""
    return [" / ".join(part for part in parts if part) for parts in zip(*grid, strict=True)]


def _until_empty(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows before the first empty one: there the table ends, and another may follow."""
    for row, cells in rows:
        if is_empty(cells):
            return
        yield row, cells


def _data(rows: Iterator[Row], location: Location, hidden: set[int]) -> Iterator[Row]:
    """Yield the rows that are data: not empty, no totals, not hidden where the contract skips those."""
    totals = {label.strip().lower() for label in location.totals_label}
    skips_hidden = location.hidden_rows == "skip"
    for row, cells in rows:
        if is_empty(cells) or (skips_hidden and row in hidden):
            continue
        if totals and text(next(filter(_is_filled, cells))).strip().lower() in totals:
            continue
        yield row, cells
