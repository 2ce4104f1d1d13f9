r"""Delimiters of several characters and escaped characters, coded as single bytes that `records.py` can cut, and back.

Every sequence that a single byte cannot say (`||`, `\"`) becomes a control byte, line by line; values and raw text get
theirs back. What the sequences mean is in the contract; nothing is guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from lake.contracts.model import Location
from lake.errors import FileRefused

_CONTROLS = b"\x1f\x1e\x1d\x1c\x02\x03\x04\x05"
MAX_LINE_BYTES = 64 << 20


@dataclass(frozen=True)
class Mark:
    """A byte that stands for a sequence of the file; `value` is what the sequence means within a field."""

    byte: bytes
    written: bytes
    value: bytes


class Coding:
    """The codes of one file's dialect; most dialects need none."""

    def __init__(self, location: Location) -> None:
        """Choose a free control byte for every sequence of the contract's dialect."""
        delimiter, quote, escape = (
            text.encode() for text in (location.delimiter, location.quote, location.escape)
        )
        free = [bytes([byte]) for byte in _CONTROLS if bytes([byte]) not in (delimiter, quote, escape)]
        self.marks: list[Mark] = []
        self.delimiter, self.quote = delimiter, quote
        if escape:
            escaped = dict.fromkeys((escape, delimiter, *([quote] if quote else [])))
            self.marks += [Mark(free.pop(0), escape + sign, sign) for sign in escaped]
        if len(delimiter) > 1:
            self.delimiter = free.pop(0)
            self.marks.append(Mark(self.delimiter, delimiter, delimiter))
        self._by_written = {mark.written: mark.byte for mark in self.marks}
        longest_first = sorted(self._by_written, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first)))

    def coded(self, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
        """Yield the bytes of a file with its sequences coded, cut at line ends.

        Raises `FileRefused` for a file that holds one of the control bytes itself.
        """
        if not self.marks:
            yield from chunks
            return
        pending = b""
        for chunk in chunks:
            lines, newline, rest = (pending + chunk).rpartition(b"\n")
            pending = rest
            if newline:
                yield self._code(lines + newline, name)
            if len(pending) > MAX_LINE_BYTES:
                break
        if pending:
            yield self._code(pending, name)

    def _code(self, data: bytes, name: str) -> bytes:
        for mark in self.marks:
            if mark.byte in data:
                raise FileRefused(
                    f"{name} holds the control character 0x{mark.byte.hex()}, which cannot stand beside this delimiter or"
                    " escape character: deliver it without."
                )
        if len(self.marks) == 1:
            return data.replace(self.marks[0].written, self.marks[0].byte)
        return self._pattern.sub(lambda match: self._by_written[match[0]], data)

    def written(self, data: bytes) -> bytes:
        """Return coded bytes as they stood in the file."""
        for mark in self.marks:
            data = data.replace(mark.byte, mark.written)
        return data

    def value(self, text: str) -> str:
        """Return one coded field with what its sequences mean."""
        for mark in self.marks:
            text = text.replace(mark.byte.decode(), mark.value.decode())
        return text

    def values(self, frame: pl.DataFrame, data: bytes) -> pl.DataFrame:
        """Return the fields that were parsed from coded `data` with what their sequences mean."""
        for mark in self.marks:
            if mark.byte in data:
                frame = frame.with_columns(
                    pl.all().str.replace_all(mark.byte.decode(), mark.value.decode(), literal=True)
                )
        return frame


def without_footer(chunks: Iterator[bytes], name: str, location: Location) -> Iterator[bytes]:
    """Yield the bytes of a file without its last lines, which the contract's `footer_pattern` describes.

    Raises `FileRefused` where one of them does not match: then the file was cut off, or has no footer.
    """
    if location.footer_pattern is None:
        yield from chunks
        return
    pending = b""
    for chunk in chunks:
        pending += chunk
        start = _last_lines(pending, location.footer_lines)
        if start:
            yield pending[:start]
            pending = pending[start:]
    lines = [
        line.decode("utf-8", "backslashreplace").strip("\r") for line in pending.split(b"\n") if line.strip()
    ]
    pattern = re.compile(location.footer_pattern)
    for line in lines if len(lines) == location.footer_lines else [""]:
        if not pattern.fullmatch(line):
            raise FileRefused(
                f"{name}: the last {location.footer_lines} line(s) are no footer by the pattern"
                f" {location.footer_pattern!r} ({line[:80]!r}), so the file was cut off or its footer changed: deliver it"
                " again, or correct `footer_pattern` in the contract."
            )


def _last_lines(data: bytes, count: int) -> int:
    """Return where the last `count` lines that are not blank begin; 0 if there are no more."""
    end = len(data)
    while count and end > 0:
        start = data.rfind(b"\n", 0, end - 1) + 1 if end else 0
        count -= bool(data[start:end].strip())
        end = start
    return end
