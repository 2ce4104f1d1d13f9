"""Workbooks (.xls, .xlsx, .xlsm, .xlsb, .ods): the table of a contract on its sheet, as blocks of text rows.

How a workbook is opened and where a table lies on a sheet is `workbooks/`; `conforming.py` checks the text.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import polars as pl

from lake.contracts.model import Column, Contract, Location
from lake.errors import FileRefused
from lake.sources.block import Block, Reason
from lake.sources.header import match_header
from lake.sources.workbooks.layout import NO_SAVED_VALUE
from lake.sources.workbooks.tables import Row, Table, column_letters, find_table, is_empty
from lake.sources.workbooks.text import number_text, text
from lake.sources.workbooks.workbook import CellError, Sheet, Value, Workbook

BLOCK_ROWS = 20_000
_GROUPED = {
    ".": re.compile(r"[-+]?[0-9]{1,3}(?:[ ,'\u2019\u00a0\u202f][0-9]{3})+(?:\.[0-9]*)?|[-+]?[0-9]*\.?[0-9]+"),
    ",": re.compile(r"[-+]?[0-9]{1,3}(?:[ .'\u2019\u00a0\u202f][0-9]{3})+(?:,[0-9]*)?|[-+]?[0-9]*,?[0-9]+"),
}
"""How people type a number, by their decimal sign."""
_POINTED = re.compile(r"[-+]?[0-9]*\.?[0-9]+")
"""What would be taken for a number though it is none by another decimal sign."""


def read_spreadsheet(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read the contract's table of a workbook, from each sheet that the contract chooses.

    Raises `FileRefused` when the workbook, a sheet or its header cannot be read to the contract.
    """
    if path.stat().st_size == 0:
        raise FileRefused(f"{name} is empty: deliver it again with its sheet, or remove it.")
    workbook = Workbook(path, name)
    sheets = choose_sheets(workbook, contract.location)
    rows = 0
    for sheet in sheets:
        for block in _blocks(workbook, sheet, contract):
            rows += block.rows
            yield block
    if rows == 0:
        where = f"sheet {sheets[0].name!r} has" if len(sheets) == 1 else f"its {len(sheets)} sheets have"
        raise FileRefused(
            f"{name}, {where} a header but no rows: deliver it again with its rows, or remove it."
        )


def choose_sheets(workbook: Workbook, location: Location) -> list[Sheet]:
    """Return the sheets that a contract names, by name, position or pattern: one, or for a pattern all that match."""
    sheets = [sheet for sheet in workbook.sheets if sheet.has_cells]
    if location.sheet is not None:
        wanted, chosen = repr(location.sheet), [sheet for sheet in sheets if sheet.name == location.sheet]
    elif location.sheet_position is not None:
        wanted = str(location.sheet_position)
        chosen = [sheet for sheet in sheets if sheet.position == location.sheet_position]
    elif location.sheet_pattern is not None:
        wanted = f"like {location.sheet_pattern!r}"
        chosen = [sheet for sheet in sheets if re.fullmatch(location.sheet_pattern, sheet.name)]
    else:
        wanted, chosen = "with cells", sheets[:1]
    if not chosen:
        known = ", ".join(repr(sheet.name) for sheet in sheets[:20]) or "none"
        raise FileRefused(
            f"{workbook.name} has no sheet {wanted} (it has {known}): deliver it with that sheet, or correct the sheet"
            " in the contract."
        )
    return chosen


def _blocks(workbook: Workbook, sheet: Sheet, contract: Contract) -> Iterator[Block]:
    name = workbook.name
    table = find_table(workbook.grid(sheet), contract.location, f"{name}, sheet {sheet.name!r}")
    titled = [i for i, title in enumerate(table.titles) if title]
    where = f"sheet {sheet.name!r}, row {table.header_row + 1}"
    names = match_header([table.titles[i] for i in titled], name, where, contract)
    position_of = dict(zip(names, titled, strict=True))
    rows = _only_titled(table, name, sheet.name)
    while batch := list(islice(rows, BLOCK_ROWS)):
        yield _block(batch, position_of, contract, sheet.name)


