"""The result that a workbook saved with each of its formulas: read from the file's bytes, without calamine.

The expected CSVs were exported by an Excel that calculated anew when it opened the workbook (TODAY() is a day of March
2017 in them, functions that an older program could not calculate have results). Reading a workbook gives what is saved.
"""

import struct
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

from benchmarks.displayed import same
from lake.contracts.workbook_options import column_number
from lake.sources.workbooks import before_excel5, ooxml, xls
from lake.sources.workbooks.compound import SIGNATURE, joined, stream_pieces
from lake.sources.workbooks.encryption import without_own_password
from lake.sources.workbooks.layout import ERRORS, NO_SAVED_VALUE
from lake.sources.workbooks.parts import Parts
from lake.sources.workbooks.text import number_text

Place = tuple[int, int]
_STRING = 0x207
_EPOCHS = (date(1899, 12, 30).toordinal(), date(1904, 1, 1).toordinal())


def saved_results(path: Path, position: int) -> dict[Place, str]:
    """Return the saved result of every formula of a sheet (0-based) as text, serial numbers for dates; none for xlsb and what Excel 2 to 4 wrote."""
    content = path.read_bytes()
    if content.startswith(SIGNATURE):
        return dict(_of_xls(without_own_password(content), position))
    if content.startswith(before_excel5.STARTS):
        return {}
    with closing(Parts(path, path.name)) as parts:
        return dict(_of_xlsx(parts, position)) if parts.has(ooxml.WORKBOOK) else {}


def is_saved(read: str, saved: str) -> bool:
    """Whether a cell as it was read is the saved result."""
    if read == NO_SAVED_VALUE:
        return saved == ""
    if same(saved, read):
        return True
    try:
        serial = float(saved)
        if same(number_text(serial), read):
            return True
        day = date.fromisoformat(read[:10]).toordinal()
    except ValueError:
        return False
    return any(day - epoch == int(serial) for epoch in _EPOCHS)


def _of_xlsx(parts: Parts, position: int) -> Iterator[tuple[Place, str]]:
    root = parts.xml(ooxml.sheet_parts(parts)[position])
    for cell in [] if root is None else root.iter("{*}c"):
        place, value = str(cell.get("r", "")), cell.findtext("{*}v") or ""
        if cell.find("{*}f") is not None and place:
            letters = place.rstrip("0123456789")
            text = {"0": "false", "1": "true"}.get(value, value) if cell.get("t") == "b" else value
            yield (int(place[len(letters) :]) - 1, column_number(letters)), text


def _of_xls(content: bytes, position: int) -> Iterator[tuple[Place, str]]:
    stream = joined(content, stream_pieces(content, xls.STREAMS))
    is_biff8 = stream[4:6] == b"\0\6"
    waiting: Place | None = None
    for kind, at, length in xls.sheet_records(stream, position):
        if kind in (0x06, 0x206, 0x406):
            row, column = struct.unpack_from("<HH", stream, at)
            value = stream[at + 6 : at + 14]
            waiting = (row, column) if value[6:] == b"\xff\xff" and value[0] == 0 else None
            if waiting is None:
                yield (row, column), _result(value)
        elif kind == _STRING and waiting:
            content = stream[at : at + length]
            yield waiting, xls.text_of(content) if is_biff8 else content[2:].decode("cp1252", "replace")
            waiting = None


def _result(value: bytes) -> str:
    if value[6:] != b"\xff\xff":
        return repr(struct.unpack("<d", value)[0])
    kinds = {1: "true" if value[2] else "false", 2: ERRORS.get(value[2], "")}
    return kinds.get(value[0], "")
