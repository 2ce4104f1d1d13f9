"""What a sheet says besides its values: errors, number formats, hidden rows, merged cells; and how far it reaches.

The modules `ooxml`, `xlsb`, `xls` and `ods` fill a `Layout` from their format; values are calamine's alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lake.errors import FileRefused

Merge = tuple[int, int, int, int]
"""First row, first column, last row, last column; 0-based."""

MAX_GRID_CELLS = 30_000_000
"""Rows x columns of a sheet, from its first to its last used cell: a grid in memory, some 30 bytes for each."""
NO_SAVED_VALUE = "a formula without a saved value"
ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
"""Codes of error cells in xls and xlsb."""
_SECTION = re.compile(r'\[[^\]]*\]|"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|(?P<plain>.)', re.DOTALL)
_PLAIN_LITERALS = "-+/(): "

_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)

Wanted = Callable[[str], bool]
"""Whether cells with this number format are to be noted in `Layout.formats`."""


@dataclass
class Layout:
    """What is known of one sheet; every row and column is 0-based, counted from A1."""

    problems: dict[int, dict[int, str]] = field(default_factory=dict)
    """Row -> column -> error shown by the cell ('#N/A'), or `NO_SAVED_VALUE`."""
    formats: dict[int, dict[int, str]] = field(default_factory=dict)
    """Row -> column -> number format of a cell with a number, where the format was wanted."""
    hidden_rows: set[int] = field(default_factory=set)
    merges: list[Merge] = field(default_factory=list)

    def note_problem(self, row: int, column: int, problem: str) -> None:
        """Note an error cell."""
        self.problems.setdefault(row, {})[column] = problem

    def note_format(self, row: int, column: int, code: str) -> None:
        """Note the number format of a cell."""
        self.formats.setdefault(row, {})[column] = code


def check_extent(rows: int, columns: int, name: str, sheet: str) -> None:
    """Raise `FileRefused` for a sheet whose used cells lie too far apart to hold it as a grid."""
    if rows * columns > MAX_GRID_CELLS:
        raise FileRefused(
            f"{name}, sheet {sheet!r} reaches over {rows:,} rows x {columns:,} columns, which is more than"
            f" {MAX_GRID_CELLS:,} cells: clear the cells far from the table and deliver it again, or deliver a CSV."
        )


def tells_value(code: str) -> bool:
    """Whether a number format says something of the value that calamine does not: a mask of digits, a duration."""
    return mask_of(code) is not None or is_elapsed(code)


def is_elapsed(code: str) -> bool:
    """Whether a number format shows days as a duration, as [h]:mm does; calamine misses those with conditions."""
    return bool(_ELAPSED.search(code))


def mask_of(code: str) -> list[str] | None:
    """Take a mask of digits apart: its literal characters, NUL where a digit stands; None if it is none.

    A mask has at least two zeros and nothing that scales, groups or rounds a number; only its first section counts.
    """
    mask: list[str] = []
    zeros = 0
    for match in _SECTION.finditer(code.partition(";")[0]):
        literal = match["quoted"] if match["quoted"] is not None else match["escaped"]
        plain = match["plain"]
        if literal is not None:
            mask += literal
        elif plain in ("0", "#"):
            mask.append("\0")
            zeros += plain == "0"
        elif plain is not None and plain in _PLAIN_LITERALS:
            mask.append(plain)
        elif plain is not None:
            return None
    return mask if zeros > 1 else None


def masked(number: float, code: str) -> str | None:
    """Write a whole number as its mask shows it: 123 as 00123. None for one that a mask does not keep whole.

    >>> masked(123, "00000"), masked(12345678, "000-00-0000"), masked(1.5, "00000")
    ('00123', '012-34-5678', None)
    """
    mask = mask_of(code)
    if mask is None or number < 0 or number >= 1e15 or number != int(number):
        return None
    digits = list(str(int(number)))
    places = mask.count("\0")
    digits = ["0"] * (places - len(digits)) + digits
    head, digits = digits[: len(digits) - places], digits[len(digits) - places :]
    written = "".join(digits.pop(0) if character == "\0" else character for character in mask)
    at = mask.index("\0")
    return written[:at] + "".join(head) + written[at:]
