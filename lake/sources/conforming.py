"""Checks text rows against their contract and casts the good ones: form and scale first, then the value.

Nothing is cast before its form is known: 1.7 is not an integer, 1.234567 does not fit scale 2, a date is written as
its format says. Where the text comes from is no business of this module.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import polars as pl

from lake.contracts.model import Column, Contract, Location
from lake.errors import ContractError
from lake.sources.block import Block
from lake.sources.local_text import plain

REASON_SCHEMA: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "rule": pl.String(),
    "column": pl.String(),
    "message": pl.String(),
}
REFUSED_SCHEMA: dict[str, pl.DataType] = {
    "line": pl.Int64(),
    "raw_text": pl.String(),
    "rules": pl.List(pl.String()),
    "columns": pl.List(pl.String()),
    "messages": pl.List(pl.String()),
}
INTEGER = r"[+-]?[0-9]+"
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DAY = r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]"
_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
_ISO_TIMESTAMPS = [
    (rf"{_DAY} {_MINUTE}:[0-5][0-9]", "%Y-%m-%d %H:%M:%S"),
    (rf"{_DAY}T{_MINUTE}:[0-5][0-9]", "%Y-%m-%dT%H:%M:%S"),
    (_DAY, "%Y-%m-%d"),
    (rf"{_DAY} {_MINUTE}", "%Y-%m-%d %H:%M"),
    (rf"{_DAY}T{_MINUTE}", "%Y-%m-%dT%H:%M"),
    (rf"{_DAY} {_MINUTE}:[0-5][0-9]\.[0-9]{{1,6}}", "%Y-%m-%d %H:%M:%S%.f"),
    (rf"{_DAY}T{_MINUTE}:[0-5][0-9]\.[0-9]{{1,6}}", "%Y-%m-%dT%H:%M:%S%.f"),
    (rf"{_DAY} {_MINUTE}:[0-5][0-9](?:\.[0-9]{{1,6}})?{_ZONE}", "%Y-%m-%d %H:%M:%S%.f%#z"),
    (rf"{_DAY}T{_MINUTE}:[0-5][0-9](?:\.[0-9]{{1,6}})?{_ZONE}", "%Y-%m-%dT%H:%M:%S%.f%#z"),
]
_DIRECTIVES = {
    "Y": "[0-9]{4}", "y": "[0-9]{2}", "m": "[0-9]{1,2}", "d": "[0-9]{1,2}", "H": "[0-9]{1,2}", "I": "[0-9]{1,2}",
    "M": "[0-9]{1,2}", "S": "[0-5]?[0-9]", "j": "[0-9]{1,3}", "b": "[A-Za-z]{3}", "B": "[A-Za-z]+", "a": "[A-Za-z]{3}",
    "A": "[A-Za-z]+", "p": "(?:AM|PM|am|pm)", "z": r"(?:Z|[+-][0-9]{2}:?[0-9]{2})", "f": "[0-9]{1,6}", "%": "%",
}  # fmt: skip


@dataclass(frozen=True)
class Conformed:
    """A block after its checks."""

    good: pl.DataFrame
    """The contract's columns, typed, and `_line`."""
    refused: pl.DataFrame
    """One row per refused row: line, raw_text and the parallel lists rules, columns, messages."""
    rows: int
    """Rows read: good and refused."""


