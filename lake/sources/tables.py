"""What the records of a file are: title rows, header, body, footnotes, further tables. Judged by how rows look.

A header is told from data by the columns below it: words stand where they have numbers, dates or other typed text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lake.sources.kinds import TYPED, kind
from lake.sources.splitting import Record

MAX_HEADER_ROWS = 4
MAX_TITLE_ROWS = 40
_EVIDENCE_ROWS = 200


@dataclass(frozen=True)
class Layout:
    """Which records are what, as positions in the list of records: [0, header) titles, [header, body) header ..."""

    width: int
    header: int
    body: int
    end: int
    """Records from here on are footnotes or another table."""
    next_table: int | None = None
    """Where another table starts."""


def find_layout(found: Sequence[Record], width: int, delimiter: str) -> Layout:
    """Return the layout of the first table, which has `width` columns."""
    header = _skip_titles(found, width)
    end, next_table = _table_end(found, header, width)
    types = column_types(found[header:end], width)
    if header and _is_odd_header(found[header - 1], found[header], types, width, delimiter):
        header, body = header - 1, header
    else:
        body = header + _header_rows(found[header:end], types, width)
    if next_table is None:
        end = _cut_footnotes(found, body, end, width)
        repeated = _repeated_header(found, header, body, end, types)
        if repeated is not None:
            end, next_table = repeated, repeated
    return Layout(width, header, body, end, next_table)


def filled(record: Record) -> int:
    """Return how many fields hold anything."""
    return sum(bool(value.strip()) for value in record.fields)


def _skip_titles(found: Sequence[Record], width: int) -> int:
    """Return where the titles above a table end: rows with one filled field, or far too few fields."""
    if width < 2:
        return 0
    i = 0
    for i, record in enumerate(found[:MAX_TITLE_ROWS]):
        # One stray delimiter more or less is no title; a row of a few fields above a wide table is.
        is_short = (
            record.width < width and record.is_whole and (record.width == 1 or record.width <= width // 2)
        )
        if record.fit in ("soft", "open") or not (is_short or filled(record) <= 1):
            return i
    return 0 if i + 1 >= len(found) else i


def column_types(found: Sequence[Record], width: int) -> list[str | None]:
    """Return the kind that nearly all values of each column have; None for a column of words or of many kinds."""
    rows = [record for record in found if record.width == width and record.is_whole][1:_EVIDENCE_ROWS]
    types: list[str | None] = []
    for i in range(width):
        kinds = Counter(kind(record.fields[i]) for record in rows)
        kinds.pop("empty", None)
        total = sum(kinds.values())
        best, count = kinds.most_common(1)[0] if kinds else ("", 0)
        types.append(best if total and count >= 0.8 * total and best in TYPED | {"code"} else None)
    return types


def _is_headerlike(record: Record, types: Sequence[str | None], width: int) -> bool:
    """Whether a row has words where the columns have typed values, and no typed value anywhere among them."""
    if record.fit == "soft" and record.width != width:
        # A stray quote holds several names together: judge them by what stands between any signs.
        pieces = [piece for piece in re.split(r"[,;|\t\"]+", record.raw) if piece.strip()]
        return any(types) and len(pieces) >= 0.5 * width and not TYPED & {kind(piece) for piece in pieces}
    if abs(record.width - width) > 1 or filled(record) < max(2, 0.5 * width):
        return False
    if record.width != width:
        kinds = [kind(value) for value in record.fields]
        return any(types) and not TYPED & set(kinds)
    judged = [
        (kind(value), kind(value) in TYPED)
        for value, type_ in zip(record.fields, types, strict=True)
        if type_ in TYPED and kind(value) != "empty"
    ]
    return bool(judged) and sum(is_typed for _, is_typed in judged) <= 0.2 * len(judged)


def _is_odd_header(
    above: Record, first: Record, types: Sequence[str | None], width: int, delimiter: str
) -> bool:
    """Whether the last title is the header of a table that has none, written with another delimiter."""
    if width < 3 or (any(type_ in TYPED for type_ in types) and _is_headerlike(first, types, width)):
        return False
    for other in (" ", ",", ";", "\t", "|"):
        words = [word.strip("\"'") for word in above.raw.split(other)]
        if other != delimiter and width <= len(words) <= 3 * width and len(set(words)) > 0.8 * len(words):
            return not TYPED & {kind(word) for word in words}
    return False


def _header_rows(found: Sequence[Record], types: Sequence[str | None], width: int) -> int:
    """Return how many rows at the top of a table are its header."""
    if not found:
        return 0
    again = next((i for i, record in enumerate(found) if record.fields != found[0].fields), len(found))
    if not any(type_ in TYPED for type_ in types):
        is_header = len(found) < 2 or _differs(found, width)
        return min(again, MAX_HEADER_ROWS) if is_header else 0
    rows = 0
    for i, record in enumerate(found[:MAX_HEADER_ROWS]):
        if _is_headerlike(record, types, width):
            rows = i + 1
        elif (rows == i and i > 0) or TYPED & {kind(value) for value in record.fields}:
            # Above the names there may be a row with a few words that spread over several columns.
            break
    if rows == MAX_HEADER_ROWS or (rows == len(found) and rows > 1):
        return 1
    return rows


def _differs(found: Sequence[Record], width: int) -> bool:
    """Whether the first row can be the header of a table of words: no field empty, twice, or found again below."""
    first = [value.strip() for value in found[0].fields]
    if any(not value for value in first) or len(set(first)) < len(first):
        return False
    if len(first) == width and any(kind(value) in TYPED for value in first):
        return False
    below = [
        record.fields
        for record in found[1:_EVIDENCE_ROWS]
        if record.width == width and record.fields[:-1] != found[0].fields[: width - 1]
    ]
    again = sum(any(row[i].strip() == value for row in below) for i, value in enumerate(first[:width]))
    return again == 0


def _table_end(found: Sequence[Record], header: int, width: int) -> tuple[int, int | None]:
    """Return where a table ends because one of another width begins: a header and rows, all of that width."""
    for i in range(header + 1, len(found) - 1):
        other = found[i].width
        if other == width or other < 2 or not found[i].is_whole:
            continue
        run = found[i : i + 4]
        if len(run) >= 2 and all(record.width == other and record.is_whole for record in run):
            types = column_types(found[i:], other)
            shared = min(other, width, max(other, width) - 1)
            is_same = found[i].fields[:shared] == found[header].fields[:shared]
            if is_same or _is_headerlike(found[i], types, other):
                return i, i
    return len(found), None


def _repeated_header(
    found: Sequence[Record], header: int, body: int, end: int, types: Sequence[str | None]
) -> int | None:
    """Return where the header, or another one of the same width, stands again below the body."""
    if body == header:
        return None
    titles = {found[i].fields for i in range(header, body)}
    for i in range(body + 1, end):
        if found[i].fields in titles:
            return i
        is_after_gap = found[i].line > found[i - 1].line + 1 + found[i - 1].raw.count("\n")
        if is_after_gap and found[i].width == len(types) and _is_headerlike(found[i], types, len(types)):
            return i
    return None


def _cut_footnotes(found: Sequence[Record], body: int, end: int, width: int) -> int:
    """Return where the body ends above footnotes: last rows of one filled field in a table of several columns."""
    if width < 3:
        return end
    usual = Counter(filled(record) for record in found[body:end])
    while end > body + 1 and _is_footnote(found[end - 1]) and usual[filled(found[end - 1])] <= 3:
        end -= 1
    return end


def _is_footnote(record: Record) -> bool:
    """Whether a row has one filled field, and not because it is a row of data with another delimiter."""
    words = record.raw.replace('"', " ").split()
    is_data = record.raw.count('"') >= 4 or sum(kind(word) in TYPED for word in words) >= 2
    return record.is_whole and filled(record) <= 1 and not (record.width == 1 and is_data)
