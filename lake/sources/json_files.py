"""JSON lines (one object a line) and JSON documents (a list of objects at a path): where objects stand in a file.

Both are read in pieces, so memory does not grow with the file. A line that is no object is one quarantined row; a
document that is broken anywhere is refused whole, because nothing says where its next object begins.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.sources.block import Block, Reason, Refused, in_order
from lake.sources.json_records import (
    NotJson,
    Record,
    Shape,
    decode,
    decode_together,
    is_noting_fields,
    many_objects,
)
from lake.sources.json_uniform import Uniform
from lake.sources.text import GROUP_LINES, MAXIMUM_LINE_CHARACTERS, clean, line_groups, text_chunks

_SPACE = " \t\r\n"
TOGETHER_LINES = 250
"""Lines decoded in one go. One that is odd makes all of them be decoded again one by one."""


def read_jsonl(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read JSON lines as blocks of rows; empty lines are none.

    Raises `FileRefused`, at the first block or later, for a file that cannot be read as a whole.
    """
    shape, uniform, line, rows = Shape(contract), Uniform(contract), 1, 0
    for lines in line_groups(text_chunks(path, name, contract.location), name):
        block = _uniform_block(lines, line, shape, uniform) or _line_block(enumerate(lines, line), shape)
        line += len(lines)
        rows += block.rows
        if block.rows:
            yield block
    if rows == 0:
        raise FileRefused(f"{name} has no rows: deliver it again with its rows, or remove it.")


def _uniform_block(lines: list[str], first: int, shape: Shape, uniform: Uniform) -> Block | None:
    """Return the block of lines most of which have one form, the others among them; None if most have not."""
    found = None if is_noting_fields() else uniform.read(lines)
    if found is None:
        return None
    text, fits = found
    numbers = pl.Series("_line", range(first, first + len(lines)), dtype=pl.Int64)
    at = fits.arg_true().to_list()
    own = Block(
        text.filter(fits),
        numbers.filter(fits),
        lambda rows: [clean(lines[at[row]].strip(_SPACE)) for row in rows],
    )
    others = (~fits).arg_true().to_list()
    if not others:
        return own
    return in_order(own, _line_block([(first + row, lines[row]) for row in others], shape))


def _line_block(lines: Iterable[tuple[int, str]], shape: Shape) -> Block:
    there = [(number, stripped) for number, text in lines if (stripped := text.strip(_SPACE))]
    records: list[Record] = []
    kept: list[tuple[int, str]] = []
    refused: list[Refused] = []
    with many_objects():
        for start in range(0, len(there), TOGETHER_LINES):
            some = there[start : start + TOGETHER_LINES]
            together = decode_together([text for _, text in some], shape.opened)
            if together is not None:
                records += together
                kept += some
            else:
                _decode_each(some, records, kept, refused)
        return shape.block(records, [number for number, _ in kept], lambda row: kept[row][1], refused)


def _decode_each(
    lines: list[tuple[int, str]],
    records: list[Record],
    kept: list[tuple[int, str]],
    refused: list[Refused],
) -> None:
    """Decode line by line: those that are no object are refused."""
    for number, text in lines:
        try:
            record, end = decode(text)
            if end != len(text):
                raise NotJson("more stands after the object", end)
            if type(record) is not dict:
                raise NotJson("the line holds a value that is no object")
        except NotJson as error:
            refused.append(Refused(number, clean(text), (Reason("json", None, str(error)),)))
        else:
            records.append(record)
            kept.append((number, text))


