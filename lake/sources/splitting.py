"""Splits delimited text into records and fields as a given dialect says, and tells which records do not obey it.

Tolerant by design: for looking at files whose dialect nobody has promised. What is loaded under a contract is cut by
`records.py`, which refuses what is not exactly as agreed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

MAX_JOINED_LINES = 60
"""A quoted field open for more lines than this was never closed."""

Fit = Literal["strict", "soft", "loose", "open"]


@dataclass(frozen=True)
class FileDialect:
    """How fields and records are written. `delimiter` '' means one column; `quote` and `escape` may be ''."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    """Character before a quote, delimiter or itself that is data; '' if only doubling escapes."""
    newline: str = "\n"

    @cached_property
    def field(self) -> re.Pattern[str]:
        """Pattern of one field and the delimiter or end after it: groups quoted, stray, plain."""
        q, e, d = (re.escape(text) for text in (self.quote, self.escape, self.delimiter))
        end = f"(?:{d}|\\Z)" if d else "\\Z"
        if e:
            plain = f"(?P<plain>(?:{e}(?s:.)|(?!{end})(?s:.))*){end}"
        else:
            plain = f"(?P<plain>[^{d}]*){end}" if len(self.delimiter) == 1 else f"(?P<plain>(?s:.)*?){end}"
        if not q:
            return re.compile(plain)
        inside = f"[^{q}{e}]*(?:(?:{e}(?s:.)|{q}{q})[^{q}{e}]*)*" if e else f"[^{q}]*(?:{q}{q}[^{q}]*)*"
        return re.compile(f"{q}(?P<quoted>{inside}){q}{end}|{q}(?P<stray>(?s:.)*?){q}{end}|{plain}")

    def unescape(self, text: str) -> str:
        """Return the value of a quoted field's inside."""
        if self.escape and self.escape in text:
            marks = "".join(map(re.escape, {self.escape, self.quote, *self.delimiter}))
            text = re.sub(f"{re.escape(self.escape)}([{marks}])", r"\1", text)
        return text.replace(self.quote * 2, self.quote) if self.quote else text

    def unescape_plain(self, text: str) -> str:
        """Return the value of an unquoted field."""
        if self.escape and self.escape in text and self.escape != '"':
            marks = "".join(map(re.escape, {self.escape, self.quote, *self.delimiter}))
            return re.sub(f"{re.escape(self.escape)}([{marks}])", r"\1", text)
        return text


@dataclass(frozen=True)
class Record:
    """One record as far as the dialect makes one."""

    line: int
    """0-based physical line on which it starts."""
    raw: str
    fields: tuple[str, ...]
    quoted: tuple[bool, ...]
    fit: Fit
    """strict: as the dialect says; soft: with stray quotes inside quoted fields; loose: with quotes inside unquoted
    fields; open: a quote never closes, so that
    the fields are only the pieces between delimiters."""

    @property
    def width(self) -> int:
        """Number of fields."""
        return len(self.fields)

    @property
    def is_whole(self) -> bool:
        """Whether its fields could be told apart."""
        return self.fit != "open"


def split(raw: str, dialect: FileDialect, line: int = 0) -> Record:
    """Split the text of one record."""
    if not dialect.delimiter and not (dialect.quote and dialect.quote in raw):
        return Record(line, raw, (dialect.unescape_plain(raw),), (False,), "strict")
    if not any(mark and mark in raw for mark in (dialect.quote, dialect.escape)):
        fields = tuple(raw.split(dialect.delimiter))
        return Record(line, raw, fields, (False,) * len(fields), "strict")
    values: list[str] = []
    quoted: list[bool] = []
    fit: Fit = "strict"
    position, match_field = 0, dialect.field.match
    while True:
        match = match_field(raw, position)
        assert match is not None
        which = match.lastgroup
        if which == "quoted":
            values.append(dialect.unescape(match["quoted"]))
        elif which == "stray":
            values.append(dialect.unescape(match["stray"]))
            fit = "soft" if fit == "strict" else fit
        else:
            values.append(dialect.unescape_plain(match["plain"]))
            fit = "loose" if dialect.quote and dialect.quote in match["plain"] else fit
            if dialect.quote and raw.startswith(dialect.quote, position):
                pieces = tuple(piece.strip(dialect.quote) for piece in raw.split(dialect.delimiter or "\n"))
                return Record(line, raw, pieces, (False,) * len(pieces), "open")
        quoted.append(which != "plain")
        position = match.end()
        if position >= len(raw) and not (match.group().endswith(dialect.delimiter) and dialect.delimiter):
            break
        if position >= len(raw):
            values.append("")
            quoted.append(False)
            break
    return Record(line, raw, tuple(values), tuple(quoted), fit)


def records(lines: list[str], dialect: FileDialect, width: int = 0) -> Iterator[Record]:
    """Yield the records of physical lines; a field left open goes on over the next lines if that makes a whole record.

    `width`: a record over several lines has to have so many fields (0: as many as it likes). Blank lines are left out.
    """
    i = 0
    while i < len(lines):
        if not lines[i] or lines[i].isspace():
            i += 1
            continue
        found, used = split(lines[i], dialect, i), 1
        if found.fit == "open" or (found.fit != "strict" and found.width != width):
            longer = _over_lines(lines, i, dialect, width)
            if longer is not None:
                found, used = longer
        yield found
        i += used


def _over_lines(lines: list[str], first: int, dialect: FileDialect, width: int) -> tuple[Record, int] | None:
    raw = lines[first]
    quotes = raw.count(dialect.quote)
    for used in range(2, min(MAX_JOINED_LINES, len(lines) - first) + 1):
        text = lines[first + used - 1]
        raw += "\n" + text
        quotes += text.count(dialect.quote)
        if quotes % 2 or dialect.quote not in text:
            continue
        record = split(raw, dialect, first)
        if record.fit == "strict" and (not width or record.width == width):
            return record, used
        if record.fit != "open":
            return None
    return None
