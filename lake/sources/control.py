"""Control totals: what the source says a file holds, and what was found in it.

Rows are all that were read, quarantined ones too: the source counted what it wrote. A sum takes every value that can be
read as a number, of good and of quarantined rows; a row that could not be taken apart has none, so its file does not tie.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import polars as pl

from lake.contracts.model import Column, Companion, Contract, Figure, Location, Trailer
from lake.errors import FileRefused
from lake.sources.block import Block
from lake.sources.conforming import cast_text, matches
from lake.sources.local_text import plain

MAX_COMPANION_BYTES = 4 << 20
_DIGITS = {"precision": 38, "scale": 10}


@dataclass(frozen=True)
class Reconciled:
    """One figure of a file: what its source says, what was found."""

    figure: str
    expected: str
    found: str
    ties: bool

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.figure} is {self.found}, the source says {self.expected}"


@dataclass
class Tally:
    """The figures of one file, counted block by block."""

    contract: Contract
    figures: tuple[Figure, ...]
    rows: int = 0
    parts: dict[Figure, list[Decimal]] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """Count a block's rows and take the values of its columns."""
        self.rows += block.rows
        for figure in self.figures:
            if figure.column is not None:
                values = self._numbers(block.text[figure.column], self.contract.column(figure.column))
                part = {"sum": values.sum, "min": values.min, "max": values.max}[figure.kind]()
                if part is not None:
                    self.parts.setdefault(figure, []).append(Decimal(str(part)))

    def reconcile(self, expected: dict[Figure, str], name: str) -> list[Reconciled]:
        """Hold what was counted against what the source says; `FileRefused` if that is no number."""
        return [self._reconciled(figure, text, name) for figure, text in expected.items()]

    def _reconciled(self, figure: Figure, text: str, name: str) -> Reconciled:
        said = self._said(figure, text)
        if said is None:
            raise FileRefused(
                f"{name}: its control total {figure} is {text[:40]!r}, which is no number: correct it and deliver it again."
            )
        found: Decimal | None = Decimal(self.rows)
        if figure.column is not None:
            parts = self.parts.get(figure, [])
            whole = {"sum": sum, "min": min, "max": max}[figure.kind]
            found = whole(parts) if parts else Decimal(0) if figure.kind == "sum" else None  # type: ignore[operator]
        shown = "nothing" if found is None else _plain(found)
        return Reconciled(str(figure), _plain(said), shown, found == said)

    def _numbers(self, values: pl.Series, column: Column) -> pl.Series:
        """Return the values that are numbers, whatever the column's digits and limits; the others are null."""
        if values.dtype != pl.String:
            return values.cast(pl.Decimal(**_DIGITS), strict=False)
        number = replace(column, type="number", **_DIGITS)  # type: ignore[arg-type]
        text, is_strange = plain(values, number, self.contract.location)
        found = cast_text(text, number)[0]
        return found if is_strange is None else found.set(is_strange, None)

    def _said(self, figure: Figure, text: str) -> Decimal | None:
        column = self.contract.column(figure.column) if figure.column else Column("rows", "rows", "integer")
        value = self._numbers(pl.Series([text.strip()], dtype=pl.String), column)[0]
        return None if value is None else Decimal(str(value))


def check_tied(contract: Contract, name: str, reconciled: Sequence[Reconciled]) -> None:
    """Raise `FileRefused` for a file that is not what its source says it is, where the contract lets that stop it."""
    untied = [str(one) for one in reconciled if not one.ties]
    if untied and contract.control_totals and contract.control_totals.severity == "stop":
        raise FileRefused(
            f"{name} does not tie with its control totals: {'; '.join(untied)}; deliver it again whole, or set"
            f" severity: warn in `control_totals` of the contract {contract.path.name}."
        )


def _plain(value: Decimal) -> str:
    """Return a number without an exponent and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def without_trailer(
    blocks: Iterator[Block], trailer: Trailer, name: str, location: Location, said: dict[Figure, str]
) -> Iterator[Block]:
    """Yield the blocks of a file without its trailer record, and note in `said` what it says.

    Only the last record can be the trailer. A file that ends without one was cut off: `FileRefused`.
    """
    held: Block | None = None
    for block in blocks:
        if block.rows:
            if held is not None:
                yield held
            held = block
    if held is None:
        return
    fields = _last_record(held, location)
    marker = pl.Series([fields[0]], dtype=pl.String)
    if not matches(marker, trailer.marker)[0]:
        raise FileRefused(
            f"{name}: the trailer record ({trailer.marker!r}) is not there as the last one, so the file was cut off: deliver it"
            " again, or correct `control_totals` in the contract."
        )
    for figure, text in zip(trailer.figures, fields[1:], strict=False):
        if figure is not None:
            said[figure] = text
    if missing := [figure for figure in trailer.figures if figure is not None and figure not in said]:
        raise FileRefused(
            f"{name}: the trailer record does not have {missing[0]}: deliver it again with it, or correct the contract."
        )
    _drop_last(held)
    yield held


def _is_refused_last(block: Block) -> bool:
    last_text = block.lines[-1] if block.text.height else 0
    return bool(block.refused) and max(one.line for one in block.refused) > last_text


def _last_record(block: Block, location: Location) -> list[str]:
    if _is_refused_last(block):
        raw = max(block.refused, key=lambda one: one.line).raw_text
    else:
        raw = block.raw_text([block.text.height - 1])[0]
    if location.format != "csv":
        return [part.strip() for part in (raw.split("\t") if "\t" in raw else raw.split())] or [""]
    reader = csv.reader(
        [raw],
        delimiter=location.delimiter,
        quotechar=location.quote or None,
        quoting=csv.QUOTE_MINIMAL if location.quote else csv.QUOTE_NONE,
    )
    return [part.strip() for part in next(reader, [])] or [""]


def _drop_last(block: Block) -> None:
    if _is_refused_last(block):
        block.refused.remove(max(block.refused, key=lambda one: one.line))
        return
    last = block.text.height - 1
    block.text, block.lines = block.text.head(last), block.lines.head(last)
    block.marks = [(row, reason) for row, reason in block.marks if row != last]


def read_companion(path: Path, name: str, companion: Companion) -> dict[Figure, str]:
    """Return what a control file says about the data file `name`; `FileRefused` if it says nothing of it."""
    if path.stat().st_size > MAX_COMPANION_BYTES:
        raise FileRefused(
            f"the control file of {name} is larger than {MAX_COMPANION_BYTES >> 20} MB: deliver a control file."
        )
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = list(csv.DictReader(text.splitlines(), delimiter=companion.delimiter))
    base = Path(name).name
    if companion.file_column is not None:
        rows = [row for row in rows if (row.get(companion.file_column) or "").strip() == base]
    if len(rows) != 1:
        raise FileRefused(
            f"{name}: its control file has {len(rows)} rows about it and has to have one; deliver it again with its figures."
        )
    row = {(title or "").strip(): (value or "") for title, value in rows[0].items() if isinstance(value, str)}
    if missing := [title for title, _ in companion.figures if title not in row]:
        raise FileRefused(
            f"{name}: its control file has no column {missing[0]!r}; deliver it with that, or correct the contract."
        )
    return {figure: row[title] for title, figure in companion.figures}
