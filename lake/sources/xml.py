"""XML: the elements at a path are rows, what stands in them by path are fields; streamed, and closed to every trick.

Nothing is fetched, no entity is expanded, no DTD is read: a document that needs any of these is refused. Namespaces are
left out of all names.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lxml import etree

from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.sources.block import Block
from lake.sources.json_records import TEXT, Record, Shape, many_objects
from lake.sources.packed import open_stream

BLOCK_RECORDS = 10_000
MAXIMUM_FIELDS = 10_000
"""Elements in one record. A row with more is no row."""
_OURS = ("{http://www.w3.org/2001/XMLSchema-instance}", "{http://www.w3.org/XML/1998/namespace}")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def read_xml(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read the elements at the contract's `record_path` as blocks of rows; `_line` is their number, 1-based.

    A field is `Customer/City`, `@id`, `Price/@currency` or `.` (the element's own text); white space around a value is no part of it. Raises
    `FileRefused`, at the first block or later, for a document that is broken anywhere or declares entities.
    """
    shape, rows = Shape(contract, separator="/"), 0
    steps = (contract.location.record_path or "").split("/")
    try:
        with open_stream(path, name, contract.location) as stream:
            found = records(stream, steps, name)
            while True:
                with many_objects():
                    group = list(islice(found, BLOCK_RECORDS))
                if not group:
                    break
                numbers = range(rows + 1, rows + 1 + len(group))
                texts = [text for _, text in group]
                yield shape.block([record for record, _ in group], numbers, texts.__getitem__, [])
                rows += len(group)
    except etree.XMLSyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        said = str(error.msg).partition(", line ")[0][:200]
        raise FileRefused(
            f"{name}{line}: the XML document cannot be read ({said}): correct it and deliver it again."
        ) from error
    if rows == 0:
        raise FileRefused(
            f"{name} has no element {'/'.join(steps)!r}: deliver it again with its rows, or correct `record_path`."
        )


def records(stream: IO[bytes], steps: list[str], name: str) -> Iterator[tuple[Record, str]]:
    """Yield the fields and the text of each element at the end of these steps."""
    events = etree.iterparse(
        stream,
        events=("end",),
        tag="{*}" + steps[-1],
        remove_comments=True,
        remove_pis=True,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
    )
    has_declaration: bool | None = None
    for _, element in events:
        if has_declaration is None:
            has_declaration = _has_declaration(element, name)
        if not _is_record(element, steps):
            continue
        if has_declaration:
            _refuse_entities(element, name)
        if len(element) > MAXIMUM_FIELDS:
            raise FileRefused(
                f"{name}: an element {steps[-1]!r} holds more than {MAXIMUM_FIELDS} elements, so it is no row: correct"
                " `record_path` in the contract."
            )
        record = _fields(element)
        if TEXT in record:
            record["."] = record.pop(TEXT)
        yield record, etree.tostring(element, encoding="unicode", with_tail=False)
        _forget(element)


def _has_declaration(element: Any, name: str) -> bool:
    """Whether the document has a type declaration; one that declares entities is refused."""
    info = element.getroottree().docinfo
    declared = info.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:
        raise FileRefused(
            f"{name} declares entities, by which a document can grow without end or reach for other files: deliver it"
            " without them."
        )
    return bool(info.doctype)


def _refuse_entities(element: Any, name: str) -> None:
    reference = next(element.iter(etree.Entity), None)
    if reference is not None:
        raise FileRefused(
            f"{name}: the entity {reference.text[:80]} stands in a row and is declared elsewhere: deliver the document"
            " with its text instead."
        )


def _is_record(element: Any, steps: list[str]) -> bool:
    """Whether the element stands at the end of these steps."""
    for step in reversed(steps):
        if element is None or etree.QName(element).localname != step:
            return False
        element = element.getparent()
    return True


def _forget(element: Any) -> None:
    """Let go of a record and of all that stands before it."""
    element.clear(keep_tail=False)
    while element is not None:
        parent = element.getparent()
        if parent is not None:
            while element.getprevious() is not None:
                del parent[0]
        element = parent


def _fields(element: Any) -> Record:
    """Return an element's attributes, children and text; what stands several times becomes a list."""
    found: Record = {
        "@" + etree.QName(key).localname: value
        for key, value in element.attrib.items()
        if not key.startswith(_OURS)
    }
    for child in element:
        _add(found, etree.QName(child).localname, _value(child))
    text = _text(element)
    if text is not None:
        _add(found, TEXT, text)
    return found


def _add(found: Record, key: str, value: Any) -> None:
    if key in found:
        known = found[key]
        found[key] = [*known, value] if isinstance(known, list) else [known, value]
    else:
        found[key] = value


def _value(element: Any) -> Any:
    if len(element) or any(not key.startswith(_OURS) for key in element.attrib):
        return _fields(element)
    return None if element.get(_NIL) in ("true", "1") else _text(element)


def _text(element: Any) -> str | None:
    """Return the text of an element and between its children."""
    parts = [element.text or "", *(child.tail or "" for child in element)]
    return "".join(parts).strip(" \t\r\n") or None
