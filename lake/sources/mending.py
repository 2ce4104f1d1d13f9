"""Reads a record that does not fit its table: the cheapest explanation that gives every column a likely value.

A stray quote, a missing or doubled delimiter, another delimiter on one line: each way to read the text costs something,
each value costs more the less it resembles its column. The cheapest way is found by A* (a column costs at least as
much as its likeliest value). Only for files
that nobody promised anything about; under a contract such a row is refused whole.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lake.sources.kinds import kind, rough_shape, shape
from lake.sources.splitting import FileDialect

STRAY_QUOTE, MERGED, MISSING_DELIMITER, EXTRA_DELIMITER, MISSING_END = 3.0, 5.0, 8.0, 6.0, 3.0
"""Costs of reading: a quote as data, a delimiter as data, fields run together, an empty field too many, a short row."""
MISSING_TITLE = 7.5
"""The same in a header, where no field can be missing: less than cutting a word, more than trusting a quote."""
WEIGHTS = (0.25, 0.3, 0.25, 0.2)
"""How much alike values count: the same text, the same shape, the same rough shape, the same kind and length."""

MAX_STATES = 6_000
MAX_MERGED = 12
"""At most so many delimiters are data within one field."""
MAX_QUOTES = 40
"""A quoted field is tried to close at so many quotes."""
MAX_CUT_CHARACTERS = 60
"""Fields run together without any mark are only looked for in runs up to this length."""


@dataclass
class Profile:
    """What the values of one column are like, counted at four levels."""

    counts: tuple[Counter[str], ...] = field(
        default_factory=lambda: (Counter(), Counter(), Counter(), Counter())
    )
    rows: int = 0
    quoted: int = 0
    known: dict[tuple[str, bool], float] = field(default_factory=dict)
    """Costs worked out so far."""

    def add(self, value: str, is_quoted: bool) -> None:
        """Count one value."""
        for counter, key in zip(self.counts, _keys(value), strict=True):
            counter[key] += 1
        self.rows += 1
        self.quoted += is_quoted

    def cost(self, value: str, is_quoted: bool) -> float:
        """Return how surprising a value is here, in nats."""
        if (value, is_quoted) not in self.known:
            self.known[value, is_quoted] = self._cost(value, is_quoted)
        return self.known[value, is_quoted]

    def _cost(self, value: str, is_quoted: bool) -> float:
        if not self.rows:
            return 1.0 if value else 4.0
        levels = zip(WEIGHTS, self.counts, _keys(value), strict=True)
        likely = sum(weight * counter[key] / self.rows for weight, counter, key in levels)
        alike = (self.quoted + 0.5) / (self.rows + 1)
        return -math.log(likely + 2e-3) - 0.7 * math.log(alike if is_quoted else 1 - alike)

    def least(self) -> float:
        """Return a lower bound of `cost`."""
        if not self.rows:
            return 1.0
        likely = sum(
            weight * max(counter.values()) / self.rows
            for weight, counter in zip(WEIGHTS, self.counts, strict=True)
        )
        alike = (self.quoted + 0.5) / (self.rows + 1)
        return -math.log(likely + 2e-3) - 0.7 * math.log(max(alike, 1 - alike))

    def missing(self) -> float:
        """Return what it costs that a short record has no field for this column."""
        return MISSING_END + 0.5 * self.cost("", False) if self.rows else MISSING_TITLE


def _keys(value: str) -> tuple[str, str, str, str]:
    bare = value.strip().strip("\"'")
    return (
        bare[:60],
        shape(bare[:60]),
        rough_shape(bare[:200]),
        f"{kind(bare)} {min(len(bare), 255).bit_length()}",
    )


def profiles(rows: Sequence[Sequence[str]], quoted: Sequence[Sequence[bool]], width: int) -> list[Profile]:
    """Return the profile of every column of some rows that fit."""
    found = [Profile() for _ in range(width)]
    for values, marks in zip(rows, quoted, strict=True):
        for profile, value, mark in zip(found, values, marks, strict=True):
            profile.add(value, mark)
    return found


@dataclass(frozen=True)
class _Field:
    """One way to read a field: value, where the next one starts (past the end: no next), what it costs."""

    value: str
    is_quoted: bool
    next: int
    cost: float


def mend(
    raw: str, dialect: FileDialect, columns: Sequence[Profile], limit: float = math.inf
) -> tuple[float, tuple[str, ...]] | None:
    """Return (cost, values) of the likeliest reading of a record with one value per column.

    None if none that costs less than `limit` is found in reasonable time.
    """
    reader = _Reader(raw, dialect)
    end = len(raw) + 1
    bounds = [0.0]
    for column in reversed(columns):
        bounds.append(bounds[-1] + min(column.least(), column.missing()))
    to_come = bounds[::-1]
    queue: list[tuple[float, int, int, int]] = [(to_come[0], 0, 0, 0)]
    came: dict[tuple[int, int], tuple[float, tuple[int, int] | None, str | None]] = {
        (0, 0): (0.0, None, None)
    }
    done: set[tuple[int, int]] = set()
    ticket = 0
    while queue and len(done) < MAX_STATES:
        _, _, position, at = heapq.heappop(queue)
        state = (position, at)
        if state in done:
            continue
        done.add(state)
        cost = came[state][0]
        if at == len(columns) and position == end:
            return cost, _values(came, state)
        for target, more, value in _steps(reader, position, at, columns):
            total = cost + more
            at_least = total + to_come[target[1]]
            if at_least < limit and (target not in came or total < came[target][0]):
                came[target] = (total, state, value)
                ticket += 1
                heapq.heappush(queue, (at_least, -ticket, *target))
    return None


def _values(
    came: dict[tuple[int, int], tuple[float, tuple[int, int] | None, str | None]], state: tuple[int, int]
) -> tuple[str, ...]:
    values: list[str] = []
    at: tuple[int, int] | None = state
    while at is not None:
        _, at, value = came[at]
        if value is not None:
            values.append(value)
    return tuple(reversed(values))


def _steps(
    reader: "_Reader", position: int, column: int, columns: Sequence[Profile]
) -> Iterator[tuple[tuple[int, int], float, str | None]]:
    """Yield (next state, cost, value or None) of everything that can be read at a position for a column."""
    end = len(reader.raw) + 1
    if position == end:
        if column < len(columns):
            yield (end, column + 1), columns[column].missing(), ""
        return
    skipped = reader.empty_field(position)
    if skipped is not None:
        yield (skipped, column), EXTRA_DELIMITER, None
    if column == len(columns):
        return
    for one in reader.fields(position):
        yield (one.next, column + 1), one.cost + columns[column].cost(one.value, one.is_quoted), one.value


class _Reader:
    """Every way to read one field of a text, by position."""

    def __init__(self, raw: str, dialect: FileDialect) -> None:
        self.raw, self.dialect = raw, dialect
        self.is_spaced = dialect.delimiter == " "

    def empty_field(self, position: int) -> int | None:
        """Return where the text goes on if the empty field here is left out; None if there is none."""
        delimiter = self.dialect.delimiter
        if self.raw.startswith(delimiter, position):
            return position + len(delimiter)
        return len(self.raw) + 1 if position == len(self.raw) else None

    def fields(self, position: int) -> Iterator[_Field]:
        """Yield the ways to read the field that starts here."""
        yield from self._unquoted(position)
        quote = self.dialect.quote
        if quote and self.raw.startswith(quote, position):
            yield from self._quoted(position)

    def _unquoted(self, position: int) -> Iterator[_Field]:
        raw, delimiter, quote = self.raw, self.dialect.delimiter, self.dialect.quote
        merge_cost = 1.2 if self.is_spaced else MERGED
        stop = position
        for merged in range(MAX_MERGED + 1):
            stop = raw.find(delimiter, stop)
            stop = len(raw) if stop < 0 else stop
            value = raw[position:stop]
            strays = value.count(quote) if quote else 0
            # An empty field is left out, or stands for a column: it is no part of its neighbour.
            strays += 2 * (merged > 0 and (value.startswith(delimiter) or value.endswith(delimiter)))
            after = stop + len(delimiter) if stop < len(raw) else len(raw) + 1
            yield _Field(
                self.dialect.unescape_plain(value), False, after, merged * merge_cost + strays * STRAY_QUOTE
            )
            if merged == 0:
                yield from self._cut(position, stop)
            if stop == len(raw):
                return
            stop += len(delimiter)

    def _cut(self, position: int, stop: int) -> Iterator[_Field]:
        """Yield beginnings of a run of text that may be two fields without a delimiter between them."""
        raw, quote = self.raw, self.dialect.quote
        mark = raw.find(quote, position + 1, stop) if quote else -1
        if mark > 0:
            yield _Field(raw[position:mark], False, mark, 0.6 * MISSING_DELIMITER)
        run = raw[position : min(stop, position + MAX_CUT_CHARACTERS)]
        for i in range(1, len(run)):
            if quote and quote in run[:i]:
                break
            is_seam = re.match(r"[a-z][A-Z]|\d\D|\D\d|\W\w|\w\W", run[i - 1 : i + 1]) is not None
            yield _Field(run[:i], False, position + i, MISSING_DELIMITER + (0.0 if is_seam else 2.0))

    def _quoted(self, position: int) -> Iterator[_Field]:
        raw, delimiter, quote, escape = (
            self.raw,
            self.dialect.delimiter,
            self.dialect.quote,
            self.dialect.escape,
        )
        close = position
        for _ in range(MAX_QUOTES):
            close = raw.find(quote, close + 1)
            if close < 0:
                return
            inside = raw[position + 1 : close]
            bare = inside.replace(escape + quote, "") if escape else inside
            strays = sum(len(run) % 2 for run in re.findall(f"{re.escape(quote)}+", bare))
            value, cost = self.dialect.unescape(inside), strays * STRAY_QUOTE
            if close + 1 == len(raw):
                yield _Field(value, True, len(raw) + 1, cost)
            elif raw.startswith(delimiter, close + 1):
                yield _Field(value, True, close + 1 + len(delimiter), cost)
            else:
                yield _Field(value, True, close + 1, cost + 0.7 * MISSING_DELIMITER)
