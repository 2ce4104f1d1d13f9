"""Layout of binary workbooks (.xlsb). Record numbers and fields: Microsoft, [MS-XLSB], 2.3 and 2.4."""

import struct
from collections.abc import Iterator

from lake.sources.workbooks.layout import ERRORS, Layout, Wanted, check_extent
from lake.sources.workbooks.number_formats import BUILT_IN
from lake.sources.workbooks.parts import Parts

WORKBOOK = "xl/workbook.bin"
_ROW, _RK, _ERROR, _REAL, _LAST_CELL, _FORMULA_NUMBER, _FORMULA_ERROR = 0, 2, 3, 5, 11, 9, 11
_SHEET, _NUMBER_FORMAT, _STYLE, _MERGE = 156, 44, 47, 176
_BEGIN_STYLES, _END_STYLES = 617, 618


def check(parts: Parts) -> None:
    """Raise `FileRefused` for a workbook that is not to be opened; its sheets are checked one by one, when they are read."""
    parts.verify(unused=set(_sheet_parts(parts)))


def read_layout(parts: Parts, position: int, sheet: str, wanted: Wanted) -> Layout:
    """Return the layout of the sheet at `position` (0-based). Raises `FileRefused` for one that reaches too far."""
    sheets = _sheet_parts(parts)
    formats = _styles(parts, wanted)
    layout = Layout()
    row = last_row = last_column = -1
    for kind, content in _records(parts.chunks(sheets[position] if position < len(sheets) else "")):
        if kind == _ROW and len(content) >= 12:
            row = struct.unpack_from("<I", content)[0]
            if content[11] & 0x10:
                layout.hidden_rows.add(row)
        elif _RK <= kind <= _LAST_CELL and len(content) >= 8:
            column, style = struct.unpack_from("<II", content)
            last_row, last_column = max(last_row, row), max(last_column, column)
            if kind in (_ERROR, _FORMULA_ERROR):
                layout.note_problem(row, column, ERRORS.get(content[8], "#ERROR!"))
            elif kind in (_RK, _REAL, _FORMULA_NUMBER) and style & 0xFFFFFF in formats:
                layout.note_format(row, column, formats[style & 0xFFFFFF])
        elif kind == _MERGE:
            first_row, end_row, first, last = struct.unpack_from("<4I", content)
            layout.merges.append((first_row, first, end_row, last))
    check_extent(last_row + 1, last_column + 1, parts.name, sheet)
    return layout


def _sheet_parts(parts: Parts) -> list[str]:
    related = parts.related(WORKBOOK)
    found = []
    for kind, content in _records(iter([parts.content(WORKBOOK)])):
        if kind == _SHEET:
            length = struct.unpack_from("<I", content, 8)[0]
            found.append(related.get(content[12 : 12 + 2 * length].decode("utf-16-le", "replace"), ""))
    return found


def _styles(parts: Parts, wanted: Wanted) -> dict[int, str]:
    """Return the wanted number format of each cell style."""
    codes, styles = dict(BUILT_IN), []
    is_cell_style = False
    for kind, content in _records(iter([parts.content("xl/styles.bin")])):
        if kind == _NUMBER_FORMAT:
            number, length = struct.unpack_from("<HI", content)
            codes[number] = content[6 : 6 + 2 * length].decode("utf-16-le", "replace")
        elif kind in (_BEGIN_STYLES, _END_STYLES):
            is_cell_style = kind == _BEGIN_STYLES
        elif kind == _STYLE and is_cell_style:
            styles.append(struct.unpack_from("<H", content, 2)[0])
    found = {style: codes.get(number, "General") for style, number in enumerate(styles)}
    return {style: code for style, code in found.items() if wanted(code)}


def _records(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content) of every record; a last one that is cut off is left out."""
    data = b""
    for chunk in chunks:
        data += chunk
        at = 0
        while (found := _record(data, at)) is not None:
            kind, start, end = found
            yield kind, data[start:end]
            at = end
        data = data[at:]


def _record(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return (kind, start, end) of the record at `at`; None if it is not there whole."""
    kind = size = 0
    for i in range(2):
        if at >= len(data):
            return None
        byte = data[at]
        kind |= (byte & 0x7F) << (7 * i)
        at += 1
        if byte < 0x80:
            break
    for i in range(4):
        if at >= len(data):
            return None
        byte = data[at]
        size |= (byte & 0x7F) << (7 * i)
        at += 1
        if byte < 0x80:
            break
    return (kind, at, at + size) if at + size <= len(data) else None
