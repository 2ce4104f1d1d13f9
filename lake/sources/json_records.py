"""JSON objects as rows: numbers exactly as written, fields by path, everything odd a reason and never a guess.

Here: decoding one object and turning some thousand into a block. Where objects stand in a file is `json_files.py`.
"""

import gc
import json
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import polars as pl

from lake.contracts.model import Column, Contract
from lake.sources.block import Block, Reason, Refused
from lake.sources.text import NOT_TEXT, clean, nul_marks, texts

Record = dict[str, Any]
Tree = dict[str, Any]
_ABSENT: Record = {}
TEXT = "\0"
"""Key of a value itself beside the fields inside it: in a tree, that a column reads it; in a record of XML, its text."""


class NotJson(ValueError):
    """A text that is no JSON value as the standard has it; the message ends a sentence."""

    def __init__(self, message: str, position: int | None = None) -> None:
        """Say what is wrong, and at which character (0-based) where that is known."""
        super().__init__(message if position is None else f"{message} at character {position + 1}")
        self.message = message


def _object(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the key {twice[:80]!r} stands in one object twice")
    return found


def _refuse_word(word: str) -> None:
    raise NotJson(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=_refuse_word, object_pairs_hook=_object
)
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def decode(text: str, start: int = 0) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, its numbers as text, and where it ends.

    Raises `NotJson`.
    """
    try:
        return _scan(text, start)
    except StopIteration as stop:
        raise NotJson("a value is missing", stop.value) from None
    except RecursionError:
        raise NotJson("objects or lists stand too deeply in each other") from None
    except json.JSONDecodeError as error:
        raise NotJson(error.msg[0].lower() + error.msg[1:], error.pos) from None


_SEPARATOR = f'"{secrets.token_hex(16)}"'
"""Between objects that are decoded together; no file can hold it, so each of them is seen to be one value by itself."""
_SPACED_COLON = re.compile(r'"[ \t\r\n]+:')
_QUICK = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse_word)
_quick_scan: Callable[[str, int], tuple[Any, int]] = _QUICK.scan_once  # type: ignore[attr-defined]


def decode_together(texts: Sequence[str], opened: Tree) -> list[Record] | None:
    """Return the objects that the texts are, decoded in one go (twice as fast); None if one of them needs a closer look.

    `opened` are the fields inside which a contract reads: what stands in others is not looked through for a key twice,
    so a text with objects there is looked at closely.
    """
    text = f"[{f',{_SEPARATOR},'.join(texts)}]"
    try:
        values, end = _quick_scan(text, 0)
    except (ValueError, RecursionError, StopIteration):
        return None
    records: list[Record] = values[::2]
    is_apart = values[1::2] == [_SEPARATOR[1:-1]] * (len(texts) - 1)
    if end != len(text) or len(records) != len(texts) or not is_apart or set(map(type, records)) != {dict}:
        return None
    # Each key is followed by a colon, so as many of both means that no key is there twice.
    if _has_spaced_colon(text) or text.count('":') != _count_keys(records, opened):
        return None
    return records


def _has_spaced_colon(text: str) -> bool:
    """Whether white space stands between a key and its colon; the regular expression is asked only where it could."""
    could = (
        "\t" in text or " :" in text or "\r" in text or "\n" in text
    )  # single signs are found ten times as fast
    return could and _SPACED_COLON.search(text) is not None


def _count_keys(records: Sequence[Any], opened: Tree) -> int:
    count = sum(map(len, records))
    for name, below in opened.items():
        values = _values(records, name)
        inner = values if set(map(type, values)) == {dict} else [one for one in values if type(one) is dict]
        count += _count_keys(inner, {key: tree for key, tree in below.items() if set(tree) - {TEXT}})
    return count


@contextmanager
def many_objects() -> Iterator[None]:
    """Make no search for cycles while objects are decoded by the thousand: it takes half of the time and finds none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class FieldsSeen:
    """Which fields the objects of a file have, as names that a contract would give them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.new: dict[str, None] = {}
        """Those that no column reads, in the order in which they were met; never more than `MOST_FIELDS`."""
        self.columns: set[str] = set()
        """Source names of the columns that some object has."""

    def note(self, records: Sequence[Record], tree: Tree, separator: str, above: str = "") -> None:
        """Look through objects, or the objects in one field of them."""
        inner: dict[str, list[Record]] = {}
        plain: dict[str, None] = {}
        for record in records:
            for key, value in record.items():
                if type(value) is dict and value:
                    inner.setdefault(key, []).append(value)
                else:
                    plain[key] = None
        for key in plain | dict.fromkeys(inner):
            name = above.removesuffix(separator) if key == TEXT else above + key
            below = tree.get(key)
            if below is None and key in plain and len(self.new) < MOST_FIELDS:
                self.new[name] = None
            elif below is not None and (TEXT in below or key == TEXT):
                self.columns.add(name)
            if key in inner:
                self.note(inner[key], below or {}, separator, f"{name}{separator}")


MOST_FIELDS = 10_001
_fields_seen: ContextVar[FieldsSeen | None] = ContextVar("fields_seen", default=None)


@contextmanager
def noting_fields() -> Iterator[FieldsSeen]:
    """While files are read in it, note the fields of all their objects: JSON and XML have no header that tells them."""
    seen = FieldsSeen()
    token = _fields_seen.set(seen)
    try:
        yield seen
    finally:
        _fields_seen.reset(token)


def is_noting_fields() -> bool:
    """Whether somebody notes which fields objects have, so that each has to be looked at."""
    return _fields_seen.get() is not None


class Shape:
    """What a contract reads of an object: a path per column, and by that, which fields nobody reads."""

    def __init__(self, contract: Contract, separator: str = ".") -> None:
        """Prepare the paths: a name with separators is one."""
        self.contract, self.separator = contract, separator
        self.ignores_others = contract.location.other_fields == "ignore"
        self.tree: Tree = {}
        for column in contract.columns:
            node = self.tree
            for part in column.source_name.split(separator):
                node = node.setdefault(part, {})
            node[TEXT] = {}
        # Of an XML element's attributes only its own value tells: there each field is looked into.
        self.opened = {
            name: below for name, below in self.tree.items() if separator == "/" or set(below) != {TEXT}
        }

    def others(self, record: Record) -> list[str]:
        """Return the paths of fields that no column reads."""
        if self.ignores_others:
            return []
        if unknown := [key for key in record if key not in self.tree]:
            return unknown
        return [
            path
            for name, below in self.opened.items()
            for path in self._unread(record.get(name), below, name)
        ]

    def _have_others(self, objects: "_Objects", tree: Tree, path: tuple[str, ...] = ()) -> bool:
        """Whether any record has a field that no column reads: whether it has more fields than are known."""
        if self.ignores_others:
            return False
        known = [name for name in tree if name != TEXT or self.separator == "/"]
        if sum(map(len, objects.at(path))) != sum(objects.count(path, name) for name in known):
            return True
        for name, below in (self.opened if tree is self.tree else tree).items():
            if name == TEXT or (set(below) == {TEXT} and self.separator != "/"):
                continue
            values, inner = objects.values(path, name), objects.at((*path, name))
            # A single value where fields should be: what stands there would be lost.
            if TEXT not in below and values is not inner:
                is_object = sum(type(value) is dict for value in values)
                if is_object < len(values) - values.count(None):
                    return True
            if self._have_others(objects, below, (*path, name)):
                return True
        return False

    def _unread(self, value: Any, tree: Tree, path: str) -> list[str]:
        if type(value) is not dict:
            # A single value where fields should be: what stands there would be lost.
            return [path] if value is not None and TEXT not in tree else []
        if set(tree) == {TEXT} and TEXT not in value:
            return []  # an object where a value should be has a reason of its own
        found = []
        for key, inner in value.items():
            if key not in tree:
                found.append(path if key == TEXT else f"{path}{self.separator}{key}")
            elif key != TEXT:
                found += self._unread(inner, tree[key], f"{path}{self.separator}{key}")
        return found

    def block(
        self,
        records: Sequence[Record],
        lines: Sequence[int],
        raw: Callable[[int], str],
        refused: list[Refused],
    ) -> Block:
        """Return a block of the records; `raw` gives the text of the record at a position."""
        if (seen := _fields_seen.get()) is not None:
            seen.note(records, self.tree, self.separator)
        marks: list[tuple[int, Reason]] = []
        objects = _Objects(records)
        columns = [self._column(column, objects, marks) for column in self.contract.columns]
        for row, record in enumerate(records) if self._have_others(objects, self.tree) else ():
            if unknown := self.others(record):
                marks.append((row, _unknown_reason(unknown)))
        frame = pl.DataFrame(columns)
        marks += nul_marks(frame)
        return Block(
            frame,
            pl.Series("_line", lines, dtype=pl.Int64),
            lambda rows: [clean(raw(row)) for row in rows],
            refused=refused,
            marks=marks,
        )

    def _column(self, column: Column, objects: "_Objects", marks: list[tuple[int, Reason]]) -> pl.Series:
        *outer, last = column.source_name.split(self.separator)
        values = objects.values(tuple(outer), last)
        if not set(map(type, values)) <= {str, type(None)}:
            values = list(values)
            for row, value in enumerate(values):
                if type(value) is bool:
                    values[row] = "true" if value else "false"
                elif type(value) is dict or type(value) is list:
                    # In JSON that sign may be anybody's key.
                    own = value.get(TEXT) if type(value) is dict and self.separator == "/" else None
                    values[row] = own
                    if own is None:
                        marks.append((row, _nested_reason(column, value)))
        found, halves = texts(column.name, values)
        marks += [(row, Reason(NOT_TEXT.rule, column.name, NOT_TEXT.message)) for row in halves]
        return found


class _Objects:
    """What stands in a block's records at a path: looked up once for all who ask."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._objects: dict[tuple[str, ...], Sequence[Record]] = {(): records}
        self._values: dict[tuple[str, ...], tuple[list[Any], int]] = {}

    def at(self, path: tuple[str, ...]) -> Sequence[Record]:
        """Return one object per record, an empty one where there is none."""
        if path not in self._objects:
            values = self.values(path[:-1], path[-1])
            if set(map(type, values)) != {dict}:
                values = [value if type(value) is dict else _ABSENT for value in values]
            self._objects[path] = values
        return self._objects[path]

    def values(self, path: tuple[str, ...], key: str) -> list[Any]:
        """Return what each record has at a path under a key, None where nothing is; not to be changed."""
        return self._look_up(path, key)[0]

    def count(self, path: tuple[str, ...], key: str) -> int:
        """Return how many records have the key there."""
        return self._look_up(path, key)[1]

    def _look_up(self, path: tuple[str, ...], key: str) -> tuple[list[Any], int]:
        place = (*path, key)
        if place not in self._values:
            there = self.at(path)
            try:  # each has it: the usual case
                self._values[place] = [one[key] for one in there], len(there)
            except KeyError:
                self._values[place] = [one.get(key) for one in there], sum(key in one for one in there)
        return self._values[place]


def _values(objects: Sequence[Record], key: str) -> list[Any]:
    try:
        return [one[key] for one in objects]
    except KeyError:
        return [one.get(key) for one in objects]


def _unknown_reason(paths: list[str]) -> Reason:
    shown = ", ".join(repr(path[:80]) for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return Reason("unknown_field", None, f"{shown}{more}: no column of the contract reads it")


def _nested_reason(column: Column, value: Any) -> Reason:
    what = f"a list of {len(value)} values" if isinstance(value, list) else "an object"
    return Reason("nested", column.name, f"{what} stands where one value should be")
