"""JSON lines that all look alike, as machines write them: taken apart by one pattern, a column at a time.

The form is that of a line that was looked at: its keys and their order, and whether a value is a text, a number or a truth. A
line of that form holds nothing that `json_records.py` would say anything about, and gives the same texts (a test holds
it); every other line is left to that module. Numbers stay as they are written, for nothing is parsed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from lake.contracts.model import Contract
from lake.sources.json_records import NotJson, decode

LOOKED_AT = 20
"""Lines of a group that may give the form."""
ATTEMPTS = 3
"""Groups of mostly other lines after which a file is taken to have no form."""
_SPACE = r"[ \t\r\n]*"
_TEXT = r'[^"\\\x00-\x1f]*'
"""What stands between quotes and is what it says: no escape, nothing that JSON has no room for."""
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"

Path = tuple[str, ...]


class _NoFormError(Exception):
    """A line that no pattern stands for."""


class Uniform:
    """The form of a file's lines: found in its first ones, and anew when most lines have another."""

    def __init__(self, contract: Contract) -> None:
        """Begin without a form."""
        self._columns = {column.name: tuple(column.source_name.split(".")) for column in contract.columns}
        self._ignores_others = contract.location.other_fields == "ignore"
        self._pattern, self._paths = "", list[Path]()
        self._attempts = 0

    def read(self, lines: Sequence[str]) -> tuple[pl.DataFrame, pl.Series] | None:
        """Return the columns of the lines as text, and which lines have the form; those of others are null.

        None when there is no form, or when most of these lines have another.
        """
        if self._attempts == ATTEMPTS or not (self._pattern or self._find(lines[:LOOKED_AT])):
            return None
        try:
            text = pl.Series(lines, dtype=pl.String)
            *values, end = text.str.extract_groups(self._pattern).struct.unnest().get_columns()
        except (UnicodeEncodeError, pl.exceptions.ComputeError):  # bytes that are no text; too many columns
            return None
        fits = end.is_not_null()
        if 2 * int(fits.sum()) < len(lines):
            self._pattern, self._attempts = "", self._attempts + 1
            return None
        found = dict(zip(self._paths, values, strict=True))
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines))
        columns = [found.get(path, nothing).alias(name) for name, path in self._columns.items()]
        return pl.DataFrame([column.set(column == "", None) for column in columns]), fits

    def _find(self, lines: Sequence[str]) -> bool:
        """Look for a form in some lines; note the attempt if none has one."""
        for line in lines:
            self._paths = []
            try:
                _, end = decode(stripped := line.strip(" \t\r\n"))
                record = json.loads(stripped) if end == len(stripped) else None
                if isinstance(record, dict):
                    self._pattern = f"^{_SPACE}{self._object(record, ())[:-2]}(\\}}){_SPACE}$"
                    return True
            except (NotJson, ValueError, RecursionError, _NoFormError):
                continue
        self._attempts += 1
        return False

    def _object(self, record: Mapping[str, Any], above: Path) -> str:
        fields = []
        for key, value in record.items():
            if not re.fullmatch(_TEXT, key):
                raise _NoFormError
            fields.append(f'"{re.escape(key)}"{_SPACE}:{_SPACE}{self._value(value, (*above, key))}')
        if not fields:
            raise _NoFormError
        return rf"\{{{_SPACE}" + f"{_SPACE},{_SPACE}".join(fields) + rf"{_SPACE}\}}"

    def _value(self, value: Any, path: Path) -> str:
        """Return the pattern of a value; one that is read by a column is a group. What needs a closer look has none."""
        is_read = path in self._columns.values()
        if isinstance(value, dict) and not is_read:
            return self._object(value, path)
        holds_read = any(read[: len(path)] == path for read in self._columns.values())
        if isinstance(value, dict | list) or (not is_read and (holds_read or not self._ignores_others)):
            raise _NoFormError
        group = "(" if is_read else "(?:"
        if is_read:
            self._paths.append(path)
        if isinstance(value, bool):
            return f"(?:{group}true|false)|null)"
        return (
            f"(?:{group}{_NUMBER})|null)" if isinstance(value, int | float) else f'(?:"{group}{_TEXT})"|null)'
        )
