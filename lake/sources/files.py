"""CSV files, plain or packed: finding those of a contract, and reading one as blocks of text rows.

The header is compared by name; then every record is cut by its own quotes and line ends (`records.py`) and parsed as
text by polars. Types, ranges and the like are `conforming.py`; nothing is written here.
"""

import codecs
import csv
import glob
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from lake.company import Company
from lake.contracts.model import Contract, Location
from lake.errors import ContractError, FileRefused
from lake.sources.block import Block, Reason, Refused
from lake.sources.coding import Coding, without_footer
from lake.sources.header import match_header
from lake.sources.packed import open_stream
from lake.sources.records import Cut, Dialect, cut, scan_record

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".uploading", ".swp", "~")
"""How transfer programs and editors call a file until it is whole."""
_BOM = codecs.BOM_UTF8
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def location_glob(company: Company, contract: Contract) -> str:
    """Return the contract's path with its variables filled in; `ContractError` names an unknown one."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in company.variables:
            known = ", ".join(f"${{{name}}}" for name in company.variables)
            raise ContractError(
                f"{contract.path}, servers[0].path: there is no variable ${{{match[1]}}}; use one of {known}."
            )
        return glob.escape(company.variables[match[1]])

    return _VARIABLE.sub(value, contract.location.path)


def find_files(company: Company, contract: Contract) -> list[tuple[str, Path]]:
    """Return (name, path) of every file of a dataset that has arrived, sorted by name.

    The name is the path below the last folder without a wildcard, so it tells deliveries apart.
    """
    pattern = location_glob(company, contract)
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts[:-1]) if glob.has_magic(part)), len(parts) - 1)
    # A folder whose escaped name holds brackets looks like magic: then names are only longer, never ambiguous.
    base = Path(*parts[:fixed]) if fixed else Path()
    found = (Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute patterns)
    return sorted(
        (str(path.relative_to(base)), path) for path in found if path.is_file() and not is_unfinished(path)
    )


def is_unfinished(path: Path) -> bool:
    """Whether a file's name says that its sender has not finished it: it gets its real name when it is whole."""
    return path.name.lower().endswith(UNFINISHED)


