"""Writes a proposed contract as YAML with a comment beside every guess, for a person to edit."""

import json
import re
from collections.abc import Iterator
from typing import Any

from lake.contracts.guessing import Guess
from lake.contracts.inferring import Proposal

_TODAY_DIGITS = re.compile(r"\d+(?:[-_.]\d+)*")


def write_contract(proposal: Proposal) -> str:
    """Return the YAML of a proposal; it lints clean in a company where its dataset's name is free."""
    return "\n".join(_lines(proposal)) + "\n"


def _lines(proposal: Proposal) -> Iterator[str]:
    looked = proposal.sample
    rows = looked.text.height
    extent = (
        "all of its"
        if looked.is_whole
        else "a part of it (a larger text from many places, else its beginning):"
    )
    yield f"# Proposed from {_comment(proposal.file_name)} by looking at {extent} {rows} rows."
    yield "# Guesses say on what evidence: correct them, remove what is not promised, and put the file into the company's folder `contracts`."
    yield from (f"# Note: {_comment(note)}." for note in looked.notes)
    yield "apiVersion: v3.1.0"
    yield "kind: DataContract"
    yield f"id: {proposal.dataset}"
    yield f"name: {_quoted(proposal.dataset.replace('_', ' ').capitalize())}"
    yield "version: 1.0.0"
    yield "status: active"
    domain = "spreadsheets" if looked.format == "spreadsheet" else "erp"
    yield f"domain: {domain}    # erp, logistics, spreadsheets: the kind of system it comes from"
    yield 'description: {purpose: ""}    # what it is for'
    yield "team: {name: unknown}    # who answers for it"
    yield "servers:"
    yield "  - server: files"
    yield "    type: local"
    pattern = _pattern(proposal.file_name)
    varies = "    # what varies in the name is taken to be *" if "*" in pattern else ""
    yield f"    path: {_quoted('${INBOX}/' + pattern)}{varies}"
    yield f"    format: {looked.format}"
    options = [*looked.options, *_numbers(proposal)]
    if options:
        yield "    customProperties:"
        yield from (_property(6, name, value, note) for name, value, note in options)
    yield "schema:"
    yield from _schema(proposal)


def _numbers(proposal: Proposal) -> Iterator[tuple[str, Any, str]]:
    has_numbers = any(guess.column.type in ("integer", "number") for guess in proposal.guesses)
    if has_numbers and proposal.numbers.decimal != ".":
        yield "decimal", proposal.numbers.decimal, "as the numbers of the file are written"
    # A workbook's text numbers may have thousands in any case: its reader takes both.
    if has_numbers and proposal.numbers.thousands and proposal.sample.format != "spreadsheet":
        yield "thousands", proposal.numbers.thousands, ""


def _schema(proposal: Proposal) -> Iterator[str]:
    yield f"  - name: {proposal.dataset}"
    yield "    logicalType: object"
    yield f'    description: "One row per ..."    # {_comment(proposal.key_note)}'
    yield "    customProperties:"
    if proposal.entity_note:
        yield f"      # the columns resemble the entity {proposal.entity_note}: add `entity`, and `maps_to` to the columns"
    yield _property(
        6, "write_mode", "append", "or upsert, replace, history: what a delivery does to what stands"
    )
    if proposal.duplicate_rows:
        note = f"{proposal.duplicate_rows} rows repeat another row whole"
        yield _property(6, "duplicates", "drop", note)
    if proposal.business_date:
        yield _property(6, "business_date", proposal.business_date, "the day that a row is about")
    yield "    properties:"
    for guess, header in zip(proposal.guesses, proposal.sample.headers, strict=True):
        yield from _column(guess, header)


def _column(guess: Guess, header: str) -> Iterator[str]:
    column = guess.column
    yield f"      - name: {column.name}"
    if header != column.name:
        yield f"        physicalName: {_quoted(header)}"
    notes = "; ".join(map(_comment, guess.comments))
    yield f"        logicalType: {column.type}" + (f"    # {notes}" if notes else "")
    if column.type == "number":
        yield f"        physicalType: DECIMAL({column.precision},{column.scale})"
    if column.required:
        yield "        required: true"
    if column.key:
        yield "        primaryKey: true"
    options = [
        f"{name}: {_number(value)}"
        for name, value in (("minimum", column.minimum), ("maximum", column.maximum))
        if value is not None
    ]
    options += [f"format: {_quoted(column.format)}"] if column.format else []
    if options:
        yield f"        logicalTypeOptions: {{{', '.join(options)}}}"
    if column.pii:
        yield f"        classification: {column.pii}"
    custom: list[tuple[str, Any]] = [
        ("start", column.start),
        ("width", column.width),
        ("unit", column.unit),
        ("allowed", list(column.allowed) if column.allowed else None),
        ("nulls", list(guess.nulls) or None),
        ("pii_action", column.pii_action if column.pii else None),
    ]
    if any(value is not None for _, value in custom):
        yield "        customProperties:"
        yield from (_property(10, name, value, "") for name, value in custom if value is not None)


def _property(indent: int, name: str, value: Any, note: str) -> str:
    written = (
        value
        if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]*", value)
        else json.dumps(value, ensure_ascii=True)
    )
    comment = f"    # {_comment(note)}" if note else ""
    return f"{' ' * indent}- {{property: {name}, value: {written}}}{comment}"


def _quoted(text: str) -> str:
    """Return a text as YAML: JSON's double quotes are a part of it."""
    return json.dumps(text, ensure_ascii=True)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:f}".rstrip("0")


def _comment(text: str) -> str:
    """Return a text that stays within one comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:300]


def _pattern(name: str) -> str:
    """Return a file name with its numbers as wildcards: 'sales_2024-03-01.csv' is 'sales_*.csv'.

    >>> _pattern("sales_2024-03-01.csv"), _pattern("items.tar.gz"), _pattern("2024.csv")
    ('sales_*.csv', 'items.tar.gz', '*.csv')
    """
    stem, dot, suffix = name.partition(".")
    found = _TODAY_DIGITS.sub("*", stem)
    return re.sub(r"[\[\]?${}]", "*", found) + dot + suffix
