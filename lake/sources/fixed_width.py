"""Fixed-width files: a row a line, a field at fixed characters of it, as mainframes and carriers write them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from lake.contracts.model import Column, Contract
from lake.errors import FileRefused
from lake.sources.block import Block, Reason, Refused
from lake.sources.text import NOT_TEXT, clean, has_halves, line_groups, nul_marks, text_chunks

_PADDING = " \t"


def read_fixed_width(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read a file of fixed-width lines as blocks of rows; padding around a value is no part of it.

    `header_lines` at the top are passed over; empty lines are no rows. Raises `FileRefused`, at the first block or later,
    for a file that cannot be read as a whole.
    """
    location = contract.location
    line, rows = 1, 0
    for group in line_groups(text_chunks(path, name, location), name):
        skipped = min(max(location.header_lines - line + 1, 0), len(group))
        block = _block(group[skipped:], line + skipped, contract)
        line += len(group)
        rows += block.rows
        if block.rows:
            yield block
    if rows == 0:
        raise FileRefused(f"{name} has no rows: deliver it again with its rows, or remove it.")


def _block(lines: list[str], first: int, contract: Contract) -> Block:
    width = max(_end(column) for column in contract.columns)
    texts: list[str] = []
    numbers: list[int] = []
    refused: list[Refused] = []
    for number, raw in enumerate(lines, start=first):
        line = raw.removesuffix("\r")
        if not line.strip(_PADDING + "\x1a"):  # the last is how DOS ended a file
            continue
        if reason := _reason(line, width, may_be_short=contract.location.short_lines == "pad"):
            refused.append(Refused(number, clean(line), (reason,)))
        else:
            texts.append(line)
            numbers.append(number)
    series = pl.Series("line", texts, dtype=pl.String)
    frame = pl.DataFrame([_field(series, column) for column in contract.columns])

    def raw_text(rows: Sequence[int]) -> list[str]:
        return [clean(texts[row]) for row in rows]

    return Block(
        frame, pl.Series("_line", numbers, dtype=pl.Int64), raw_text, refused=refused, marks=nul_marks(frame)
    )


def _reason(line: str, width: int, *, may_be_short: bool) -> Reason | None:
    """Say why a line has no fields at the contract's places."""
    if len(line) < width and not may_be_short:
        return Reason("field_count", None, f"{len(line)} characters where the contract has {width}")
    if len(line) > width and line[width:].strip(_PADDING):
        return Reason(
            "field_count",
            None,
            f"more stands behind character {width}, where the contract's last column ends",
        )
    return NOT_TEXT if not line.isascii() and has_halves(line) else None


def _field(lines: pl.Series, column: Column) -> pl.Series:
    assert column.start is not None and column.width is not None
    text = lines.str.slice(column.start - 1, column.width).str.strip_chars(_PADDING)
    return text.set(text == "", None).alias(column.name)


def _end(column: Column) -> int:
    assert column.start is not None and column.width is not None
    return column.start - 1 + column.width
