"""X12 interchanges: their separators, envelopes and control numbers. What the segments say is `tables.py` and `rows.py`.

pyx12's reader finds segments and compares control numbers and counts; each of its findings becomes a `Problem` with the
number of its segment and the code that a 997 or TA1 has for it.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyx12.errors import X12Error
from pyx12.x12file import X12Reader

from lake.errors import FileRefused

ISA_CHARACTERS = 106
_VERSION_AT = slice(84, 89)
_ENVELOPE = ("ISA", "IEA", "GS", "GE", "ST", "SE")
_GAP = re.compile(r"[\ufeff \r\n\t\0\x1a]*")
_NEWLINES = re.compile(r"[\r\n]+")
_SEGMENT_CODES = ("1", "HL1")
"""Of what pyx12 finds within a segment: an invalid name, a wrong number of a level."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and its code in an acknowledgement."""

    rule: str
    """control_count, or segment for what is wrong within one segment."""
    code: str
    segment: int
    """Number of the segment in the file, from 1."""
    message: str
    element: int | None = None


@dataclass(frozen=True)
class Segment:
    """One segment, taken apart."""

    number: int
    """In the file, from 1."""
    name: str
    elements: tuple[str, ...]
    raw: str

    def get(self, element: int) -> str:
        """Return an element by its number, from 1; '' where the segment has no such element."""
        return self.elements[element - 1].strip() if element <= len(self.elements) else ""


@dataclass
class TransactionSet:
    """From ST to SE."""

    kind: str
    control_number: str
    segments: list[Segment] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass
class Group:
    """From GS to GE: transaction sets of one function."""

    function: str
    control_number: str
    version: str
    sender: str
    receiver: str
    sets: list[TransactionSet] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    included: str = ""
    """Number of sets, as GE says."""


@dataclass
class Interchange:
    """From ISA to IEA."""

    header: Segment
    groups: list[Group] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: list[Segment] = field(default_factory=list)
    """Segments that belong to no transaction set, envelopes apart."""

    @property
    def control_number(self) -> str:
        """ISA13."""
        return self.header.get(13)

    @property
    def sender(self) -> str:
        """ISA06."""
        return self.header.get(6)

    @property
    def receiver(self) -> str:
        """ISA08."""
        return self.header.get(8)

    @property
    def is_test(self) -> bool:
        """Whether ISA15 says that it is a test."""
        return self.header.get(15) == "T"


def read_interchanges(text: str, name: str) -> list[Interchange]:
    """Return every interchange of a file. Raises `FileRefused` for a text that is no X12, or goes on as something else.

    The second interchange of a file with the same sender and control number is a problem of its own.
    """
    found: list[Interchange] = []
    seen: set[tuple[str, str]] = set()
    number = 1
    for content in _split(text, name):
        try:
            interchange, number = _read(content, number)
        except X12Error as error:
            raise FileRefused(
                f"{name}, segment {number}: this is no X12 interchange ({error}): deliver it again as it was sent."
            ) from error
        identity = (interchange.sender, interchange.control_number)
        if identity in seen:
            message = f"the interchange {identity[1]} of {identity[0]} is in the file twice"
            interchange.problems.append(
                Problem("duplicate_interchange", "025", interchange.header.number, message)
            )
        seen.add(identity)
        found.append(interchange)
    return found


def _split(text: str, name: str) -> Iterator[str]:
    """Yield the text of each interchange: its separators stand in its own first 106 characters."""
    at = _GAP.match(text).end()  # type: ignore[union-attr]
    if at == len(text):
        raise FileRefused(f"{name} is empty: deliver it again with its interchange, or remove it.")
    while at < len(text):
        element, end = _separators(text, at, name)
        stop = _end(text, at, element, end)
        if end not in "\r\n" and re.compile(rf"[^\r\n{re.escape(end)}][\r\n]").search(text, at, stop):
            text, at = _NEWLINES.sub("", text[at:]), 0  # lines are cut anywhere, as mainframes do
            stop = _end(text, at, element, end)
        term = re.escape(end)
        yield re.sub(rf"{term}(?:\s*{term})+", lambda match: match[0][0], text[at:stop])
        at = _GAP.match(text, stop).end()  # type: ignore[union-attr]


def _separators(text: str, at: int, name: str) -> tuple[str, str]:
    """Return what ends an element and a segment of the interchange that begins at `at`."""
    head = text[at : at + ISA_CHARACTERS]
    if _NEWLINES.search(head, 0, ISA_CHARACTERS - 1):
        head = _NEWLINES.sub("", text[at : at + 2 * ISA_CHARACTERS])[:ISA_CHARACTERS]
    element, end = head[3:4], head[-1:]
    if not head.startswith("ISA") or len(head) < ISA_CHARACTERS or _is_word(element) or _is_word(end):
        raise FileRefused(
            f"{name} does not hold X12 at {head[:20]!r}: an interchange begins with ISA and has its separators in its"
            f" first {ISA_CHARACTERS} characters; deliver it as it was sent."
        )
    return element, end