def read_json(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read the list of objects at the contract's `records_path` (default: the document is the list).

    `_line` is the object's number in the list, 1-based. Raises `FileRefused` for a document that is broken or cut off
    anywhere, holds no such list, or has nothing in it.
    """
    document = _Document(text_chunks(path, name, contract.location), name)
    steps = contract.location.records_path.split(".") if contract.location.records_path else []
    shape, rows = Shape(contract), 0
    groups = _groups(document.records(steps))
    while True:
        with many_objects():
            group = next(groups, None)
        if group is None:
            break
        block = _document_block(*group, rows + 1, shape)
        rows += block.rows
        yield block
    if rows == 0:
        raise FileRefused(f"{name} has no rows: deliver it again with its rows, or remove it.")


def _groups(records: Iterator[tuple[Any, str]]) -> Iterator[tuple[list[Any], list[str]]]:
    values: list[Any] = []
    texts: list[str] = []
    size = 0
    for value, text in records:
        values.append(value)
        texts.append(text)
        size += len(text)
        if len(values) == GROUP_LINES or size > MAXIMUM_LINE_CHARACTERS:
            yield values, texts
            values, texts, size = [], [], 0
    if values:
        yield values, texts


def _document_block(values: list[Any], texts: list[str], first: int, shape: Shape) -> Block:
    is_object = [type(value) is dict for value in values]
    kept = [row for row, is_one in enumerate(is_object) if is_one]
    refused = [
        Refused(
            first + row,
            clean(texts[row]),
            (Reason("json", None, "the list holds a value that is no object"),),
        )
        for row, is_one in enumerate(is_object)
        if not is_one
    ]
    with many_objects():
        return shape.block(
            [values[row] for row in kept],
            [first + row for row in kept],
            lambda row: texts[kept[row]],
            refused,
        )


class _Document:
    """A JSON document read from the front, a piece of it in memory at a time."""

    def __init__(self, chunks: Iterator[str], name: str) -> None:
        self.chunks, self.name = chunks, name
        self.text, self.position, self.line = "", 0, 1

    def records(self, steps: list[str]) -> Iterator[tuple[Any, str]]:
        """Yield each value of the list at `steps` with its text, and judge the document to its end."""
        yield from self._list_at(steps, [])
        if self._peek():
            raise self._broken("more stands after its end")

    def _list_at(self, steps: list[str], done: list[str]) -> Iterator[tuple[Any, str]]:
        where = f"at {'.'.join(done)!r}" if done else "as the document"
        if not steps:
            if self._peek() != "[":
                raise self._broken(f"there is no list {where}: name where the list stands by `records_path`")
            yield from self._values()
            return
        if self._peek() != "{":
            raise self._broken(f"there is no object {where}, so no {'.'.join([*done, *steps])!r} in it")
        seen: set[str] = set()
        for key in self._keys(seen):
            if key == steps[0]:
                yield from self._list_at(steps[1:], [*done, key])
            else:
                self._value()
        if steps[0] not in seen:
            raise self._broken(f"there is no {'.'.join([*done, steps[0]])!r}: correct `records_path`")

    def _keys(self, seen: set[str]) -> Iterator[str]:
        """Yield the keys of the object that begins here; the caller reads the value of each."""
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
            return
        while True:
            if self._peek() != '"':
                raise self._broken("a key is missing")
            key, _ = self._value()
            if key in seen:
                raise self._broken(f"the key {key[:80]!r} stands in one object twice")
            seen.add(key)
            self._expect(":")
            yield key
            if self._expect(",}") == "}":
                return

    def _values(self) -> Iterator[tuple[Any, str]]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _expect(self, characters: str) -> str:
        found = self._peek()
        if not found or found not in characters:
            wanted = " or ".join(repr(one) for one in characters)
            raise self._broken(f"{wanted} is missing" if found else "it was cut off")
        self.position += 1
        return found

    def _peek(self) -> str:
        """Return the next character that is no white space, where it now stands; '' at the end."""
        while True:
            while self.position < len(self.text):
                character = self.text[self.position]
                if character not in _SPACE:
                    return character
                self.position += 1
            if not self._more():
                return ""

    def _value(self) -> tuple[Any, str]:
        """Return the value that begins here, and its text."""
        self._peek()
        while True:
            try:
                value, end = decode(self.text, self.position)
            except NotJson as error:
                problem = error.message
            else:
                # A number at the end of the piece may go on in the next.
                if end < len(self.text) or not self._more():
                    text = self.text[self.position : end]
                    self.position = end
                    return value, text
                continue
            if len(self.text) - self.position > MAXIMUM_LINE_CHARACTERS:
                raise self._broken(
                    f"a value is broken or longer than {MAXIMUM_LINE_CHARACTERS >> 20} million characters ({problem})"
                )
            if not self._more():
                raise self._broken(problem)

    def _more(self) -> bool:
        """Read the next piece behind what is left of this one."""
        chunk = next(self.chunks, "")
        if not chunk:
            return False
        self.line += self.text.count("\n", 0, self.position)
        self.text = self.text[self.position :] + chunk
        self.position = 0
        return True

    def _broken(self, problem: str) -> FileRefused:
        line = self.line + self.text.count("\n", 0, self.position)
        return FileRefused(
            f"{self.name}, line {line}: the JSON document cannot be read: {problem}; correct it and deliver it again."
        )
