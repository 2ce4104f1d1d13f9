"""Layout of old Excel workbooks (.xls, BIFF5 and BIFF8), and opening those that Excel encrypts with its own password.

Record numbers and fields: Microsoft, [MS-XLS], 2.3 and 2.4.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress

from lake.sources.workbooks.compound import joined, stream_pieces
from lake.sources.workbooks.layout import ERRORS, Layout, Wanted
from lake.sources.workbooks.number_formats import BUILT_IN

STREAMS = ("Workbook", "Book", "WORKBOOK", "BOOK")
_BOF, _EOF, _BOUNDSHEET, _FORMAT, _XF = 0x809, 0x0A, 0x85, 0x41E, 0xE0
_ROW, _NUMBER, _RK, _MULRK, _BOOLERR, _FORMULA, _MERGED = 0x208, 0x203, 0x27E, 0xBD, 0x205, 0x06, 0xE5

Record = tuple[int, int, int]
"""Kind, offset of its content, length of its content."""


def read_layout(data: bytes, position: int, wanted: Wanted) -> Layout:
    """Return the layout of the sheet at `position` (0-based, chart sheets counted); `data` is the whole file.

    A workbook that is damaged is taken as far as it can be followed: whether it can be read at all, calamine says.
    """
    stream = joined(data, stream_pieces(data, STREAMS))
    layout = Layout()
    with suppress(struct.error, IndexError):
        _sheet(stream, position, _formats(stream, wanted), layout)
    return layout


def records(stream: bytes, offset: int = 0) -> Iterator[Record]:
    """Yield the records from `offset` to the end of the stream."""
    end = len(stream) - 4
    while 0 <= offset <= end:
        kind, length = struct.unpack_from("<HH", stream, offset)
        yield kind, offset + 4, length
        offset += 4 + length


def sheet_records(stream: bytes, position: int) -> Iterator[Record]:
    """Yield the records of the sheet at `position` (0-based), but not those of charts within it."""
    starts = [
        struct.unpack_from("<I", stream, at)[0]
        for kind, at, _ in _global_records(stream)
        if kind == _BOUNDSHEET
    ]
    depth = 0
    for kind, at, length in records(stream, starts[position]):
        depth += (kind == _BOF) - (kind == _EOF)
        if depth <= 0:
            return
        if depth == 1:
            yield kind, at, length


def _global_records(stream: bytes) -> Iterator[Record]:
    """Yield the records that are about the workbook as a whole."""
    for record in records(stream):
        if record[0] == _EOF:
            return
        yield record


def _formats(stream: bytes, wanted: Wanted) -> dict[int, str]:
    """Return the wanted number format of each cell style."""
    codes, styles = dict(BUILT_IN), []
    is_biff8 = False
    for kind, at, length in _global_records(stream):
        if kind == _BOF:
            is_biff8 = struct.unpack_from("<H", stream, at)[0] >= 0x600
        elif kind == _FORMAT:
            content = stream[at + 2 : at + length]
            codes[struct.unpack_from("<H", stream, at)[0]] = (
                text_of(content) if is_biff8 else content[1 : 1 + content[0]].decode("cp1252", "replace")
            )
        elif kind == _XF:
            styles.append(struct.unpack_from("<H", stream, at + 2)[0])
    found = {style: codes.get(number, "General") for style, number in enumerate(styles)}
    return {style: code for style, code in found.items() if wanted(code)}


def text_of(content: bytes) -> str:
    """Return a text of BIFF8: its length, a flag for two bytes per character, its characters."""
    length, flags = struct.unpack_from("<HB", content)
    if flags & 1:
        return content[3 : 3 + 2 * length].decode("utf-16-le", "replace")
    return content[3 : 3 + length].decode("latin-1")


def _sheet(stream: bytes, position: int, formats: dict[int, str], layout: Layout) -> None:
    for kind, at, length in sheet_records(stream, position):
        if kind in (_NUMBER, _RK, _FORMULA, _BOOLERR):
            _cell(stream, kind, at, formats, layout)
        elif kind == _MULRK:
            row, first = struct.unpack_from("<HH", stream, at)
            for i in range((length - 6) // 6):
                style = struct.unpack_from("<H", stream, at + 4 + 6 * i)[0]
                if style in formats:
                    layout.note_format(row, first + i, formats[style])
        elif kind == _ROW:
            row, flags = struct.unpack_from("<H10xH", stream, at)
            if flags & 0x20:
                layout.hidden_rows.add(row)
        elif kind == _MERGED:
            for i in range(struct.unpack_from("<H", stream, at)[0]):
                first_row, last_row, first, last = struct.unpack_from("<4H", stream, at + 2 + 8 * i)
                layout.merges.append((first_row, first, last_row, last))


def _cell(stream: bytes, kind: int, at: int, formats: dict[int, str], layout: Layout) -> None:
    row, column, style = struct.unpack_from("<3H", stream, at)
    if kind == _BOOLERR:
        if stream[at + 7]:
            layout.note_problem(row, column, ERRORS.get(stream[at + 6], "#ERROR!"))
        return
    if kind == _FORMULA and stream[at + 12 : at + 14] == b"\xff\xff":
        if stream[at + 6] == 2:
            layout.note_problem(row, column, ERRORS.get(stream[at + 8], "#ERROR!"))
        return
    if style in formats:
        layout.note_format(row, column, formats[style])
