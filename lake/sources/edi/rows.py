"""Rows of a transaction set: its loops flattened, each row with what stands above it.

Not here: which element is which column (`tables.py`), envelopes and control numbers (`interchange.py`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from lake.sources.edi.interchange import Group, Interchange, Problem, Segment, TransactionSet
from lake.sources.edi.tables import (
    COUNTED,
    DESPATCH,
    EVENTS,
    FIRST_SEGMENT,
    INVENTORY,
    ITEM_NUMBERS,
    LEVELS,
    LOCATIONS,
    REQUIRED,
    STATUS,
    Field,
)

_HASH_DIGITS = 10


@dataclass
class Row:
    """One row, as text by column."""

    segment: int
    """Number of the segment in which it begins."""
    values: dict[str, str]
    raw: str
    numbers: frozenset[int]
    """Of all segments that it was made from, those above it too."""


@dataclass
class _Loop:
    """Segments that belong together: an HL loop, a status, an item."""

    kind: str
    segments: list[Segment]
    parent: "_Loop | None" = None

    def chain(self) -> "list[_Loop]":
        """Return the loops above, the highest first, and this one."""
        return [*(self.parent.chain() if self.parent else []), self]


def rows_of(transaction: TransactionSet, level: str) -> list[Row]:
    """Return the rows of an 856 (of this `level`), 214 or 846."""
    flatten = {"856": _despatch, "214": _status, "846": _inventory}[transaction.kind]
    found = list(flatten(transaction.segments[1:-1], LEVELS[level]))
    for row in found:
        row.values["transaction_control_number"] = transaction.control_number
    return found


def envelope(interchange: Interchange, group: Group) -> dict[str, str]:
    """Return the columns that every row of a group has."""
    header = interchange.header
    return {
        "interchange_sender": interchange.sender,
        "interchange_receiver": interchange.receiver,
        "interchange_control_number": interchange.control_number,
        "interchange_at": _moment(header.get(9), header.get(10)),
        "is_test": "true" if interchange.is_test else "false",
        "group_control_number": group.control_number,
    }


def content_problems(transaction: TransactionSet) -> list[Problem]:
    """Return what is wrong with the content of a set: its first segment, its required elements, its totals (CTT)."""
    segments = transaction.segments
    first = FIRST_SEGMENT[transaction.kind]
    found = []
    if len(segments) < 2 or segments[1].name != first:
        number = segments[0].number
        message = f"segment {number}: {first}, which has to follow ST, is missing"
        found.append(Problem("segment", "3", number, message))
    levels: set[str] = set()
    for segment in segments:
        found += _missing_elements(segment)
        if segment.name == "HL":
            if segment.get(2) and segment.get(2) not in levels:
                message = (
                    f"segment {segment.number}: HL02 names {segment.get(2)}, and there is no such level above"
                )
                found.append(Problem("segment", "7", segment.number, message, 2))
            levels.add(segment.get(1))
    if transaction.kind == "846":
        found += _ambiguous_locations(transaction)
    for segment in segments:
        if segment.name == "CTT":
            found += _wrong_totals(segment, transaction)
    return found


def _missing_elements(segment: Segment) -> Iterator[Problem]:
    for element in REQUIRED.get(segment.name, ()):
        if not segment.get(element):
            message = f"segment {segment.number}: {segment.name}{element:02d} is missing"
            yield Problem("segment", "1", segment.number, message, element)


def _wrong_totals(ctt: Segment, transaction: TransactionSet) -> Iterator[Problem]:
    """Compare CTT with the number of lines and the sum of their quantities."""
    counted, summed, element = {"856": ("HL", "SN1", 2), "846": ("LIN", "QTY", 2)}.get(
        transaction.kind, ("", "", 0)
    )
    if not counted:
        return
    count = sum(segment.name == counted for segment in transaction.segments)
    if ctt.get(1) and ctt.get(1).lstrip("0") != str(count):
        message = f"segment {ctt.number}: CTT01 says {ctt.get(1)} {counted} segments, and there are {count}"
        yield Problem("control_count", "7", ctt.number, message, 1)
    quantities = [segment.get(element) for segment in transaction.segments if segment.name == summed]
    if ctt.get(2) and not _is_total(ctt.get(2), quantities):
        message = (
            f"segment {ctt.number}: CTT02 says {ctt.get(2)}, and the {summed}{element:02d} have another sum"
        )
        yield Problem("control_count", "7", ctt.number, message, 2)


def _is_total(total: str, quantities: Sequence[str]) -> bool:
    """Whether it is the sum, or the hash total: that of the digits without their decimal points, its last ten digits."""
    try:
        exact = sum((Decimal(text) for text in quantities if text), Decimal(0))
        hashed = sum(int(re.sub(r"\D", "", text) or 0) for text in quantities)
        return Decimal(total) in (exact, Decimal(hashed % 10**_HASH_DIGITS))
    except InvalidOperation:
        return False


def _despatch(segments: Sequence[Segment], level: str) -> Iterator[Row]:
    header = _Loop("", [])
    loop = header
    by_number: dict[str, _Loop] = {}
    loops: list[_Loop] = []
    for segment in segments:
        if segment.name == "CTT":
            continue
        if segment.name == "HL":
            parent = by_number.get(segment.get(2)) or _above(loops, segment.get(3)) or header
            loop = _Loop(segment.get(3), [], parent)
            by_number[segment.get(1)] = loop
            loops.append(loop)
        loop.segments.append(segment)
    for one in loops:
        if one.kind == level:
            yield _row(one, DESPATCH)


def _above(loops: Sequence[_Loop], kind: str) -> _Loop | None:
    """Return the loop to which a level without a parent's number belongs: the last one of a higher level."""
    order = "SOTPI"
    higher = order[: order.find(kind)] if kind in order else ""
    return next((loop for loop in reversed(loops) if loop.kind in higher), None)


