"""Text of any file: decoded piece by piece, and what no text in the lake may hold (NUL, halves of characters)."""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from lake.contracts.model import Location
from lake.errors import FileRefused
from lake.sources.block import Reason
from lake.sources.packed import open_stream

CHUNK_BYTES = 8 << 20
GROUP_LINES = 20_000
MAXIMUM_LINE_CHARACTERS = 64 << 20
NUL = Reason("nul_byte", None, "a NUL byte stands in the row")
NOT_TEXT = Reason("encoding", None, "bytes that the contract's encoding does not have")


def text_chunks(path: Path, name: str, location: Location) -> Iterator[str]:
    """Yield a file's text without its byte-order mark; bytes that the encoding lacks stand as halves of characters.

    Raises `FileRefused` for a file that cannot be unpacked, or not be decoded at all.
    """
    decoder = codecs.getincrementaldecoder(location.encoding)("surrogateescape")
    is_first = True
    with open_stream(path, name, location) as stream:
        while True:
            data = stream.read(CHUNK_BYTES)
            try:
                chunk = decoder.decode(data, final=not data)
            except UnicodeError as error:
                raise FileRefused(
                    f"{name} is not {location.encoding} ({error}): deliver it so, or correct `encoding` in the contract."
                ) from error
            if is_first and chunk:
                chunk, is_first = chunk.removeprefix("\ufeff"), False
            if chunk:
                yield chunk
            if not data:
                return


def line_groups(chunks: Iterator[str], name: str) -> Iterator[list[str]]:
    """Yield the lines of a text, some thousand at a time: ended by LF or CRLF (the CR stays), or all by CR alone.

    Raises `FileRefused` for a line that does not end within `MAXIMUM_LINE_CHARACTERS`.
    """
    pending, line, returns_only = "", 1, None
    for chunk in chunks:
        if returns_only is None:
            returns_only = "\n" not in chunk and "\r" in chunk
        text = chunk.replace("\r", "\n") if returns_only else chunk
        *lines, pending = (pending + text).split("\n")
        line += len(lines)
        for start in range(0, len(lines), GROUP_LINES):
            yield lines[start : start + GROUP_LINES]
        if len(pending) > MAXIMUM_LINE_CHARACTERS:
            raise FileRefused(
                f"{name}, line {line}: a row goes on for more than {MAXIMUM_LINE_CHARACTERS >> 20} million characters, so"
                " its lines do not end as the contract's format says: deliver it with one row a line."
            )
    if pending:
        yield [pending]


def nul_marks(frame: pl.DataFrame) -> list[tuple[int, Reason]]:
    """Return (row, reason) for every row in which a text holds a NUL character."""
    found: set[int] = set()
    for column in frame.iter_columns():
        if column.dtype == pl.String:
            found.update(column.str.contains("\0", literal=True).fill_null(False).arg_true().to_list())
    return [(row, NUL) for row in sorted(found)]


def has_halves(text: str) -> bool:
    """Whether a text holds half a character (a lone surrogate), which stands for bytes that are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def clean(text: str) -> str:
    r"""Return a row as it can be kept: halves of characters and NUL stand as escapes.

    >>> print(clean("a\udcffb\0"))
    a\xffb\x00
    """
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if not has_halves(text) else "".join(_escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how `surrogateescape` keeps a byte
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else character


def texts(name: str, values: Sequence[str | None]) -> tuple[pl.Series, list[int]]:
    """Return texts as a column, empty ones null, and the rows whose text holds half a character (they stay null)."""
    try:
        column = pl.Series(name, values, dtype=pl.String)
        bad: list[int] = []
    except UnicodeEncodeError:
        bad = [row for row, value in enumerate(values) if value is not None and has_halves(value)]
        spoiled = set(bad)
        kept = [None if row in spoiled else value for row, value in enumerate(values)]
        column = pl.Series(name, kept, dtype=pl.String)
    return column.set(column == "", None), bad
