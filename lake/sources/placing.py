"""Where the columns of a fixed-width text stand, told by the blanks between them: for a person to check.

Not here: reading by a contract (`fixed_width.py`). Columns without a blank between them look like one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FEWEST_LINES = 3
_SAME_LENGTH = 0.9
"""Share of lines that have one length; the others are headers, trailers or damaged."""
_NUMERIC = re.compile(r"[-+]?[\d.,:/-]*\d[\d.,:/-]*")


@dataclass(frozen=True)
class Placed:
    """Lines cut into fields."""

    places: list[tuple[int, int]]
    """(start, width) of each column; start is 1-based, as a contract has it."""
    titles: list[str]
    """What the header line has at these places; empty without one."""
    rows: list[list[str]]
    others: list[str]
    """Lines of another length."""
    header_lines: int
    """Lines above the first row."""


def find_places(text: str) -> Placed | None:
    r"""Return the lines of a text cut into fields; None if it does not look like fixed width.

    >>> found = find_places("A1    12 2024-01-05\nB20    7 2024-01-06\nC3   145 2024-01-07\n")
    >>> found.places, found.rows[1]
    ([(1, 3), (4, 6), (10, 10)], ['B20', '7', '2024-01-06'])
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines if line.strip()]
    if len(lines) < FEWEST_LINES:
        return None
    (width, count), *_ = Counter(map(len, lines)).most_common(1)
    if count < _SAME_LENGTH * len(lines) or not width:
        return None
    body = [line for line in lines if len(line) == width]
    others = [line for line in lines if len(line) != width]
    is_titled, places = _with_header(body, width)
    if len(places) < 2:
        return None
    rows = [_cut(line, places) for line in body]
    above = lines.index(body[0]) + is_titled
    others = others[lines.index(body[0]) :]
    return Placed(places, rows[0] if is_titled else [], rows[is_titled:], others, above)


def _with_header(body: Sequence[str], width: int) -> tuple[bool, list[tuple[int, int]]]:
    """Return whether the first line is a header, and the places: a header's words do not decide about them."""
    places = _places(body[1:], width)
    cells, rows = _cut(body[0], places), [_cut(line, places) for line in body[1:]]
    numeric = [
        column
        for column in range(len(places))
        if all(not row[column] or _NUMERIC.fullmatch(row[column]) for row in rows)
        and any(row[column] for row in rows)
    ]
    is_header = (
        bool(numeric) and all(not any(map(str.isdigit, cells[column])) for column in numeric) and all(cells)
    )
    return is_header, places if is_header else _places(body, width)


def _places(lines: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Return (start, width) of each run of characters that is not blank in every line, with the blanks beside it."""
    filled = [any(line[i] != " " for line in lines) for i in range(width)]
    runs: list[tuple[int, int]] = []
    for i, is_filled in enumerate(filled):
        if is_filled and (not i or not filled[i - 1]):
            runs.append((i, i + 1))
        elif is_filled:
            runs[-1] = (runs[-1][0], i + 1)
    if not runs:
        return []
    starts = [0]
    for (_, end), (start, stop) in pairwise(runs):
        starts.append(end if _is_right_aligned(lines, start, stop) else start)
    ends = [*starts[1:], width]
    return [(start + 1, end - start) for start, end in zip(starts, ends, strict=True)]


def _is_right_aligned(lines: Sequence[str], start: int, stop: int) -> bool:
    """Whether values end at one place and begin at several, as numbers do: the blanks before them are theirs."""
    values = [line[start:stop] for line in lines if line[start:stop].strip()]
    return all(value[-1] != " " for value in values) and any(value[0] == " " for value in values)


def _cut(line: str, places: Sequence[tuple[int, int]]) -> list[str]:
    return [line[start - 1 : start - 1 + width].strip() for start, width in places]