def conform(block: Block, contract: Contract, references: Mapping[str, pl.Series]) -> Conformed:
    """Check and cast a block.

    `references` maps the `references` text of a column to the values it may have; a missing one is not checked.
    """
    typed, reasons = [], [_marks(block)]
    for column in contract.columns:
        text = block.text.get_column(column.name)
        if column.default is not None:
            text = text.fill_null(column.default)
        is_strange = None
        if text.dtype == pl.String:
            text, is_strange = plain(text, column, contract.location)
        values, failures = check_column(text, column, references.get(column.references or ""))
        if is_strange is not None and is_strange.any():
            values, failures = _without_strange(values, failures, text, is_strange, column, contract.location)
        typed.append(values)
        reasons.extend(failures)
    frame = pl.DataFrame([*typed, block.lines.alias("_line")])
    failed = pl.concat([frame for frame in reasons if frame.height] or [pl.DataFrame(schema=REASON_SCHEMA)])
    if contract.deletion_column and failed.height:
        failed = _without_deleted(failed, frame[contract.deletion_column], contract.keys)
    if not failed.height and not block.refused:
        return Conformed(frame, pl.DataFrame(schema=REFUSED_SCHEMA), block.rows)
    is_good = (
        pl.Series([True]).new_from_index(0, frame.height) if frame.height else pl.Series([], dtype=pl.Boolean)
    )
    if failed.height:
        is_good = is_good.scatter(failed["row"].unique(), False)
    return Conformed(frame.filter(is_good), _refused(block, failed), block.rows)


def _without_strange(
    values: pl.Series,
    failures: list[pl.DataFrame],
    text: pl.Series,
    is_strange: pl.Series,
    column: Column,
    location: Location,
) -> tuple[pl.Series, list[pl.DataFrame]]:
    """Refuse fields that are no numbers as the contract writes them; what they would be otherwise does not count."""
    rows = is_strange.arg_true()
    point = location.decimal or "."
    example = "1" + location.thousands + "234" + (point + "56" if column.type == "number" else "")
    words = f" is not {_form_words(column)} written as {example}"
    frame = pl.DataFrame({"row": rows, "text": text.gather(rows)}).select(
        pl.col("row").cast(pl.UInt32),
        pl.lit("type").alias("rule"),
        pl.lit(column.name).alias("column"),
        _quoted(words).alias("message"),
    )
    others = [failure.filter(~pl.col("row").is_in(rows.implode())) for failure in failures]
    return values.set(is_strange, None), [*others, frame]


def _without_deleted(failed: pl.DataFrame, is_deleted: pl.Series, keys: Sequence[str]) -> pl.DataFrame:
    """Leave out that a column is empty where the row only says that its key is gone."""
    of_deleted = is_deleted.fill_null(False).gather(failed["row"])
    is_excused = of_deleted & (failed["rule"] == "required") & ~failed["column"].is_in(list(keys))
    return failed.filter(~is_excused.fill_null(False))


def _marks(block: Block) -> pl.DataFrame:
    rows = [(row, reason.rule, reason.column, reason.message) for row, reason in block.marks]
    return pl.DataFrame(rows, schema=REASON_SCHEMA, orient="row")


def _refused(block: Block, failed: pl.DataFrame) -> pl.DataFrame:
    grouped = (
        failed.group_by("row", maintain_order=True)
        .agg(
            pl.col("rule").alias("rules"),
            pl.col("column").alias("columns"),
            pl.col("message").alias("messages"),
        )
        .sort("row")
    )
    rows = grouped["row"]
    with_fields = grouped.select(
        block.lines.gather(rows).alias("line"),
        pl.Series("raw_text", block.raw_text(rows.to_list()), dtype=pl.String),
        "rules",
        "columns",
        "messages",
    )
    without = pl.DataFrame(
        [
            (
                one.line,
                one.raw_text,
                [reason.rule for reason in one.reasons],
                [reason.column for reason in one.reasons],
                [reason.message for reason in one.reasons],
            )
            for one in block.refused
        ],
        schema=REFUSED_SCHEMA,
        orient="row",
    )
    return pl.concat([with_fields, without]).sort("line", maintain_order=True)


