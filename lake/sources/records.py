"""Cuts delimited bytes into records: where each starts and ends, on which physical line, and which are broken.

Works on whole blocks with NumPy; only lines whose quotes look wrong are walked one by one. What a field means is
no business of this module: that is `conforming.py`.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lake.sources.block import Reason

MAX_RECORD_LINES = 1000
"""A quoted field that is still open after so many lines was never closed: only its first line is refused."""

NEWLINE, RETURN = 10, 13
Offsets = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Dialect:
    """How the records of a file are written; `delimiter` and `quote` are single ASCII bytes (quote b'': none)."""

    delimiter: bytes
    quote: bytes
    fields: int
    comment: bytes = b""
    """A line that begins with it, and not within a quoted field, is no record; b'': there are none."""


@dataclass
class Cut:
    """The records of a block: byte offsets without line ends, and 0-based physical lines within the block."""

    starts: Offsets
    ends: Offsets
    lines: Offsets
    broken: list[tuple[int, int, int, list[Reason]]] = field(default_factory=list)
    """(start, end, line, reasons) of records that cannot be told apart into fields."""
    consumed_bytes: int = 0
    consumed_lines: int = 0
    is_plain: bool = False
    """Every byte of the block up to `consumed_bytes` belongs to a good record or its line end."""


def scan_record(data: bytes, start: int, limit: int, dialect: Dialect) -> tuple[int, int] | None:
    """Walk one record from `start`; return (end without line end, number of fields), or None if it is malformed.

    A field that opens with a quote closes with one, followed by a delimiter or the line end; a quote anywhere
    else is malformed. `limit` bounds the search.
    """
    position, fields, line_end = start, 1, -1
    while True:
        if dialect.quote and data[position : position + 1] == dialect.quote:
            close = data.find(dialect.quote, position + 1, limit)
            while close >= 0 and data[close + 1 : close + 2] == dialect.quote:
                close = data.find(dialect.quote, close + 2, limit)
            if close < 0:
                return None
            end = close + 1
        else:
            if line_end < position:  # looked for once a line: a hostile one has millions of fields
                line_end = data.find(b"\n", position, limit)
                line_end = limit if line_end < 0 else line_end
            end = data.find(dialect.delimiter, position, line_end)
            if end < 0:
                end = (
                    line_end - 1
                    if data[line_end - 1 : line_end] == b"\r" and line_end > position
                    else line_end
                )
            if dialect.quote and data.find(dialect.quote, position, end) >= 0:
                return None
        if data[end : end + 1] == dialect.delimiter and end < limit:
            position, fields = end + 1, fields + 1
        elif (
            end >= limit
            or data[end : min(end + 2, limit + 1)] in (b"\n", b"\r\n", b"\r")
            or data[end] == NEWLINE
        ):
            return end, fields
        else:
            return None


def cut(data: bytes, dialect: Dialect, *, is_last: bool) -> Cut:
    """Cut a block that starts at a record and ends with a line end (or, if `is_last`, with the file)."""
    return _Cutter(data, dialect, is_last).run()


class _Cutter:
    """State shared by the steps of `cut`: one line is one candidate record until quotes say otherwise."""

    def __init__(self, data: bytes, dialect: Dialect, is_last: bool) -> None:
        self.data, self.dialect, self.is_last = data, dialect, is_last
        self.bytes = np.frombuffer(data, dtype=np.uint8)
        newlines = np.flatnonzero(self.bytes == NEWLINE)
        closed = not data or data[-1] == NEWLINE
        self.starts: Offsets = np.concatenate(([0], newlines + 1))[: len(newlines) + (not closed)]
        self.line_ends: Offsets = newlines if closed else np.append(newlines, len(data))
        self.has_return = b"\r" in data
        self.ends = self.line_ends
        if self.has_return:
            before = self.bytes[np.maximum(self.line_ends - 1, 0)]
            self.ends = self.line_ends - ((before == RETURN) & (self.line_ends > self.starts))
        self.keep: Mask = self.ends > self.starts
        if dialect.comment and dialect.comment in data:
            self.keep &= self.bytes[np.minimum(self.starts, len(data) - 1)] != dialect.comment[0]
        self.is_multi_line: Mask = np.zeros(len(self.starts), dtype=np.bool_)
        self.reasons: dict[int, list[Reason]] = {}
        self.line_count = len(self.starts)

    def run(self) -> Cut:
        counts = self._delimiters_per_line()
        if self.dialect.quote and self.dialect.quote in self.data:
            is_fine, counts = self._local_quotes(self._positions(self.dialect.quote), counts)
            self._walk_quotes(is_fine | ~self.keep)
        self._check_field_counts(counts)
        self._check_bytes()
        return self._result()

    def _positions(self, byte: bytes) -> Offsets:
        return np.flatnonzero(self.bytes == byte[0])

    def _delimiters_per_line(self) -> Offsets:
        if not self.line_count:
            return np.zeros(0, dtype=np.int64)
        is_delimiter = (self.bytes == self.dialect.delimiter[0]).view(np.uint8)
        # Bytes add up fastest, and no line of less than 256 of them makes them overflow.
        longest = int((self.line_ends - self.starts).max())
        small = np.uint8 if longest < 256 else np.int64
        return np.add.reduceat(is_delimiter, self.starts, dtype=small).astype(np.int64)

    def _line_of(self, positions: Offsets) -> Offsets:
        return np.searchsorted(self.starts, positions, side="right") - 1

    def _local_quotes(self, quotes: Offsets, counts: Offsets) -> tuple[Mask, Offsets]:
        """Say which lines are whole records as far as quotes go, and count their delimiters outside quotes."""
        line = self._line_of(quotes)
        per_line = np.bincount(line, minlength=self.line_count)
        first = np.cumsum(per_line) - per_line
        opens = ((np.arange(len(quotes)) - first[line]) & 1) == 0
        quote, delimiter = self.dialect.quote[0], self.dialect.delimiter[0]
        previous = self.bytes[np.maximum(quotes - 1, 0)]
        following = self.bytes[np.minimum(quotes + 1, len(self.data) - 1)]
        opens_well = (quotes == self.starts[line]) | (previous == delimiter) | (previous == quote)
        closes_well = (quotes + 1 >= self.ends[line]) | (following == delimiter) | (following == quote)
        is_bad = ~np.where(opens, opens_well, closes_well)
        is_fine = (per_line & 1) == 0
        is_fine[line[is_bad]] = False
        delimiters, delimiter_line = self._delimiters_of(np.flatnonzero(per_line), counts)
        inside = ((np.searchsorted(quotes, delimiters) - first[delimiter_line]) & 1) == 1
        return is_fine, counts - np.bincount(delimiter_line[inside], minlength=self.line_count)

    def _delimiters_of(self, lines: Offsets, counts: Offsets) -> tuple[Offsets, Offsets]:
        """Return where the delimiters of these lines stand (perhaps of others too), each with its line."""
        if 4 * len(lines) > self.line_count:
            return self._positions(self.dialect.delimiter), np.repeat(np.arange(self.line_count), counts)
        lengths = self.line_ends[lines] - self.starts[lines]
        before = np.cumsum(lengths) - lengths
        every = np.repeat(self.starts[lines] - before, lengths) + np.arange(int(lengths.sum()))
        is_delimiter = self.bytes[every] == self.dialect.delimiter[0]
        return every[is_delimiter], np.repeat(lines, lengths)[is_delimiter]

    def _walk_quotes(self, is_fine: Mask) -> None:
        """Decide, one by one, about lines whose quotes do not close on the line itself."""
        after = 0
        for i in np.flatnonzero(~is_fine).tolist():
            if i < after:
                continue
            last = min(i + MAX_RECORD_LINES, self.line_count) - 1
            limit = int(self.line_ends[last])
            found = scan_record(self.data, int(self.starts[i]), limit, self.dialect)
            is_cut_off = found is None and not self.is_last and last == self.line_count - 1
            if is_cut_off and i > self.line_count - MAX_RECORD_LINES and self._may_go_on(i, limit):
                self._truncate(i)
                return
            if found and found[1] == self.dialect.fields:
                end = found[0]
                j = int(self._line_of(np.array([end]))[0])
                self.keep[i + 1 : j + 1] = False
                self.is_multi_line[i] = True
                self.ends = self.ends.copy() if self.ends is self.line_ends else self.ends
                self.ends[i] = end
                after = j + 1
            else:
                message = "a quote stands where it neither opens nor closes a field"
                self._refuse(i, Reason("quote", None, message))
                after = i + 1

    def _may_go_on(self, line: int, limit: int) -> bool:
        """Whether more bytes could still make a record of what starts here: its last quote is open."""
        closed = self.data[int(self.starts[line]) : limit] + self.dialect.quote
        return scan_record(closed, 0, len(closed), self.dialect) is not None

    def _truncate(self, line: int) -> None:
        """Leave this line and what follows to the next block."""
        self.line_count = line
        for name in ("starts", "ends", "line_ends", "keep", "is_multi_line"):
            setattr(self, name, getattr(self, name)[:line])

    def _refuse(self, line: int, reason: Reason) -> None:
        self.reasons.setdefault(line, []).append(reason)
        self.keep[line] = False

    def _check_field_counts(self, counts: Offsets) -> None:
        wrong = (counts[: self.line_count] != self.dialect.fields - 1) & self.keep & ~self.is_multi_line
        for i in np.flatnonzero(wrong).tolist():
            found = int(counts[i]) + 1
            message = f"{found} fields where the header has {self.dialect.fields}"
            self._refuse(i, Reason("field_count", None, message))

    def _check_bytes(self) -> None:
        """Refuse records with NUL bytes, bytes that are not UTF-8, or a carriage return outside a quoted field."""
        if b"\0" in self.data:
            for i in self._records_at(self._positions(b"\0")):
                self._refuse(i, Reason("nul_byte", None, "a NUL byte stands in the row"))
        if self.has_return:
            lone = self._positions(b"\r")
            lone = lone[self.bytes[np.minimum(lone + 1, len(self.data) - 1)] != NEWLINE]
            for i in self._records_at(lone):
                if not self._is_quoted_return(i):
                    message = "a carriage return stands inside the row, so two rows may have run together"
                    self._refuse(i, Reason("line_end", None, message))
        if not self.data.isascii() and not self._is_utf8(self.data):
            for i in self._records_at(np.flatnonzero(self.bytes >= 128)):
                if not self._is_utf8(self.data[self.starts[i] : self.ends[i]]):
                    self._refuse(
                        i, Reason("encoding", None, "bytes that the contract's encoding does not have")
                    )

    def _records_at(self, positions: Offsets) -> list[int]:
        """Return the records (kept or refused) in which any of these bytes stand."""
        is_record = self.keep.copy()
        is_record[list(self.reasons)] = True
        records = np.flatnonzero(is_record)
        if not len(records):
            return []
        index = np.searchsorted(self.starts[records], positions, side="right") - 1
        within = (index >= 0) & (positions < self.ends[records[np.maximum(index, 0)]])
        found: list[int] = np.unique(records[index[within]]).tolist()
        return found

    def _is_quoted_return(self, line: int) -> bool:
        text = self.data[int(self.starts[line]) : int(self.ends[line])]
        quote = self.dialect.quote
        parts = text.split(quote)[::2] if quote else [text]
        return not any(b"\r" in part for part in parts)

    @staticmethod
    def _is_utf8(data: bytes) -> bool:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def _result(self) -> Cut:
        kept = np.flatnonzero(self.keep)
        consumed = int(self.line_ends[-1]) + 1 if self.line_count else 0
        return Cut(
            starts=self.starts[kept],
            ends=self.ends[kept],
            lines=kept.astype(np.int64),
            broken=[
                (int(self.starts[i]), int(self.ends[i]), i, self.reasons[i]) for i in sorted(self.reasons)
            ],
            consumed_bytes=min(consumed, len(self.data)),
            consumed_lines=self.line_count,
            is_plain=len(kept) == self.line_count,
        )