def _is_word(mark: str) -> bool:
    return mark.isalnum() or mark == " "


def _end(text: str, at: int, element: str, end: str) -> int:
    """Return where an interchange ends: after its IEA, before the next ISA, or with the text."""
    term, mark = re.escape(end), re.escape(element)
    following = re.compile(rf"{term}\s*(?=ISA{mark})").search(text, at + ISA_CHARACTERS)
    limit = following.end() if following else len(text)
    closing = re.compile(rf"{term}\s*IEA{mark}[^{term}]*{term}").search(text, at, limit)
    return closing.end() if closing else limit


def _read(content: str, first: int) -> tuple[Interchange, int]:
    """Return one interchange, and the number of the segment that follows it."""
    known = content[_VERSION_AT] if content[_VERSION_AT] in ("00401", "00501") else "00401"
    # pyx12 knows two versions; the envelope has been the same in all of them.
    reader = X12Reader(io.StringIO(content[:84] + known + content[89:]))
    elements, parts = str(reader.ele_term), _Parts(first)
    try:
        for segment in reader:
            raw = segment.format(reader.seg_term, reader.ele_term, reader.subele_term)
            fields = raw.removesuffix(str(reader.seg_term)).split(elements)
            if fields[0] == "ISA":
                fields[12] = content[_VERSION_AT]
            parts.add(Segment(parts.number, fields[0], tuple(fields[1:]), elements.join(fields)))
            for level, code, message, *_ in reader.pop_errors():
                parts.note(level, code, message)
    except IndexError:
        parts.note("isa", "024", "an envelope is closed that was never opened")
    parts.close()
    reader.cleanup()
    for level, code, message, *_ in reader.pop_errors():
        parts.note(level, code, message)
    left = content.rpartition(str(reader.seg_term))[2].strip("\r\n \t\0\x1a")
    if left:
        parts.note("isa", "024", f"the text after the last segment is cut off: {left[:40]!r}")
    return parts.interchange, parts.number


class _Parts:
    """Puts segments into their interchange, group and transaction set, and problems to what they are about."""

    def __init__(self, first: int) -> None:
        self.number = first
        self.interchange = Interchange(Segment(first, "ISA", (), ""))
        self.group: Group | None = None
        self.set: TransactionSet | None = None
        self.is_open = False
        """Whether the set waits for its SE."""
        self.was_left_open = False

    def add(self, segment: Segment) -> None:
        if segment.name in ("ST", "GE", "GS", "IEA"):
            self.close()
        if segment.name == "ISA":
            self.interchange = Interchange(segment)
        elif segment.name == "GS":
            self.group = Group(segment.get(1), segment.get(6), segment.get(8), segment.get(2), segment.get(3))
            self.interchange.groups.append(self.group)
        elif segment.name == "ST" and self.group:
            self.set = TransactionSet(segment.get(1), segment.get(2))
            self.group.sets.append(self.set)
            self.is_open = True
        elif segment.name == "GE" and self.group:
            self.group.included = segment.get(1)
        if self.set and self.is_open:
            self.set.segments.append(segment)
            self.is_open = segment.name != "SE"
        elif segment.name not in _ENVELOPE:
            self.interchange.unread.append(segment)
        self.number += 1

    def close(self) -> None:
        """Note a set that ends without its SE."""
        if self.set and self.is_open:
            message = f"the transaction set {self.set.control_number} has no SE before segment {self.number}"
            self.set.problems.append(Problem("control_count", "2", self.number, message))
        self.was_left_open, self.is_open = self.is_open, False

    def note(self, level: str, code: str, message: str) -> None:
        """Note a finding of pyx12 about the segment added last; a set that was just closed is still what it is about."""
        if (level == "seg" and code not in _SEGMENT_CODES) or (level == "st" and code == "2"):
            return  # harmless, or noted when it closed
        if level == "gs" and code == "3" and self.was_left_open:
            return  # the set's missing SE, taken for the group's missing GE
        about = {"isa": self.interchange, "gs": self.group, "st": self.set, "seg": self.set}[level]
        rule = "segment" if level == "seg" else "control_count"
        at = self.number - 1
        problem = Problem(rule, code, at, f"segment {at}: {message}")
        (about or self.interchange).problems.append(problem)