def read_csv(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read a CSV file as blocks of rows, `name` telling compression and standing in messages.

    Raises `FileRefused`, at the first block or later, for a file that cannot be read to its contract as a whole.
    """
    location = contract.location
    rows = 0
    with open_stream(path, name, location) as stream:
        chunks = without_footer(_utf8_chunks(stream, name, location.encoding), name, location)
        for block in _blocks(chunks, name, contract):
            rows += block.rows
            yield block
    if rows == 0:
        raise FileRefused(f"{name} has a header but no rows: deliver it again with its rows, or remove it.")


def _utf8_chunks(stream: IO[bytes], name: str, encoding: str) -> Iterator[bytes]:
    """Yield the text as UTF-8 with LF or CRLF line ends; bytes the encoding lacks stay invalid and are found later."""
    codec = codecs.lookup(encoding).name
    transcode = (
        None if codec in ("utf-8", "ascii") else codecs.getincrementaldecoder(codec)("surrogateescape")
    )
    returns_only = None
    is_first = True
    while chunk := stream.read(BLOCK_BYTES):
        if transcode:
            try:
                chunk = transcode.decode(chunk).encode("utf-8", "surrogateescape")
            except UnicodeError as error:
                raise FileRefused(
                    f"{name} is not {encoding} ({error}): deliver it so, or correct `encoding` in the contract."
                ) from error
        if is_first and chunk:
            chunk = chunk.removeprefix(_BOM)
            returns_only = b"\n" not in chunk and b"\r" in chunk
            is_first = False
        yield chunk.replace(b"\r", b"\n") if returns_only else chunk
    if transcode and transcode.getstate()[0]:
        raise FileRefused(
            f"{name} ends within a character of {encoding}, so it was cut off: deliver it again."
        )


def _blocks(chunks: Iterator[bytes], name: str, contract: Contract) -> Iterator[Block]:
    """Cut the stream into blocks at record boundaries, header first; no byte is skipped."""
    location = contract.location
    pending, line, dialect = b"", 1, None
    columns: list[str] = []
    coding = Coding(location)
    for chunk, is_last in _with_last(coding.coded(chunks, name)):
        pending += chunk
        boundary = len(pending) if is_last else pending.rfind(b"\n") + 1
        if boundary == 0 and not is_last:
            _refuse_endless_line(pending, name, line)
            continue
        data, rest = pending[:boundary], pending[boundary:]
        if dialect is None:
            dialect, columns, offset, line = _begin(data, name, contract, coding)
            data = data[offset:]
        pieces = cut(data, dialect, is_last=is_last)
        yield _text_block(data, pieces, dialect, columns, contract, coding, line, is_last=is_last)
        line += pieces.consumed_lines
        pending = data[pieces.consumed_bytes :] + rest
        _refuse_endless_line(pending, name, line)
    if dialect is None:
        raise FileRefused(f"{name} is empty: deliver it again with its header and rows, or remove it.")


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Pair every chunk with whether it is the last one; an empty stream yields nothing."""
    previous = next(chunks, None)
    for chunk in chunks:
        assert previous is not None
        yield previous, False
        previous = chunk
    if previous is not None:
        yield previous, True


def _refuse_endless_line(pending: bytes, name: str, line: int) -> None:
    if len(pending) > MAX_LINE_BYTES:
        raise FileRefused(
            f"{name}, line {line}: a row goes on for more than {MAX_LINE_BYTES >> 20} MB, so this is no CSV file"
            " with the contract's quotes and line ends: deliver it as the contract says."
        )


def _begin(data: bytes, name: str, contract: Contract, coding: Coding) -> tuple[Dialect, list[str], int, int]:
    """Return dialect, columns in the file's order, the offset of the first record and its physical line (1-based)."""
    location = contract.location
    dialect = Dialect(coding.delimiter, coding.quote, len(contract.columns), location.comment.encode())
    start, line = _skip_lines(data, location)
    if location.header == "none":
        return dialect, [column.name for column in contract.columns], start, line
    parts: list[list[str]] = []
    for _ in range(location.header_rows):
        found, start, line = _read_header(data, start, line, name, contract, coding)
        parts.append(found)
    width = max(map(len, parts))
    rows = [[*part, *[""] * (width - len(part))] for part in parts]
    header = [" / ".join(text.strip() for text in texts if text.strip()) for texts in zip(*rows, strict=True)]
    header = parts[0] if len(parts) == 1 else header
    columns = match_header(header, name, f"line {location.header_row}", contract)
    return replace(dialect, fields=len(header)), columns, start, line


def _skip_lines(data: bytes, location: Location) -> tuple[int, int]:
    """Return offset and number of the line at which the contract says that header or rows begin."""
    start, line = 0, 1
    comment = location.comment.encode()
    while line < location.header_row or (comment and data.startswith(comment, start)):
        newline = data.find(b"\n", start)
        if newline < 0:
            return len(data), line
        start, line = newline + 1, line + 1
    return start, line


def _read_header(
    data: bytes, start: int, line: int, name: str, contract: Contract, coding: Coding
) -> tuple[list[str], int, int]:
    """Return the names of a header row, the offset after it and the physical line that follows it (1-based)."""
    location = contract.location
    if not data[start:].strip():
        raise FileRefused(
            f"{name} has nothing on line {line}, where its header should be: deliver it again with"
            " its header and rows, or correct `header_row` in the contract."
        )
    found = scan_record(data, start, len(data), Dialect(coding.delimiter, coding.quote, 0))
    line_end = data.find(b"\n", start)
    end = found[0] if found else (line_end if line_end >= 0 else len(data))
    after = data.find(b"\n", end) + 1 or len(data)
    text = data[start:end].decode("utf-8", "backslashreplace").strip("\r\n")
    if "\0" in text:
        raise FileRefused(
            f"{name}, line {line}: the header holds NUL bytes, so the file is not"
            f" {location.encoding} text; deliver it so, or correct `encoding` in the contract (perhaps utf-16)."
        )
    return _split(text, coding), after, line + data.count(b"\n", start, after)


def _split(text: str, coding: Coding) -> list[str]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=coding.delimiter.decode(),
        quotechar=coding.quote.decode() or None,
        quoting=csv.QUOTE_MINIMAL if coding.quote else csv.QUOTE_NONE,
    )
    try:
        return [coding.value(name) for name in next(reader, [])]
    except csv.Error:
        # Such a line is no header of any contract: taken whole, it is refused by name.
        return [text]


