"""The cheap first look at a block: casts its columns whole and says which rows are good beyond doubt.

What is certain here is what `conforming.py` calls good, with the same values (a test holds it on random text); of all other
rows that module says what is wrong, if anything is. Nearly all rows of nearly all files are certain, and cost a third.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from lake.contracts.model import Column, Contract
from lake.sources.block import Block
from lake.sources.conforming import (
    check_column,
    date_formats,
    is_blank,
    limits,
    matches,
    read_boolean,
    strptime,
    timestamp_formats,
)
from lake.sources.local_text import plain

FEW_WORDS, ROWS_PER_WORD = 300, 20
"""Moments of a file whose first block has so few different ones, or so many rows for each, are looked up, not parsed."""
VOCABULARY_WORDS = 5_000


@dataclass
class _Vocabulary:
    """Dates that were parsed before: texts, and their values in the same order."""

    words: pl.Series
    values: pl.Series


@dataclass
class Separator:
    """Separates the certain rows of the blocks of one file."""

    contract: Contract
    references: Mapping[str, pl.Series]
    _vocabularies: dict[str, _Vocabulary | None] = field(default_factory=dict)

    def separate(self, block: Block) -> tuple[pl.DataFrame, Block | None]:
        """Return the certain rows, typed, with `_line`; and a block of the others, None if there are none."""
        is_certain = pl.Series([True]).new_from_index(0, block.text.height)
        if block.marks:
            is_certain = is_certain.scatter([row for row, _ in block.marks], False)
        typed = []
        for column in self.contract.columns:
            values, is_good = self._look(block.text.get_column(column.name), column)
            typed.append(values.alias(column.name))
            if is_good is not None:
                is_certain &= is_good
        frame = pl.DataFrame([*typed, block.lines.alias("_line")])
        if is_certain.all():
            return frame, _rows_of(block, is_certain.arg_true().clear()) if block.refused else None
        return frame.filter(is_certain), _rows_of(block, (~is_certain).arg_true())

    def _look(self, text: pl.Series, column: Column) -> tuple[pl.Series, pl.Series | None]:
        """Return the values of a column, and which are good (None: all)."""
        if column.default is not None:
            text = text.fill_null(column.default)
        reference = self.references.get(column.references or "")
        if text.dtype != pl.String:
            return _as_judged(text, column, reference)
        text, is_strange = plain(text, column, self.contract.location)
        values, is_good = self._cast(text, column)
        masks = [] if is_good is None else [is_good]
        if is_strange is not None:
            masks.append(~is_strange)
        if column.required or column.key:
            masks.append(text.is_not_null())
            if column.type == "string":
                masks.append(~is_blank(text))
        if column.type in ("integer", "number"):
            if column.is_whole:
                masks.append((values == values.floor()).fill_null(True))
            masks += [~is_out.fill_null(False) for _, is_out, _ in limits(values, column)]
        if column.pattern is not None:
            masks.append(matches(text, column.pattern))
        if column.allowed is not None:
            masks.append(text.is_in(list(column.allowed)).fill_null(True))
        if reference is not None:
            known = reference.cast(values.dtype, strict=False).drop_nulls().implode()
            masks.append(values.is_null() | values.is_in(known).fill_null(False))
        wrong = [mask for mask in masks if not mask.all()]
        if not wrong:
            return values, None
        is_good = wrong[0]
        for mask in wrong[1:]:
            is_good &= mask
        return values, is_good

    def _cast(self, text: pl.Series, column: Column) -> tuple[pl.Series, pl.Series | None]:
        """Return the values of a column of text, and which of them are of the right form; empty is."""
        match column.type:
            case "string":
                return text, None
            case "integer":
                values = text.cast(pl.Int64, strict=False)
                return values, _all_there(values, text)  # the cast takes signs and digits only
            case "number":
                values = text.cast(pl.Decimal(column.precision, column.scale), strict=False)
                return values, _all_there(values, text, matches(text, _number(column.scale)))
            case "boolean":
                values = read_boolean(text, column)
                return values, _all_there(values, text)
            case _:
                return self._moments(text, column)

    def _moments(self, text: pl.Series, column: Column) -> tuple[pl.Series, pl.Series | None]:
        """Parse dates or timestamps in the format of the first; those in another are not certain."""
        if column.name not in self._vocabularies:
            has_few = text.n_unique() <= max(FEW_WORDS, len(text) // ROWS_PER_WORD)
            self._vocabularies[column.name] = (
                _Vocabulary(*_parsed(text.slice(0, 0), column)) if has_few else None
            )
        known = self._vocabularies[column.name]
        if known is None or len(known.words) > VOCABULARY_WORDS:
            words, values = _parsed(text, column)
            return values, _all_there(values, text)
        codes = _codes(text, known.words)
        if codes.null_count() > text.null_count():
            # Words that are no moment stay too, without a value: a bad date that comes in every block is judged once.
            words, values = _parsed(text.filter(codes.is_null() & text.is_not_null()).unique(), column)
            known = _Vocabulary(pl.concat([known.words, words]), pl.concat([known.values, values]))
            codes = _codes(text, known.words)
        self._vocabularies[column.name] = known
        values = known.values.gather(codes)
        return values, _all_there(values, text)


def _codes(text: pl.Series, words: pl.Series) -> pl.Series:
    return text.cast(pl.Enum(words), strict=False).to_physical()


def _parsed(text: pl.Series, column: Column) -> tuple[pl.Series, pl.Series]:
    """Return the texts and their values in the first format that the first text has; null where it does not fit."""
    is_date = column.type == "date"
    formats = date_formats(column) if is_date else timestamp_formats(column)
    first = text.drop_nulls().head(1)
    pattern, chrono = next((one for one in formats if len(first) and matches(first, one[0])[0]), formats[0])
    fitting = text.set(~matches(text, pattern), None)
    return text, strptime(fitting, pl.Date() if is_date else pl.Datetime("us"), chrono)


def _number(scale: int) -> str:
    """Return the form of a number with at most so many decimals."""
    decimals = f"[0-9]{{0,{scale}}}"
    return rf"[+-]?(?:[0-9]+(?:\.{decimals})?|\.[0-9]{{1,{scale}}})" if scale else r"[+-]?[0-9]+\.?"


def _all_there(values: pl.Series, text: pl.Series, has_form: pl.Series | None = None) -> pl.Series | None:
    """Say which texts have a value and the form, or are empty; None if all."""
    is_good = None
    if values.null_count() > text.null_count():
        is_good = values.is_not_null() | text.is_null()
    if has_form is not None and not has_form.all():
        is_good = has_form if is_good is None else is_good & has_form
    return is_good


def _as_judged(
    text: pl.Series, column: Column, reference: pl.Series | None
) -> tuple[pl.Series, pl.Series | None]:
    """Let `conforming.py` look at every value: of columns that came with a type there is nothing to win."""
    values, failures = check_column(text, column, reference)
    if not failures:
        return values, None
    wrong = pl.concat([failed["row"] for failed in failures]).unique()
    return values, pl.Series([True]).new_from_index(0, len(text)).scatter(wrong, False)


def _rows_of(block: Block, rows: pl.Series) -> Block:
    """Return a block of these rows, with what is said of them."""
    numbers = rows.to_list()
    place = {row: i for i, row in enumerate(numbers)}
    return Block(
        text=block.text[rows],
        lines=block.lines.gather(rows),
        raw_text=lambda wanted: block.raw_text([numbers[i] for i in wanted]),
        refused=block.refused,
        marks=[(place[row], reason) for row, reason in block.marks],
        sheet=block.sheet,
    )