def check_column(
    text: pl.Series, column: Column, reference: pl.Series | None
) -> tuple[pl.Series, list[pl.DataFrame]]:
    """Return the typed column and its failures, rule by rule. A failed field is null in the typed column."""
    values, has_form, is_castable = cast_text(text, column)
    there = text.is_not_null()
    if column.type == "string":
        values = values.set(is_blank(text), None) if column.required or column.key else values
    failures = []

    def fail(is_bad: pl.Series, rule: str, message: pl.Expr) -> None:
        if is_bad.any():
            rows = is_bad.arg_true()
            failures.append(
                pl.DataFrame({"row": rows, "text": text.gather(rows).cast(pl.String)}).select(
                    pl.col("row").cast(pl.UInt32),
                    pl.lit(rule).alias("rule"),
                    pl.lit(column.name).alias("column"),
                    message.alias("message"),
                )
            )

    if column.required or column.key:
        fail(
            values.is_null() & (has_form if column.type == "string" else ~there),
            "required",
            pl.lit("is empty"),
        )
    fail(there & ~has_form, "type", _quoted(f" is not {_form_words(column)}"))
    if column.type in ("integer", "number"):
        too_fine, words = _scale(text, column)
        fail(has_form & too_fine, "scale", _quoted(words))
        fail(
            there & has_form & ~too_fine & ~is_castable,
            "range",
            _quoted(f" does not fit {column.duckdb_type}"),
        )
        if column.is_whole:
            fail((values != values.floor()).fill_null(False), "scale", _quoted(" is no whole number"))
        for limit, is_out, words in limits(values, column):
            fail(is_out.fill_null(False), "range", _quoted(f" is {words} {limit}"))
    if column.pattern is not None:
        message = _quoted(" does not match the pattern ", column.pattern)
        fail(there & ~matches(text, column.pattern), "pattern", message)
    if column.allowed is not None:
        message = _quoted(" is not one of ", ", ".join(column.allowed))
        fail(there & ~text.is_in(list(column.allowed)), "allowed", message)
    if reference is not None:
        known = values.is_in(reference.cast(values.dtype, strict=False).drop_nulls().implode())
        message = _quoted(f" is not among {column.references}")
        fail(values.is_not_null() & ~known.fill_null(False), "references", message)
    return values.alias(column.name), failures


def _quoted(*after: str) -> pl.Expr:
    """Return the message `'text'<after>`, the text shortened so that a message stays a sentence."""
    shown = pl.col("text").str.slice(0, 80)
    return pl.concat_str(pl.lit("'"), shown, pl.lit("'" + "".join(after)))


def is_blank(text: pl.Series) -> pl.Series:
    """Say which texts are white space only; the cheap comparison comes first, because white space sorts before all else."""
    suspects = (text < "!").fill_null(False)
    return suspects & (text.str.strip_chars() == "") if suspects.any() else suspects


def cast_text(text: pl.Series, column: Column) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Return (values, has_form, is_castable) of a String column; empty fields are null, True, True.

    A column that arrived with the contract's own type (`typed.py`) has its values already.
    """
    if column.type == "string" or text.dtype != pl.String:
        every = text.is_null() | True
        return text, every, every
    if column.type == "integer":
        form, values = matches(text, INTEGER), text.cast(pl.Int64, strict=False)
    elif column.type == "number":
        form = matches(text, NUMBER)
        values = text.cast(pl.Decimal(column.precision, column.scale), strict=False)
        values = values.set(~form | _scale(text, column)[0], None)
    elif column.type == "boolean":
        values = read_boolean(text, column)
        form = values.is_not_null()
    elif column.type == "date":
        values = _parsed(text, date_formats(column), pl.Date())
        form = values.is_not_null()
    else:
        values = _parsed(text, timestamp_formats(column), pl.Datetime("us"))
        form = values.is_not_null()
    empty = text.is_null()
    return values, form | empty, values.is_not_null() | empty


def matches(text: pl.Series, pattern: str) -> pl.Series:
    """Whether each text matches the whole pattern; null does. A pattern Rust lacks runs in Python on distinct texts."""
    try:
        found = text.str.contains(rf"\A(?:{pattern})\z")
    except pl.exceptions.ComputeError:
        python = re.compile(pattern)
        fits = [value for value in text.unique().drop_nulls() if python.fullmatch(value)]
        found = text.is_in(fits)
    return found.fill_null(True)


def _scale(text: pl.Series, column: Column) -> tuple[pl.Series, str]:
    """Say which numbers have more decimals than the column has; decimals are never rounded away."""
    if column.type == "integer" or text.dtype != pl.String:
        return (text.is_null() & False), ""
    pattern = rf"\.[0-9]{{{column.scale + 1},}}\z"
    words = f" has more than {column.scale} decimals"
    return text.str.contains(pattern).fill_null(False), words


def limits(values: pl.Series, column: Column) -> list[tuple[str, pl.Series, str]]:
    """Return (limit, which values are beyond it, below or above) of a column's limits."""
    found = []
    for limit, words in ((column.minimum, "below"), (column.maximum, "above")):
        if limit is not None:
            exact = Decimal(str(limit))
            other = values.cast(pl.Decimal(38, column.scale)) if column.type == "number" else values
            bound: Decimal | int | float = exact if column.type == "number" else limit
            is_out = other < bound if words == "below" else other > bound
            found.append((f"{limit:g}" if abs(limit) < 1e6 else str(limit), is_out, words))
    return found


