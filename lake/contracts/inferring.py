"""Proposes a contract for a file: what the sample shows of its table, column by column and as a whole.

A proposal is for a person to edit; once it stands in a company's folder it rules, and nothing is guessed any more. Here:
keys, the business date, how numbers are written, which entity it resembles. Not here: one column (`guessing.py`), the
YAML (`writing.py`), reading the file (`lake/sources/sampling.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import polars as pl

from lake.contracts.entities import load_entities
from lake.contracts.guessing import CONVENTIONS, Guess, Numbers, guess, share, words_of
from lake.contracts.values import reserved_words
from lake.sources.conforming import NUMBER, matches
from lake.sources.sampling import Sample, sample

MAX_KEY_COLUMNS = 3
_MAX_KEY_CANDIDATES = 8
_FEW_ROWS = 50
"""Below, that a column repeats no value says little."""
_TEXT_FORMATS = ("csv", "spreadsheet", "xml", "fixed_width")


@dataclass(frozen=True)
class Proposal:
    """A dataset as proposed."""

    dataset: str
    file_name: str
    sample: Sample
    guesses: tuple[Guess, ...]
    numbers: Numbers
    key_note: str
    duplicate_rows: int
    business_date: str | None
    entity_note: str | None


def infer(path: Path, dataset: str | None = None, sheet: str | None = None) -> Proposal:
    """Return a proposal for a file; `dataset` is its name, by default the file's without numbers, `sheet` that of a workbook.

    Raises `FileRefused` for a file that cannot be looked at.
    """
    looked = sample(path, sheet)
    names = column_names(looked.headers)
    columns = looked.text.columns
    numbers = (
        _numbers([looked.text[name] for name in columns]) if looked.format in _TEXT_FORMATS else Numbers()
    )
    guesses = [
        guess(name, header, looked.text[at], numbers, looked.types.get(i))
        for i, (name, header, at) in enumerate(zip(names, looked.headers, columns, strict=True))
    ]
    for i, (start, width) in enumerate(looked.places):
        guesses[i] = replace(guesses[i], column=replace(guesses[i].column, start=start, width=width))
    guesses = _same_order_of_days(guesses)
    duplicates = looked.text.height - looked.text.unique().height
    distinct = looked.text.unique(maintain_order=True) if duplicates else looked.text
    key, key_note = _key(guesses, distinct)
    guesses = [
        replace(one, column=replace(one.column, key=True, required=True, minimum=None, maximum=None))
        if one.column.name in key
        else one
        for one in guesses
    ]
    return Proposal(
        dataset=dataset or snake_case(re.sub(r"[\d\W]+", " ", path.name.split(".")[0])) or "dataset",
        file_name=path.name,
        sample=looked,
        guesses=tuple(guesses),
        numbers=numbers,
        key_note=key_note,
        duplicate_rows=duplicates,
        business_date=_business_date(guesses),
        entity_note=_entity(names),
    )


def snake_case(text: str) -> str:
    """Return a text as a name for SQL; '' if no letter is in it.

    >>> snake_case("PO / SO #"), snake_case("Unit Price (USD)"), snake_case("2nd"), snake_case("order")
    ('po_so_number', 'unit_price_usd', 'n2nd', 'order_name')
    """
    name = "_".join(words_of(text).replace("#", " number ").split())[:50].strip("_")
    name = f"n{name}" if name[:1].isdigit() else name
    return f"{name}_name" if name in reserved_words() else name


def column_names(headers: Sequence[str]) -> tuple[str, ...]:
    """Return a unique SQL name for every header."""
    found: list[str] = []
    for i, header in enumerate(headers):
        name = snake_case(header) or f"column_{i + 1}"
        found.append(name if name not in found else f"{name}_{i + 1}")
    return tuple(found)


def _numbers(columns: Sequence[pl.Series]) -> Numbers:
    """Return the way to write numbers that makes most columns numeric; of equals the first."""
    heads = [column.drop_nulls().head(500) for column in columns]
    with_digits = [head for head in heads if share(matches(head, r"[+-]?[\d.,'  ]+")) > 0.9]

    def numeric(numbers: Numbers) -> int:
        return sum(matches(numbers.plain(head), NUMBER).all() for head in with_digits)

    return max(CONVENTIONS, key=numeric)


def _same_order_of_days(guesses: Sequence[Guess]) -> list[Guess]:
    """Decide dates that may be day first or month first by the other dates of the file, where those are certain."""
    certain = {
        one.column.format[:2]
        for one in guesses
        if one.column.format and "%d" in one.column.format and not one.ambiguous_with
    }
    return [_decided(one, certain) for one in guesses]


def _decided(one: Guess, certain: set[str]) -> Guess:
    """Return the guess with the format that the file's certain dates have, if they agree."""
    formats = (one.column.format, one.ambiguous_with)
    fitting = [format_ for format_ in formats if format_ and {format_[:2]} == certain]
    if not one.ambiguous_with or not fitting:
        return one
    comments = ("day or month first: as the other dates of the file",)
    return replace(one, column=replace(one.column, format=fitting[0]), comments=comments, ambiguous_with=None)


def _key(guesses: Sequence[Guess], rows: pl.DataFrame) -> tuple[tuple[str, ...], str]:
    """Return the columns of the smallest key that the sample allows, and what was seen."""
    candidates = [
        (at, one)
        for at, one in zip(rows.columns, guesses, strict=True)
        if one.column.type in ("string", "integer", "date", "timestamp")
        and one.column.required
        and not one.column.pii
        and one.distinct > 1
    ]
    candidates.sort(
        key=lambda entry: (not entry[1].is_identifier, entry[1].column.type in ("date", "timestamp"))
    )
    for size in range(1, MAX_KEY_COLUMNS + 1):
        for chosen in combinations(candidates[:_MAX_KEY_CANDIDATES], size):
            if not any(one.is_identifier for _, one in chosen) and rows.height < _FEW_ROWS:
                continue
            if rows.select(at for at, _ in chosen).is_duplicated().sum() == 0:
                names = tuple(one.column.name for _, one in chosen)
                return names, f"no two of {rows.height} rows have the same {' and '.join(names)}"
    return (), f"no key: no {MAX_KEY_COLUMNS} columns together tell all rows apart"


def _business_date(guesses: Sequence[Guess]) -> str | None:
    """Return the day column that is never empty and sounds most like the day a row is about."""
    days = [
        one.column.name for one in guesses if one.column.type in ("date", "timestamp") and one.column.required
    ]
    wanted = re.compile(r"(^|_)(date|day|posted|order(ed)?|invoice|sold|transaction)(_|$)")
    return next((name for name in days if wanted.search(name)), days[0] if days else None)


def _entity(names: Sequence[str]) -> str | None:
    """Return which entity the columns resemble most, in words; None if they resemble none."""
    here = {word for name in names for word in name.split("_")}
    best, count = "", 0
    for entity, described in load_entities().items():
        shared = [name for name in described.columns if set(name.split("_")) <= here]
        if len(shared) > count and len(shared) >= 3:
            best, count = f"{entity} ({', '.join(shared)})", len(shared)
    return best or None
