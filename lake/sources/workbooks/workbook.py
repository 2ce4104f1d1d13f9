"""Opens a workbook of any of the five formats, and hands on the values of a sheet, row by row.

Values are calamine's: `str`, `int`, `float`, `bool`, `date`, `datetime`, `time`, `timedelta`; '' is an empty cell. Errors,
masked numbers and durations that calamine takes for numbers come from the sheet's layout. Workbooks of Excel 2 to 4 are xlrd's.
python-calamine and not fastexcel: as text, fastexcel 0.21 loses booleans and all but nine decimals of a number.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import python_calamine as calamine
import xlrd
from xlrd.book import Book
from xlrd.sheet import Sheet as OldSheet

from lake.contracts.workbook_options import SUFFIXES
from lake.errors import FileRefused
from lake.sources.workbooks import before_excel5, ods, ooxml, xls, xlsb
from lake.sources.workbooks.compound import SIGNATURE
from lake.sources.workbooks.encryption import without_own_password
from lake.sources.workbooks.layout import Layout, is_elapsed, masked, tells_value
from lake.sources.workbooks.parts import Parts


class Masked(float):
    """A number that its cell shows with leading zeros or separators: 123 as 00123."""

    shown: str


@dataclass(frozen=True)
class CellError:
    """What stands in a cell in place of a value: '#N/A', or `NO_SAVED_VALUE`."""

    shown: str


Value = str | int | float | bool | date | datetime | time | timedelta | CellError


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
        """Open the file at `path`, whose name in messages is `name`."""
        self.path, self.name = path, name
        with path.open("rb") as stream:
            head = stream.read(8)
        self._old: Book | None = None
        if head[:2] in before_excel5.STARTS:
            with self._refusing():
                self._old = before_excel5.open_book(path.read_bytes())
            self.sheets = tuple(
                Sheet(sheet.name, i + 1, sheet.visibility > 0, True)
                for i, sheet in enumerate(self._old.sheets())
            )
            return
        self._is_compound = head == SIGNATURE
        self._data = without_own_password(path.read_bytes()) if self._is_compound else b""
        if not self._is_compound:
            with closing(Parts(path, name)) as parts:
                self._kind = _kind(parts)
                self._kind.check(parts)
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
        with self._refusing():
            if self._is_compound:
                return calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._data))
            return calamine.CalamineWorkbook.from_path(self.path)

    @contextmanager
    def _refusing(self, where: str = "") -> Iterator[None]:
        """Make what damaged content raises, in calamine or in the layout, a refusal of the file."""
        try:
            yield
        except calamine.PasswordError as error:
            raise FileRefused(
                f"{self.name} is locked with a password: save it without one and deliver it again."
            ) from error
        except BaseException as error:
            # A panic of calamine's Rust is no Exception, and its class has no name to import.
            if not isinstance(error, _ERRORS) and type(error).__name__ != "PanicException":
                raise
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise FileRefused(
                f"{self.name}{where} cannot be read as a workbook ({first}): save it again as .xlsx and deliver it again."
            ) from error

    def grid(self, sheet: Sheet) -> Grid:
        """Return the used cells of a sheet, and its layout.

        Raises `FileRefused` for a sheet that is damaged or reaches too far, before memory is taken for it.
        """
        if self._old is not None:
            return self._old_grid(self._old.sheet_by_index(sheet.position - 1))
        with self._refusing(f", sheet {sheet.name!r}"):
            layout = self._layout(sheet)
            found = self._book.get_sheet_by_index(sheet.position - 1)
        if found.start is None or not found.height:
            return Grid(0, 0, 0, iter(()), layout)
        first_row, first_column = found.start
        rows: Iterator[list[Any]] = islice(
            found.iter_rows(), first_row, None
        )  # calamine hands on the empty rows above
        return Grid(
            first_row, first_column, found.width, _refined(rows, first_row, first_column, layout), layout
        )

    def _old_grid(self, sheet: OldSheet) -> Grid:
        with self._refusing(f", sheet {sheet.name!r}"):
            layout = before_excel5.read_layout(sheet, tells_value)
        rows: Iterator[list[Any]] = before_excel5.read_rows(sheet, layout)
        return Grid(0, 0, sheet.ncols, _refined(rows, 0, 0, layout), layout)

    def _layout(self, sheet: Sheet) -> Layout:
        if self._is_compound:
            return xls.read_layout(self._data, sheet.position - 1, tells_value)
        with closing(Parts(self.path, self.name)) as parts:
            layout: Layout = self._kind.read_layout(parts, sheet.position - 1, sheet.name, tells_value)
            return layout


_ERRORS = (
    calamine.CalamineError, calamine.XmlError, calamine.ZipError, calamine.WorksheetNotFound, OSError, ValueError,
    LookupError, ArithmeticError, struct.error, xlrd.XLRDError, AssertionError, TypeError, AttributeError,
)  # fmt: skip


def _refined(
    rows: Iterator[list[Value]], first_row: int, first_column: int, layout: Layout
) -> Iterator[list[Value]]:
    """Put into the rows what only the layout knows: errors, masked numbers, durations."""
    for row, values in enumerate(rows, first_row):
        for column, code in layout.formats.get(row, {}).items():
            at = column - first_column
            if 0 <= at < len(values):
                values[at] = _formatted(values[at], code)
        for column, error in layout.problems.get(row, {}).items():
            if 0 <= column - first_column < len(values):
                values[column - first_column] = CellError(error)
        yield values


def _formatted(value: Value, code: str) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if is_elapsed(code):
        return timedelta(days=value) if abs(value) < 1e6 else value
    if (shown := masked(value, code)) is None:
        return value
    number = Masked(value)
    number.shown = shown
    return number


def _kind(parts: Parts) -> ModuleType:
    """Return the module of a zipped format, by what stands in the file: its name may be wrong."""
    kinds = {ooxml.WORKBOOK: ooxml, xlsb.WORKBOOK: xlsb, "content.xml": ods}
    for part, kind in kinds.items():
        if parts.has(part):
            return kind
    raise FileRefused(f"{parts.name} holds no workbook: deliver it as {', '.join(SUFFIXES)}.")