def _status(segments: Sequence[Segment], _: str) -> Iterator[Row]:
    header = _Loop("", [])
    loop = header
    loops: list[_Loop] = []
    for segment in segments:
        if segment.name == "AT7":
            loop = _Loop("AT7", [], header)
            loops.append(loop)
        elif segment.name == "LX" or (loop is not header and segment.name not in ("MS1", "MS2")):
            loop = header
        loop.segments.append(segment)
    for one in loops:
        row = _row(one, STATUS)
        code = row.values.get("status_code", "")
        row.values["event_type"] = EVENTS.get(code, code)
        yield row


def _inventory(segments: Sequence[Segment], _: str) -> Iterator[Row]:
    header = _Loop("", [])
    loop = header
    loops: list[_Loop] = []
    for segment in segments:
        if segment.name == "CTT":
            continue
        if segment.name == "LIN":
            loop = _Loop("LIN", [], header)
            loops.append(loop)
        elif loop is not header and _is_location(segment) and _is_next_location(loop):
            about = [one for one in loop.segments if one.name in ("LIN", "PID", "DTM")]
            loop = _Loop("LIN", about, header)
            loops.append(loop)
        loop.segments.append(segment)
    for one in loops:
        row = _row(one, INVENTORY)
        yield from _by_location(row, one.segments) or [row]


def _is_location(segment: Segment) -> bool:
    return segment.name == "N1" and segment.get(1) in LOCATIONS


def _is_next_location(loop: _Loop) -> bool:
    """Whether an item has a location and its quantity, so that another location begins anew."""
    names = ["location" if _is_location(segment) else segment.name for segment in loop.segments]
    return "location" in names and "QTY" in names[names.index("location") :]