def _text_block(
    data: bytes,
    pieces: Cut,
    dialect: Dialect,
    columns: list[str],
    contract: Contract,
    coding: Coding,
    first_line: int,
    *,
    is_last: bool,
) -> Block:
    """Parse the good records of a block as text, in the contract's column order."""
    used = data[: pieces.consumed_bytes]
    frame = coding.values(_parse(used, pieces, dialect, columns), used)
    missing = [column.name for column in contract.columns if column.name not in columns]
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    starts, ends = pieces.starts, pieces.ends

    def raw_text(rows: Sequence[int]) -> list[str]:
        return [_raw(coding.written(used[starts[i] : ends[i]])) for i in rows]

    block = Block(
        text=frame.select(column.name for column in contract.columns),
        lines=pl.Series("_line", pieces.lines + first_line, dtype=pl.Int64),
        raw_text=raw_text,
        refused=[
            Refused(line + first_line, _raw(coding.written(used[start:end])), tuple(reasons))
            for start, end, line, reasons in pieces.broken
        ],
        header=tuple(columns),
    )
    if is_last and contract.location.final_newline == "required" and used and not used.endswith(b"\n"):
        _mark_cut_off(block, pieces, len(used))
    return block


def _mark_cut_off(block: Block, pieces: Cut, length: int) -> None:
    """Refuse the record that the file's last byte belongs to: the line end that has to follow is missing."""
    reason = Reason("final_newline", None, "the last line has no line end, so the file was cut off here")
    if len(pieces.ends) and int(pieces.ends[-1]) == length:
        block.marks.append((len(pieces.ends) - 1, reason))
    elif block.refused:
        last = block.refused[-1]
        block.refused[-1] = Refused(last.line, last.raw_text, (*last.reasons, reason))


def _parse(used: bytes, pieces: Cut, dialect: Dialect, columns: list[str]) -> pl.DataFrame:
    if not len(pieces.starts):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    text = used if pieces.is_plain else _compacted(used, pieces)
    has_quotes = bool(dialect.quote) and dialect.quote in text
    frame = pl.read_csv(
        text,
        has_header=False,
        schema=dict.fromkeys(columns, pl.String),
        separator=dialect.delimiter.decode(),
        quote_char=dialect.quote.decode() if has_quotes else None,
    )
    if has_quotes:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    assert frame.height == len(pieces.starts), "polars and records.py disagree on what a record is"
    return frame


def _compacted(used: bytes, pieces: Cut) -> bytes:
    """Return the good records alone, copied run by run."""
    starts, ends = pieces.starts, pieces.ends
    between = starts[1:] - ends[:-1]
    is_crlf = (between == 2) & (np.frombuffer(used, dtype=np.uint8)[ends[:-1]] == ord("\r"))
    gaps = np.flatnonzero((between != 1) & ~is_crlf)
    run_starts = [int(starts[0]), *(int(starts[i + 1]) for i in gaps)]
    run_ends = [*(int(ends[i]) for i in gaps), int(ends[-1])]
    return b"\n".join(used[start:end] for start, end in zip(run_starts, run_ends, strict=True)) + b"\n"


def _raw(text: bytes) -> str:
    """Return a row as text; bytes that no text can hold stand as escapes."""
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
