"""Which elements of an XML document are its rows, for a contract to be proposed: those that repeat, and are in none that does."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lxml import etree

from lake.contracts.model import Location
from lake.errors import FileRefused
from lake.sources.json_records import TEXT, Record
from lake.sources.packed import open_stream
from lake.sources.xml import records

MOST_ELEMENTS = 300_000
"""Elements that are looked at until it is decided which are rows."""

_Path = tuple[str, ...]


def sample_elements(path: Path, name: str, most: int) -> tuple[str, list[dict[str, str]], bool, list[str]]:
    """Return the `record_path`, up to `most` rows by the names of their fields, whether a field repeats, and notes.

    Raises `FileRefused` for a document that is broken, declares entities, or repeats no element.
    """
    location = Location(path="", format="xml")
    try:
        with open_stream(path, name, location) as stream:
            counts, has_fields = _count(stream)
        steps, notes = _rows(counts, has_fields, name)
        with open_stream(path, name, location) as stream:
            found = [_flat(record) for record, _ in islice(records(stream, list(steps), name), most)]
    except etree.XMLSyntaxError as error:
        raise FileRefused(
            f"{name}: the XML document cannot be read ({error.msg}): choose another file."
        ) from error
    return "/".join(steps), [fields for fields, _ in found], any(repeats for _, repeats in found), notes


def _count(stream: IO[bytes]) -> tuple[Counter[_Path], set[_Path]]:
    """Return how often each path stands there, and which have children or attributes."""
    counts: Counter[_Path] = Counter()
    has_fields: set[_Path] = set()
    stack: list[str] = []
    events = etree.iterparse(
        stream, events=("start", "end"), remove_comments=True, remove_pis=True, resolve_entities=False, load_dtd=False,
        dtd_validation=False, no_network=True, huge_tree=False,
    )  # fmt: skip
    for event, element in events:
        if event == "start":
            if stack:
                has_fields.add(tuple(stack))
            stack.append(etree.QName(element).localname)
            counts[tuple(stack)] += 1
            if element.attrib:
                has_fields.add(tuple(stack))
            if counts.total() > MOST_ELEMENTS:
                break
        else:
            stack.pop()
            element.clear(keep_tail=False)
    return counts, has_fields


def _rows(counts: Counter[_Path], has_fields: set[_Path], name: str) -> tuple[_Path, list[str]]:
    """Return the path of the rows, without the document's own element, and what else repeats."""
    repeated = [path for path, count in counts.items() if count > 1 and len(path) > 1]
    outermost = [
        path for path in repeated if not any(counts[path[:size]] > 1 for size in range(2, len(path)))
    ]
    if not outermost:
        raise FileRefused(
            f"{name} repeats no element, so it has no rows to look at: choose a file with rows."
        )
    best = max(outermost, key=lambda path: (path in has_fields, counts[path]))
    inside = [path for path in has_fields if path[: len(best)] == best and counts[path] > counts[best]]
    notes = [
        f"{'/'.join(path[1:])} stands several times in a row, {counts[path]} times in all: a dataset of its own may have it as its record_path"
        for path in sorted(inside)[:3]
    ]
    return best[1:], notes


def _flat(record: Record, above: str = "") -> tuple[dict[str, str], bool]:
    """Return the fields of a record by the names that a contract has for them, and whether one repeats (it is left out)."""
    found: dict[str, str] = {}
    repeats = False
    for key, value in record.items():
        if isinstance(value, list):
            repeats = True
        elif isinstance(value, dict):
            inner, more = _flat(value, f"{above}{key}/")
            found |= inner
            repeats |= more
        else:
            at = above.rstrip("/") if key == TEXT else above + key
            found[at or "."] = _said(value)
    return found, repeats


def _said(value: Any) -> str:
    return "" if value is None else str(value)
