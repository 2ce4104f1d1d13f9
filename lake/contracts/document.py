"""YAML that remembers its lines, so that every problem in a contract points at the place to correct.

Here: reading one file into plain values, `Node` to walk them, `Problem` to say what is wrong where. Not here: what
any key means (`standard.py` for ODCS, `datasets.py` and `columns.py` for ours).

YAML is read by the 1.2 core schema: `yes`, `no`, `2024-01-31` and `007` are text, as an ERP means them. A key
without a value counts as absent, except in the value of a custom property, where null is a value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

KeyPath = tuple[str | int, ...]

MAXIMUM_NODES = 50_000
MAXIMUM_DEPTH = 20
MAXIMUM_BYTES = 4_000_000
"""A contract of 1,000 columns has about 20,000 nodes, 9 levels and 300 kB; beyond this is no contract or an attack."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to correct in a contract: where it stands, and what to do, in one sentence."""

    path: Path
    line: int
    """1-based."""
    key: str
    """Dotted, by name: `schema.sales.properties.quantity.maps_to`; empty for the whole file."""
    message: str

    def __str__(self) -> str:
        """Return the problem as one line for a person."""
        key = f", {' '.join(self.key.split())}" if self.key else ""
        return f"{self.path}, line {self.line}{key}: {' '.join(self.message.split())}"


@dataclass
class Document:
    """One contract file: its values, the line of each, and the problems found so far."""

    path: Path
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    """Every scalar as it was written: '1.50', not 1.5."""
    problems: list[Problem] = field(default_factory=list)
    rejected: set[KeyPath] = field(default_factory=set)

    @property
    def root(self) -> "Node":
        """Return the node of the whole document."""
        return Node(self, ())

    def line(self, keypath: KeyPath) -> int:
        """Return the line of a key, or of the nearest thing around it that is in the file."""
        while keypath and keypath not in self.lines:
            keypath = keypath[:-1]
        return self.lines.get(keypath, 1)

    def reject(self, keypath: KeyPath, message: str) -> None:
        """Note a problem at a key."""
        problem = Problem(self.path, self.line(keypath), self.label(keypath), message)
        if problem not in self.problems:
            self.problems.append(problem)
        self.rejected.add(keypath)

    def label(self, keypath: KeyPath) -> str:
        """Return the key as a person would say it: list items by their name, custom properties without the list."""
        words: list[str] = []
        value = self.data
        for index, part in enumerate(keypath):
            value = _inside(value, part)
            if isinstance(part, int):
                name = next((value[k] for k in ("name", "property", "server", "to") if _has(value, k)), part)
                words.append(" ".join(str(name).split())[:60])
            elif part == "customProperties" and index + 1 < len(keypath):
                continue
            elif part != "value" or "customProperties" not in keypath[index - 2 : index]:
                words.append(part)
        return ".".join(words)


@dataclass(frozen=True)
class Node:
    """A place in a document."""

    document: Document
    keypath: KeyPath

    @property
    def value(self) -> Any:
        """Return the plain value; None where there is nothing."""
        value = self.document.data
        for part in self.keypath:
            value = _inside(value, part)
        return value

    @property
    def text(self) -> str:
        """Return a scalar as it was written."""
        return self.document.texts.get(self.keypath, "")

    def child(self, key: str) -> "Node | None":
        """Return the node under `key`, None where there is none."""
        return Node(self.document, (*self.keypath, key)) if _has(self.value, key) else None

    def entries(self) -> Iterator[tuple[str, "Node"]]:
        """Yield key and node of a mapping."""
        for key in self.value if isinstance(self.value, dict) else ():
            yield key, Node(self.document, (*self.keypath, key))

    def items(self, key: str | None = None) -> Iterator["Node"]:
        """Yield the nodes of this list, or of the list under `key`."""
        here = self if key is None else self.child(key)
        if here is not None and isinstance(here.value, list):
            for index in range(len(here.value)):
                yield Node(self.document, (*here.keypath, index))

    def reject(self, message: str) -> None:
        """Note a problem here."""
        self.document.reject(self.keypath, message)

    @property
    def is_rejected(self) -> bool:
        """Whether a problem was found here or anywhere inside."""
        depth = len(self.keypath)
        return any(keypath[:depth] == self.keypath for keypath in self.document.rejected)