def _by_location(row: Row, segments: Sequence[Segment]) -> list[Row]:
    """Return a row for each pair of location and quantity in SDQ; QTY says what is counted, and is their total."""
    kinds = [segment.get(1) for segment in segments if segment.name == "QTY"]
    column = next((column for kind in kinds if (column := COUNTED.get(kind))), "on_hand_units")
    found = []
    for segment in segments:
        if segment.name != "SDQ":
            continue
        for i in range(3, len(segment.elements), 2):
            own = {"location_id": segment.get(i), column: segment.get(i + 1), "unit": segment.get(1)}
            kept = {name: value for name, value in row.values.items() if name not in COUNTED.values()}
            found.append(Row(row.segment, kept | own, row.raw, row.numbers))
    return found


def _ambiguous_locations(transaction: TransactionSet) -> Iterator[Problem]:
    """Find items with two locations and no telling which of them has how many."""
    located: Segment | None = None
    for segment in transaction.segments:
        if segment.name in ("LIN", "QTY"):
            located = None
        elif _is_location(segment) and located:
            message = f"segment {segment.number}: the item has another location in segment {located.number}"
            yield Problem("segment", "2", segment.number, message)
        elif _is_location(segment):
            located = segment


def _row(loop: _Loop, table: dict[str, tuple[Field, ...]]) -> Row:
    values: dict[str, str] = {}
    for one in loop.chain():
        found = _read(one.segments, table.get(one.kind, ()))
        values |= {column: value for column, value in found.items() if value}
        if one.kind in ("I", "LIN"):
            values |= _item_numbers(one.segments)
    raw = "\n".join(segment.raw for segment in loop.segments)
    numbers = frozenset(segment.number for one in loop.chain() for segment in one.segments)
    return Row(loop.segments[0].number, values, raw, numbers)


def _read(segments: Iterable[Segment], fields: Iterable[Field]) -> dict[str, str]:
    """Return the value of each field: the first that is there."""
    found: dict[str, str] = {}
    by_name: dict[str, list[Segment]] = {}
    for segment in segments:
        by_name.setdefault(segment.name, []).append(segment)
    for one in fields:
        for segment in by_name.get(one.segment, ()):
            if one.only and segment.get(one.qualifier) not in one.only:
                continue
            value = segment.get(one.element) or (segment.get(one.otherwise) if one.otherwise else "")
            if value and one.kind != "text":
                value = _date(value) if one.kind == "date" else _moment(value, segment.get(one.element + 1))
            if value:
                found.setdefault(one.column, value)
    return found


def _item_numbers(segments: Iterable[Segment]) -> dict[str, str]:
    found: dict[str, str] = {}
    for segment in segments:
        if segment.name == "LIN":
            pairs = {segment.get(i): segment.get(i + 1) for i in range(2, len(segment.elements), 2)}
            for column, qualifiers in ITEM_NUMBERS.items():
                number = next((pairs[one] for one in qualifiers if pairs.get(one)), "")
                if number:
                    found[column] = number
    for column in ("buyer_item_id", "gtin", "supplier_item_id"):
        if column in found:
            return {"item_id": found[column]} | found
    return found


def _date(text: str) -> str:
    """Write CCYYMMDD or YYMMDD as ISO 8601; of two digits, years from 70 up are of the last century."""
    if re.fullmatch(r"[0-9]{6}", text):
        text = ("19" if text[:2] >= "70" else "20") + text
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"[0-9]{8}", text) else text


def _moment(day: str, clock: str) -> str:
    """Write a date and HHMM, HHMMSS or with hundredths as ISO 8601; without a time it is midnight."""
    if not re.fullmatch(r"(?:[0-9]{4}|[0-9]{6}|[0-9]{8}|)", clock):
        return f"{_date(day)} {clock}"
    digits = clock.ljust(6, "0")
    hundredths = f".{digits[6:8]}" if len(digits) == 8 and digits[6:] != "00" else ""
    return f"{_date(day)} {digits[:2]}:{digits[2:4]}:{digits[4:6]}{hundredths}"