def _only_titled(table: Table, name: str, sheet: str) -> Iterator[Row]:
    """Yield the table's rows; a value in a column without a title is refused."""
    untitled = [i for i, title in enumerate(table.titles) if not title]
    for row, cells in table.rows:
        for i in untitled:
            if not is_empty(cells[i : i + 1]):
                raise FileRefused(
                    f"{name}, sheet {sheet!r}: column {column_letters(table.first_column + i)} has values (first on row"
                    f" {row + 1}) but no header; give it its header, or clear it, and deliver again."
                )
        yield row, cells


def _block(rows: list[Row], position_of: dict[str, int], contract: Contract, sheet: str) -> Block:
    marks: list[tuple[int, Reason]] = []
    columns = []
    for column in contract.columns:
        if column.name not in position_of:
            columns.append(pl.Series(column.name, [None] * len(rows), dtype=pl.String))
            continue
        at = position_of[column.name]
        write = _writer(column, contract.location.decimal)
        values = [cells[at] for _, cells in rows]
        marks += [
            (i, reason)
            for i, value in enumerate(values)
            if (reason := _problem(value, column, contract.location.decimal))
        ]
        columns.append(pl.Series(column.name, [write(value) for value in values], dtype=pl.String))

    def raw_text(positions: Sequence[int]) -> list[str]:
        return ["\t".join(text(cell) for cell in rows[i][1]) for i in positions]

    lines = pl.Series("_line", [row + 1 for row, _ in rows], dtype=pl.Int64)
    return Block(pl.DataFrame(columns), lines, raw_text, marks=marks, sheet=sheet, header=tuple(position_of))


def _problem(value: Value, column: Column, decimal: str | None) -> Reason | None:
    """Say what is wrong with a cell that its text alone would not show."""
    if isinstance(value, CellError):
        words = f"the cell holds an error ({value.shown})"
        if value.shown == NO_SAVED_VALUE:
            words = f"the cell holds {NO_SAVED_VALUE}: open the workbook and save it again"
        return Reason("cell_error", column.name, words)
    if decimal and isinstance(value, str) and column.type in ("integer", "number"):
        typed = value.strip()
        if _POINTED.fullmatch(typed) and not _GROUPED[decimal].fullmatch(typed):
            return Reason("type", column.name, f"{typed!r} is no number with the decimal sign {decimal!r}")
    return None


def _writer(column: Column, decimal: str | None) -> Callable[[Value], str | None]:
    """Return how a cell is written as the contract's type would be in a text file; other text stays as it is."""
    is_number = column.type in ("integer", "number")
    is_moment = column.type in ("date", "timestamp")

    def write(value: Value) -> str | None:
        if isinstance(value, str):
            return (_typed_number(value, decimal) if is_number and decimal else value) or None
        if isinstance(value, CellError):
            return None
        if isinstance(value, bool):
            return _truth(value, column)
        if is_number and isinstance(value, float):
            return number_text(value)
        if is_moment and isinstance(value, date):
            return _moment(value, column)
        return text(value)

    return write


def _typed_number(typed: str, decimal: str) -> str:
    """Write a number that was typed as text with a decimal point: '1.234,5' as '1234.5'."""
    stripped = typed.strip()
    if not _GROUPED[decimal].fullmatch(stripped):
        return typed
    kept = "".join(character for character in stripped if character in "+-0123456789" or character == decimal)
    return kept.replace(decimal, ".").removeprefix("+")


def _truth(value: bool, column: Column) -> str:
    if column.type == "boolean" and column.format:
        true, _, false = column.format.partition("/")
        return true if value else false
    return text(value)


def _moment(value: date, column: Column) -> str:
    """Write a date or moment in the column's format; as ISO 8601, which is then refused, where the format would cut it."""
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    is_midnight = moment == datetime(moment.year, moment.month, moment.day)
    if column.type == "date" and not is_midnight:
        return text(moment)
    if column.format:
        written = moment.strftime(column.format)
        return written if _read_back(written, column.format) == moment else text(moment)
    return moment.date().isoformat() if column.type == "date" else moment.isoformat(" ")


def _read_back(written: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(written, pattern).replace(tzinfo=None)
    except ValueError:
        return None
