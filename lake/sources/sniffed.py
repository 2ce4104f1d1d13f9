"""Reads a delimited file about which nothing is known: encoding, dialect and layout are found, crooked rows are mended.

For looking at a file and for proposing a contract. Nothing is loaded this way: once there is a contract it rules.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lake.sources import mending
from lake.sources.dialects import USUAL, detect_dialect, lines_of, width_of
from lake.sources.encodings import detect_encoding
from lake.sources.splitting import FileDialect, Record, records
from lake.sources.tables import Layout, find_layout

MAX_PROFILE_ROWS = 2000
MAX_MENDED_ROWS = 1000
"""Of a table so crooked that more rows do not fit, the rest is cut or filled up."""
OTHER_DELIMITER = 6.0
"""Cost of reading one row with another delimiter than the file's."""


@dataclass(frozen=True)
class Sniffed:
    """A file as it was understood."""

    encoding: str
    has_mark: bool
    """It begins with a byte order mark."""
    dialect: FileDialect
    header: tuple[str, ...]
    """One name per column; several header rows are joined by a space. Empty: there is no header."""
    header_parts: list[tuple[str, ...]]
    """The header's rows one by one."""
    rows: list[tuple[str, ...]]
    """The body of the first table, as text, every row as wide as the table."""
    width: int
    titles: list[str] = field(default_factory=list)
    """Lines above the header."""
    header_line: int = 1
    """1-based line of the first header row, or of the first row."""
    header_rows: int = 1
    rest: list[str] = field(default_factory=list)
    """Lines below the table: footnotes or further tables."""
    mended: list[tuple[int, str]] = field(default_factory=list)
    """(1-based line, text) of rows that did not fit and were read by the likeliest explanation."""


def read_any(path: Path) -> Sniffed:
    """Return the first table of a delimited text file of any dialect."""
    data = path.read_bytes()
    encoding, mark = detect_encoding(data)
    text = data[mark:].decode(encoding, "replace")
    return replace(read_text(text), encoding=encoding, has_mark=mark > 0)


def read_text(text: str) -> Sniffed:
    """Return the first table of a text."""
    dialect = detect_dialect(text)
    lines = lines_of(text, dialect.newline)
    if not lines:
        return Sniffed("utf-8", False, dialect, (), [], [], 0)
    found = list(records(lines, dialect))
    width = width_of(found)
    found = list(records(lines, dialect, width))
    layout = find_layout(found, width, dialect.delimiter)
    parts, rows, mended = _body(found, layout, dialect)
    header = tuple(" ".join(part for part in texts if part) for texts in zip(*parts, strict=True))
    first = found[layout.header].line if layout.header < len(found) else 0
    after = found[layout.end].line if layout.end < len(found) else len(lines)
    return Sniffed(
        "utf-8",
        False,
        dialect,
        header,
        parts,
        rows,
        width,
        titles=[line for line in lines[:first] if line.strip()],
        header_line=first + 1,
        header_rows=layout.body - layout.header,
        rest=[line for line in lines[after:] if line.strip()],
        mended=mended,
    )


def _body(
    found: Sequence[Record], layout: Layout, dialect: FileDialect
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], list[tuple[int, str]]]:
    """Return header rows, rows and what was mended of the records of a table."""
    body = found[layout.body : layout.end]
    as_wide = [record for record in body if record.width == layout.width and record.is_whole]
    # A quote within an unquoted field is odd where it is rare, and an inch where it is not.
    loose = sum(record.fit == "loose" for record in as_wide)
    fits = {"strict", "soft"} | ({"loose"} if loose > 0.1 * len(as_wide) else set())
    fitting = [record for record in as_wide if record.fit in fits][:MAX_PROFILE_ROWS]
    columns = mending.profiles(
        [record.fields for record in fitting], [record.quoted for record in fitting], layout.width
    )
    rows: list[tuple[str, ...]] = []
    mended: list[tuple[int, str]] = []
    for record in body:
        if record.width == layout.width and record.fit in fits:
            rows.append(record.fields)
        else:
            is_few = len(mended) < MAX_MENDED_ROWS
            rows.append(_mended(record, dialect, columns) if is_few else _levelled(record, layout.width))
            mended.append((record.line + 1, record.raw))
    titles = found[layout.header : layout.body]
    whole = [record for record in titles if record.width == layout.width and record.is_whole]
    named = mending.profiles([one.fields for one in whole], [one.quoted for one in whole], layout.width)
    header = [
        record.fields if record.width == layout.width and record.is_whole else _mended(record, dialect, named)
        for record in titles
    ]
    return header, rows, mended


def _mended(record: Record, dialect: FileDialect, columns: Sequence[mending.Profile]) -> tuple[str, ...]:
    """Return the likeliest values of a record that does not fit."""
    best = mending.mend(record.raw, dialect, columns)
    usual = OTHER_DELIMITER + sum(column.least() for column in columns)
    for other in USUAL if best is None or best[0] > usual else ():
        if other == dialect.delimiter or other not in record.raw:
            continue
        limit = math.inf if best is None else best[0] - OTHER_DELIMITER
        reading = mending.mend(record.raw, replace(dialect, delimiter=other), columns, limit)
        best = (reading[0] + OTHER_DELIMITER, reading[1]) if reading else best
    return best[1] if best is not None else _levelled(record, len(columns))


def _levelled(record: Record, width: int) -> tuple[str, ...]:
    """Return the fields cut or filled up to the width."""
    return (*record.fields, *[""] * width)[:width]
