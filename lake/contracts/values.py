"""How one value of a contract is read and judged: a choice, a number, a pattern, a date format, a SQL name.

Here: functions from a `Node` to a value, None after they noted a problem. Not here: which key takes which of them.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl

from lake.contracts.document import Node
from lake.contracts.standard import suggest

Parser = Callable[[Node], Any]

_SAMPLE = datetime(2021, 11, 23, 14, 5, 6)
_FORMAT_HINT = "write it as strptime does, e.g. '%Y-%m-%d' or '%d.%m.%Y %H:%M'"


def custom_properties(
    node: Node, known: Mapping[str, Parser], elsewhere: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Return what the `customProperties` of a node say, by the table of those `known` there.

    `elsewhere` tells of properties that exist but not here: name -> why.
    """
    found: dict[str, Any] = {}
    for item in node.items("customProperties"):
        name, value = item.value["property"], item.child("value")
        assert value is not None
        if name in found:
            item.reject(f"{name!r} stands twice: keep one")
        elif name in known:
            found[name] = known[name](value) if value.value is not None else None
        elif name in elsewhere:
            item.reject(f"{name!r} does not belong here: {elsewhere[name]}")
        else:
            item.reject(f"{name!r} is no custom property of Stocklake: {suggest(name, known)}")
    return {name: value for name, value in found.items() if value is not None}


def one_of(*choices: str) -> Parser:
    """Return a parser of one of a few words."""

    def parse(node: Node) -> str | None:
        if node.value in choices:
            return str(node.value)
        node.reject(f"is {node.value!r} and has to be one of {', '.join(choices)}")
        return None

    return parse


def whole(minimum: int) -> Parser:
    """Return a parser of whole numbers from `minimum` up."""

    def parse(node: Node) -> int | None:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= minimum:
            return int(node.value)
        node.reject(f"has to be a whole number from {minimum} up, not {node.value!r}")
        return None

    return parse


def list_of_whole(minimum: int) -> Parser:
    """Return a parser of lists of whole numbers from `minimum` up."""

    def parse(node: Node) -> tuple[int, ...] | None:
        numbers = [whole(minimum)(item) for item in node.items()]
        if not numbers:
            node.reject(f"has to be a list of at least one whole number, not {node.value!r}")
        return tuple(number for number in numbers if number is not None) or None

    return parse


def element_path(node: Node) -> str | None:
    """Return local names of XML elements, one inside the other: 'Orders/Order'."""
    if isinstance(node.value, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)*", node.value):
        return node.value
    node.reject(f"has to be names of elements like Orders/Order, without namespaces, not {node.value!r}")
    return None


def text(node: Node) -> str | None:
    """Return a text that is not blank."""
    if isinstance(node.value, str) and node.value.strip():
        return node.value
    node.reject(f"has to be a text, not {node.value!r}")
    return None


def text_or_list(node: Node) -> Any:
    """Return a text, or a list of texts, as a tuple."""
    if not isinstance(node.value, list):
        return text(node) and (node.value,)
    if not node.value:
        node.reject("has to be a text or a list of at least one, not []")
    return tuple(text(item) for item in node.items())


def as_written(node: Node) -> str | None:
    """Return any scalar as it was written ('007', '1.50')."""
    if isinstance(node.value, str | int | float):
        return node.text
    node.reject(f"has to be a single value, not {node.value!r}")
    return None


def list_as_written(node: Node) -> tuple[str, ...] | None:
    """Return a list of scalars as they were written; null among them is a mistake."""
    items = [as_written(item) for item in node.items()]
    if not items:
        node.reject(f"has to be a list of at least one value, not {node.value!r}")
    return tuple(item for item in items if item is not None) or None


def mapping(node: Node) -> dict[str, Any] | None:
    """Return a mapping as it stands."""
    if isinstance(node.value, dict):
        return dict(node.value)
    node.reject(f"has to be a mapping, not {node.value!r}")
    return None


def flag(node: Node) -> bool | None:
    """Return true or false."""
    if isinstance(node.value, bool):
        return node.value
    node.reject(f"has to be true or false, not {node.value!r}")
    return None


def character(node: Node) -> str | None:
    """Return a single character that can separate or quote fields."""
    value = node.value
    if isinstance(value, str) and len(value) == 1 and value not in "\r\n":
        return value
    node.reject(f'has to be one character, not {value!r} (a tab is written "\\t" in double quotes)')
    return None


def encoding(node: Node) -> str | None:
    """Return the name of a text encoding that Python knows."""
    try:
        return codecs.lookup(node.text).name
    except (LookupError, ValueError):
        node.reject(f"{node.text!r} is no encoding: write e.g. utf-8, latin-1 or cp1252")
        return None


def regex(node: Node) -> str | None:
    """Return a regular expression that both Python and the engines that apply it to columns understand."""
    try:
        re.compile(node.text)
        pl.Series([""]).str.contains(node.text, strict=True)
    except re.error as error:
        node.reject(f"is no regular expression ({error}): correct it")
    except pl.exceptions.PolarsError:
        node.reject(
            "cannot be applied to columns: leave out look-around, back-references and Python-only escapes"
        )
    else:
        return node.text
    return None


def filename_pattern(node: Node) -> str | None:
    """Return a regular expression with a group for the date."""
    pattern = regex(node)
    if pattern is not None and re.compile(pattern).groups < 1:
        node.reject(r"has no group for the date: put the date in brackets, e.g. '_(\d{4}-\d{2}-\d{2})'")
        return None
    return pattern


def strptime_format(node: Node) -> str | None:
    """Return a strptime format that gives back a whole day, by Python and by polars, which reads the files."""
    pattern = node.text
    if "%" not in pattern:
        node.reject(f"{pattern!r} is no date format: {_FORMAT_HINT}")
        return None
    try:
        written = _SAMPLE.strftime(pattern)
        day = datetime.strptime(written, pattern).date()
        read = pl.Series([written]).str.to_date(
            pattern.replace(".%f", "%.f").replace("%f", "%6f"), strict=False
        )[0]
    except (ValueError, re.error, pl.exceptions.PolarsError) as error:
        node.reject(f"{pattern!r} is no date format ({' '.join(str(error).split())[:120]}): {_FORMAT_HINT}")
        return None
    if day != _SAMPLE.date() or read != day:
        node.reject(f"{pattern!r} does not give day, month and year: {_FORMAT_HINT}")
        return None
    return pattern


def boolean_format(node: Node) -> str | None:
    """Return 'TRUE_TEXT/FALSE_TEXT'."""
    words = node.text.split("/")
    if len(words) == 2 and all(words) and words[0] != words[1]:
        return node.text
    node.reject(f"{node.text!r} does not say how true and false are written: write e.g. 'Y/N'")
    return None


def sql_name(node: Node) -> str:
    """Return a name of a table or column after judging that it can stand in SQL unquoted."""
    name = str(node.value)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        node.reject(
            f"{name!r} is no name for a table or column: use snake_case, a letter first, at most 63 characters"
        )
    elif name in reserved_words():
        node.reject(f"{name!r} is a word of SQL: choose another, e.g. {name}_name")
    return name


@cache
def reserved_words() -> frozenset[str]:
    """Return the words that SQL keeps for itself, in lower case."""
    from lake.connection import memory_connection  # .2 CPU s, and what parses a file never asks for a word

    with memory_connection() as connection:
        rows = connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
        ).fetchall()
    return frozenset(row[0] for row in rows)
