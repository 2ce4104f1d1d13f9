"""Opens a workbook of any of the five formats, and hands on the values of a sheet, row by row.

Values are calamine's: `str`, `int`, `float`, `bool`, `date`, `datetime`, `time`, `timedelta`; '' is an empty cell.
python-calamine and not fastexcel: as text, fastexcel 0.21 loses booleans and all but nine decimals of a number.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import python_calamine as calamine

from lake.errors import FileRefused
from lake.sources.workbooks import ods, ooxml, xls, xlsb
from lake.sources.workbooks.compound import SIGNATURE
from lake.sources.workbooks.encryption import without_own_password
from lake.sources.workbooks.layout import Layout, Wanted, is_digit_mask
from lake.sources.workbooks.parts import Parts

Value = str | int | float | bool | date | datetime | time | timedelta

SUFFIXES = (".xls", ".xlsx", ".xlsm", ".xlsb", ".ods")


@dataclass(frozen=True)
class Sheet:
    """One sheet of a workbook."""

    name: str
    position: int
    """1-based; sheets that hold a chart only are counted, as they have their tab too."""
    is_hidden: bool
    has_cells: bool
    """False for a sheet that holds a chart, a dialog or macros."""


@dataclass(frozen=True)
class Grid:
    """The used cells of a sheet: a rectangle, with the layout of the whole sheet."""

    first_row: int
    """0-based, from A1; as `first_column` and the rows and columns of `layout`."""
    first_column: int
    width: int
    rows: Iterator[list[Value]]
    layout: Layout


class Workbook:
    """An open workbook. Raises `FileRefused` for what is none, is damaged, or needs a password."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with path.open("rb") as stream:
            self._is_compound = stream.read(8) == SIGNATURE
        self._data = without_own_password(path.read_bytes()) if self._is_compound else b""
        if not self._is_compound:
            with Parts(path, name) as parts:
                self._kind = _kind(parts)
        self._book = self._open()
        self.sheets = tuple(
            Sheet(
                meta.name,
                i + 1,
                meta.visible != calamine.SheetVisibleEnum.Visible,
                meta.typ == calamine.SheetTypeEnum.WorkSheet,
            )
            for i, meta in enumerate(self._book.sheets_metadata)
        )

    def _open(self) -> calamine.CalamineWorkbook:
        try:
            if self._is_compound:
                return calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._data))
            return calamine.CalamineWorkbook.from_path(self.path)
        except calamine.PasswordError as error:
            raise FileRefused(f"{self.name} is locked with a password: save it without one and deliver it again.") from error
        except _ERRORS as error:
            raise self._unreadable(error) from error

    def grid(self, sheet: Sheet, wanted: Wanted = is_digit_mask) -> Grid:
        """Return the used cells of a sheet, and its layout with the number formats that are `wanted`.

        Raises `FileRefused` for a sheet that is damaged or reaches too far, before memory is taken for it.
        """
        layout = self._layout(sheet, wanted)
        try:
            found = self._book.get_sheet_by_index(sheet.position - 1)
        except _ERRORS as error:
            raise self._unreadable(error, f", sheet {sheet.name!r}") from error
        if found.start is None or not found.height:
            return Grid(0, 0, 0, iter(()), layout)
        first_row, first_column = found.start
        rows = iter(found.iter_rows())
        for _ in range(first_row):
            next(rows, None)  # calamine hands on the empty rows above
        return Grid(first_row, first_column, found.width, rows, layout)

    def _layout(self, sheet: Sheet, wanted: Wanted) -> Layout:
        if self._is_compound:
            return xls.read_layout(self._data, sheet.position - 1, wanted)
        with Parts(self.path, self.name) as parts:
            return _LAYOUTS[self._kind](parts, sheet.position - 1, sheet.name, wanted)

    def _unreadable(self, error: BaseException, where: str = "") -> FileRefused:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return FileRefused(
            f"{self.name}{where} cannot be read as a workbook ({first}): save it again as .xlsx and deliver it again."
        )


_ERRORS = (
    calamine.CalamineError, calamine.XmlError, calamine.ZipError, calamine.WorksheetNotFound, OSError, ValueError,
)  # fmt: skip
_LAYOUTS = {"ooxml": ooxml.read_layout, "xlsb": xlsb.read_layout, "ods": ods.read_layout}


def _kind(parts: Parts) -> str:
    """Say which zipped format it is, by what stands in it: a file's name may be wrong."""
    kinds = {ooxml.WORKBOOK: "ooxml", xlsb.WORKBOOK: "xlsb", "content.xml": "ods"}
    for part, kind in kinds.items():
        if part in parts:
            return kind
    raise FileRefused(f"{parts.name} holds no workbook: deliver it as {', '.join(SUFFIXES)}.")
