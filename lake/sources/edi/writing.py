"""Writes X12 interchanges by pyx12's writer, which counts segments, sets and groups itself."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from pyx12.segment import Segment as WrittenSegment
from pyx12.x12file import X12Writer

Elements = Sequence[str]
"""A segment: its name and its elements."""


@dataclass(frozen=True)
class Envelope:
    """What stands in an ISA segment."""

    sender: str
    receiver: str
    control_number: str
    """Nine digits."""
    date: str
    """YYMMDD."""
    time: str
    """HHMM."""
    sender_qualifier: str = "ZZ"
    receiver_qualifier: str = "ZZ"
    version: str = "00401"
    is_test: bool = False


@dataclass(frozen=True)
class Separators:
    """How elements, components and segments end, and what follows a segment."""

    element: str = "*"
    component: str = ">"
    segment: str = "~"
    line_end: str = "\n"


USUAL = Separators()


@dataclass(frozen=True)
class WrittenGroup:
    """A group to write: its GS elements, and the segments of its sets from ST to the one before SE."""

    function: str
    sender: str
    receiver: str
    date: str
    """CCYYMMDD."""
    time: str
    control_number: str
    version: str
    sets: Sequence[Sequence[Elements]]


def write_interchange(
    envelope: Envelope,
    groups: Sequence[WrittenGroup],
    separators: Separators = USUAL,
    extra: Sequence[Elements] = (),
) -> str:
    """Return an interchange; `extra` segments (TA1) stand between ISA and the first group.

    Raises `ValueError` for a value that holds a separator.
    """
    stream = io.StringIO()
    writer = X12Writer(
        stream, separators.segment, separators.element, separators.component, separators.line_end
    )

    def write(elements: Elements) -> None:
        marks = {separators.element, separators.component, separators.segment}
        if any(mark in element for element in elements for mark in marks):
            raise ValueError(f"a separator stands within {elements}")
        text = separators.element.join(elements)
        writer.Write(WrittenSegment(text, separators.segment, separators.element, separators.component))

    isa = (
        "ISA", "00", " " * 10, "00", " " * 10, envelope.sender_qualifier, envelope.sender.ljust(15),
        envelope.receiver_qualifier, envelope.receiver.ljust(15), envelope.date, envelope.time, "U",
        envelope.version, envelope.control_number.zfill(9), "0", "T" if envelope.is_test else "P", "",
    )  # fmt: skip
    write(isa)
    for elements in extra:
        write(elements)
    for group in groups:
        write(
            (
                "GS",
                group.function,
                group.sender,
                group.receiver,
                group.date,
                group.time,
                group.control_number,
                "X",
                group.version,
            )
        )
        for segments in group.sets:
            for elements in segments:
                write(elements)
            write(("SE",))
        write(("GE",))
    write(("IEA",))
    return stream.getvalue()