def read_boolean(text: pl.Series, column: Column) -> pl.Series:
    """Return the values of a boolean column of text; null where it is neither."""
    if column.format:
        true, _, false = column.format.partition("/")
        yes, no = [true], [false]
        folded = text
    else:
        yes, no, folded = ["true", "1"], ["false", "0"], text.str.to_lowercase()
    values = folded.is_in(yes)
    return values.set(~(values | folded.is_in(no)).fill_null(False), None)


def _parsed(text: pl.Series, formats: list[tuple[str, str]], dtype: pl.DataType) -> pl.Series:
    """Parse with the first format whose pattern a text matches whole; null where none does."""
    done = None
    for pattern, chrono in formats:
        left = text if done is None else text.set(done.is_not_null(), None)
        if done is not None and left.null_count() == len(left):
            break
        fitting = left.set(~matches(left, pattern), None)
        if done is not None and fitting.null_count() == len(fitting):
            continue
        parsed = strptime(fitting, dtype, chrono)
        done = parsed if done is None else done.zip_with(done.is_not_null(), parsed)
    assert done is not None
    return done


def strptime(text: pl.Series, dtype: pl.DataType, chrono: str) -> pl.Series:
    """Parse text whose form is known; null where it is no moment (2024-02-30)."""
    if isinstance(dtype, pl.Date):
        return text.str.to_date(chrono, strict=False, cache=False)
    if "%#z" in chrono or "%z" in chrono:
        utc = text.str.to_datetime(chrono, strict=False, time_unit="us", time_zone="UTC")
        return utc.dt.replace_time_zone(None)
    return text.str.to_datetime(chrono, strict=False, time_unit="us", cache=False)


def date_formats(column: Column) -> list[tuple[str, str]]:
    """Return (pattern, chrono format) of what a date may be written as."""
    if column.format is None:
        return [(_DAY, "%Y-%m-%d")]
    return [compile_format(column.format)]


def timestamp_formats(column: Column) -> list[tuple[str, str]]:
    """Return (pattern, chrono format) of what a timestamp may be written as, by preference."""
    if column.format is None:
        return _ISO_TIMESTAMPS
    return [compile_format(column.format)]


@lru_cache
def compile_format(format: str) -> tuple[str, str]:
    """Return (pattern, chrono format) of a strptime format; `ContractError` for a directive that is not one."""
    pattern, i = "", 0
    while i < len(format):
        if format[i] != "%":
            pattern += re.escape(format[i])
            i += 1
            continue
        directive = format[i + 1 : i + 2]
        if directive not in _DIRECTIVES:
            raise ContractError(
                f"The date format {format!r} has the directive %{directive}, which is not known: use "
                + " ".join(f"%{name}" for name in _DIRECTIVES)
                + "."
            )
        pattern += _DIRECTIVES[directive]
        i += 2
    return pattern, format.replace(".%f", "%.f").replace("%f", "%6f")


def _form_words(column: Column) -> str:
    """Say what the column's text has to be."""
    if column.type == "boolean":
        return f"one of {column.format or 'true/false'}"
    if column.type in ("date", "timestamp"):
        return f"a {column.type} written as {column.format or 'ISO 8601 (YYYY-MM-DD)'}"
    return {"integer": "an integer", "number": "a number"}.get(column.type, "text")