def read_document(path: Path, text: bytes | None = None) -> Document:
    """Return the document of one file; what cannot be read is among its problems and its data is None.

    `text` is what it holds where it does not lie at `path` itself (an earlier version of it).
    """
    document = Document(path)
    try:
        if (path.stat().st_size if text is None else len(text)) > MAXIMUM_BYTES:
            raise _TooLarge
        node = yaml.compose((path.read_bytes() if text is None else text).decode("utf-8-sig"), _Loader)
        if node is None:
            document.reject((), "the file is empty: write a contract there or delete it")
        else:
            document.data = _Builder(document).build(node, ())
    except OSError as error:
        document.reject((), f"cannot be read ({error.strerror}): correct its permissions")
    except UnicodeDecodeError as error:
        line = 1 + (error.object[: error.start].count(b"\n") if isinstance(error.object, bytes) else 0)
        _reject_line(document, line, "is not UTF-8 text: save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        _reject_line(document, line, f"is not valid YAML ({reason}): correct it there")
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        document.reject((), f"is not valid YAML ({reason}): remove that character")
    except (_TooLarge, RecursionError):
        document.reject(
            (), "is too large or nested too deeply for a contract: write it flat, without aliases (&, *)"
        )
    return document


class _TooLarge(Exception):
    """More than any contract has; aliases (&, *) can unfold without end."""


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema, so that no date, yes or leading zero is re-interpreted."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc]  # so declared in PyYAML


_TAG = "tag:yaml.org,2002:"
_NUMBER = r"[-+]?(?:0|[1-9][0-9]{0,17})"
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", rf"^{_NUMBER}$", list("-+0123456789")),
    (
        "float",
        rf"^(?:{_NUMBER}(?:\.[0-9]*)?|[-+]?\.[0-9]+)(?:[eE][-+]?[0-9]{{1,2}})?$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)


_KINDS = {"map", "seq", "str", "bool", "null", "int", "float"}


class _Builder:
    """Turns YAML nodes into plain values, noting lines."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def build(self, node: yaml.Node, keypath: KeyPath) -> Any:
        self.count += 1
        if self.count > MAXIMUM_NODES or len(keypath) > MAXIMUM_DEPTH:
            raise _TooLarge
        if node.tag.removeprefix(_TAG) not in _KINDS:
            line = node.start_mark.line + 1
            _reject_line(self.document, line, f"the tag {node.tag!r} is not known here: remove it")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, keypath)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, keypath)
        return self.sequence(node, keypath)

    def sequence(self, node: yaml.Node, keypath: KeyPath) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self.document.lines[(*keypath, index)] = item.start_mark.line + 1
            values.append(self.build(item, (*keypath, index)))
        return values

    def mapping(self, node: yaml.MappingNode, keypath: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                _reject_line(self.document, line, "a key has to be a plain word")
                continue
            key = key_node.value
            if key in values:
                _reject_line(
                    self.document, line, f"{key!r} stands twice: keep one", self.document.label(keypath)
                )
            self.document.lines[(*keypath, key)] = line
            value = self.build(value_node, (*keypath, key))
            if value is not None or "value" in (*keypath, key):
                values[key] = value
            elif node.flow_style and not value_node.value:
                reason = f"{key!r} stands there without a value: within braces a comma ends a text, so put it in quotes"
                _reject_line(self.document, line, reason, self.document.label((*keypath, key)))
        return values

    def scalar(self, node: yaml.ScalarNode, keypath: KeyPath) -> Any:
        self.document.texts[keypath] = node.value
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return node.value.lower() == "true"
                case "int":
                    return int(node.value)
                case "float":
                    return float(node.value)
        except ValueError:  # an explicit tag (!!int) on another thing
            line = node.start_mark.line + 1
            _reject_line(self.document, line, f"{node.value[:40]!r} is no {kind}: remove the tag !!{kind}")
        return node.value


def _reject_line(document: Document, line: int, message: str, key: str = "") -> None:
    document.problems.append(Problem(document.path, line, key, message))


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _inside(value: Any, part: str | int) -> Any:
    if isinstance(part, str):
        return value.get(part) if isinstance(value, dict) else None
    return value[part] if isinstance(value, list) and part < len(value) else None
