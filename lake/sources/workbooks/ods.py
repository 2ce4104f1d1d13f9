"""Layout of OpenDocument spreadsheets (.ods), which repeat rows and cells by number and keep each cell as displayed."""

import re
from collections.abc import Iterator
from typing import IO, cast

from lxml import etree

from lake.errors import FileRefused
from lake.sources.workbooks.layout import Layout, Wanted, check_extent
from lake.sources.workbooks.parts import Parts

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_PADDED = re.compile(r"0[0-9]+")
_MAX_REPEATED_MARKS = 10_000
"""Errors and padded numbers in repeated rows are noted for so many rows at most: beyond, the sheet is refused."""


class _Stream:
    """What lxml reads from: the part's chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks

    def read(self, _: int = -1) -> bytes:
        return next(self.chunks, b"")


def check(parts: Parts) -> None:
    """Raise `FileRefused` for a workbook of which any sheet reaches too far: all are read when it is opened."""
    parts.verify(unused={"content.xml"})
    _walk(parts, _Walk(None, parts.name, lambda _: False))


def read_layout(parts: Parts, position: int, _: str, wanted: Wanted) -> Layout:
    """Return the layout of the sheet at `position` (0-based).

    A cell that shows a whole number with leading zeros has the number format of as many zeros.
    """
    walk = _Walk(position, parts.name, wanted)
    _walk(parts, walk)
    return walk.layout


def _walk(parts: Parts, walk: "_Walk") -> None:
    try:
        events = etree.iterparse(
            cast("IO[bytes]", _Stream(parts.chunks("content.xml"))), events=("start", "end"),
            tag=(f"{_TABLE}table", f"{_TABLE}table-row"), resolve_entities=False, no_network=True, load_dtd=False,
        )  # fmt: skip
        for event, element in events:
            walk.step(event, element)
    except etree.XMLSyntaxError as error:
        raise FileRefused(
            f"{parts.name} is damaged ({error}): save it again and deliver it again."
        ) from error


class _Walk:
    """Walks through the tables of a document, judges how far they reach, and notes the one at `position`."""

    def __init__(self, position: int | None, name: str, wanted: Wanted) -> None:
        self.position, self.name, self.wanted = position, name, wanted
        self.sheet = ""
        self.layout = Layout()
        self.table = -1
        self.depth = 0
        self.row = 0
        self.last_row = self.last_column = -1

    def step(self, event: str, element: etree._Element) -> None:
        is_table = element.tag == f"{_TABLE}table"
        if event == "start":
            if is_table:
                self.depth += 1
                if self.depth == 1:
                    self.table, self.row = self.table + 1, 0
                    self.last_row = self.last_column = -1
                    self.sheet = str(element.get(f"{_TABLE}name", ""))
            return
        if is_table:
            self.depth -= 1
        elif self.depth == 1:
            self._note_row(element, is_noted=self.table == self.position)
        if self.depth <= 1:
            element.clear()

    def _note_row(self, element: etree._Element, *, is_noted: bool) -> None:
        repeated = _count(element, "number-rows-repeated")
        column = 0
        has_value = False
        for cell in element.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            times = _count(cell, "number-columns-repeated")
            if cell.get(f"{_OFFICE}value-type") or len(cell):
                has_value = True
                self.last_column = max(self.last_column, column + times - 1)
                if is_noted:
                    self._note_cell(cell, column, times, repeated)
                    self._note_merge(cell, column)
            column += times
        if has_value:
            self.last_row = self.row + repeated - 1
            check_extent(self.last_row + 1, self.last_column + 1, self.name, self.sheet)
        if is_noted and element.get(f"{_TABLE}visibility") in ("collapse", "filter"):
            self.layout.hidden_rows.update(range(self.row, self.row + min(repeated, _MAX_REPEATED_MARKS)))
        self.row += repeated

    def _note_cell(self, cell: etree._Element, column: int, times: int, repeated: int) -> None:
        shown = "".join(str(text) for text in cell.itertext()).strip()
        is_error = cell.get(f"{_CALC}value-type") == "error"
        is_padded = cell.get(f"{_OFFICE}value-type") == "float" and _PADDED.fullmatch(shown)
        if not is_error and not (is_padded and self.wanted("0" * len(shown))):
            return
        if times * repeated > _MAX_REPEATED_MARKS:
            raise FileRefused(
                f"{self.name}, sheet {self.sheet!r}, row {self.row + 1}: one cell is repeated {times * repeated:,} times:"
                " clear what does not belong to the table and deliver it again."
            )
        for row in range(self.row, self.row + repeated):
            for i in range(column, column + times):
                if is_error:
                    self.layout.note_problem(row, i, shown or "#ERROR!")
                else:
                    self.layout.note_format(row, i, "0" * len(shown))

    def _note_merge(self, cell: etree._Element, column: int) -> None:
        rows, columns = _count(cell, "number-rows-spanned"), _count(cell, "number-columns-spanned")
        if rows > 1 or columns > 1:
            self.layout.merges.append((self.row, column, self.row + rows - 1, column + columns - 1))


def _count(element: etree._Element, attribute: str) -> int:
    text = str(element.get(f"{_TABLE}{attribute}", "1"))
    return max(int(text), 1) if text.isdecimal() and len(text) < 10 else 1
