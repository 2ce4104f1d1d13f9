"""Columns that arrive with a type of their own (Parquet, databases): handed on as the contract's type, or as text.

A block's column has the contract's type where every value of it is one exactly; nothing is rounded, cut or guessed.
Otherwise it is handed on as text, so that `conforming.py` finds the values that do not fit by the same rules as in any
other file. Which values a column may have is no business of this module.
"""

from decimal import Decimal

import polars as pl

from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources.conforming import compile_format

_LONGEST_WHOLE = 2**53
"""From here on a double no longer tells neighbouring whole numbers apart."""
_NESTED = (pl.List, pl.Array, pl.Struct, pl.Object, pl.Duration)


def target_type(column: Column) -> pl.DataType:
    """Return the type in which conforming hands a column on."""
    types: dict[str, pl.DataType] = {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Decimal(column.precision, column.scale),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us"),
        "boolean": pl.Boolean(),
    }
    return types[column.type]


def fit(values: pl.Series, column: Column, name: str) -> pl.Series:
    """Return the values as the column's own type if each is one exactly, else as text; empty texts are null.

    Timestamps with a zone become UTC. Raises `FileRefused` for a type that is no single value; `name` is the file's.
    """
    if isinstance(values.dtype, _NESTED):
        raise FileRefused(
            f"{name}, column {column.source_name!r}: its values are of type {values.dtype}, not single values; name a"
            " field in it by its path in the contract, or deliver it as a column of single values."
        )
    if values.dtype == pl.Null:
        return pl.Series(column.name, values, pl.String)
    if values.dtype == pl.Binary:
        values = _decoded(values, column, name)
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    needs_text = column.type == "string" or column.pattern or column.allowed or column.default is not None
    exact = None if needs_text else _exact(values, column)
    return (as_text(values, column) if exact is None else exact).alias(column.name)


def as_text(values: pl.Series, column: Column) -> pl.Series:
    """Write values as a text file would: 3 for a whole double in an integer column, 1.5 for the decimal 1.50."""
    kind = values.dtype
    if kind.is_temporal():
        return _moments_as_text(values, column)
    text = values.cast(pl.String)
    if kind.is_float() and column.type in ("integer", "number"):
        text = _fixed(text)
    if kind.is_decimal() or (kind.is_float() and column.type in ("integer", "number")):
        text = text.str.replace(r"(\.[0-9]*?)0+\z", "$1").str.strip_suffix(".")
    return text.set(text == "", None)


def _exact(values: pl.Series, column: Column) -> pl.Series | None:
    """Return the values as the column's type; None if any is not one exactly."""
    kind, target = values.dtype, target_type(column)
    if column.type == "integer" and (kind.is_float() or kind.is_integer()):
        if kind.is_float() and not _are_whole(values):
            return None
        found = values.cast(target, strict=False)
    elif column.type == "number" and (kind.is_integer() or kind.is_decimal()):
        if isinstance(kind, pl.Decimal) and kind.scale > column.scale:
            return None
        found = values.cast(target, strict=False)
    elif column.type in ("date", "timestamp") and isinstance(kind, pl.Date | pl.Datetime):
        found = values.cast(target, strict=False)
        if isinstance(kind, pl.Datetime) and not (found.cast(kind) == values).all():
            return None
    elif kind == target:
        return values
    else:
        return None
    return found if found.null_count() == values.null_count() else None


def _are_whole(values: pl.Series) -> bool:
    """Whether every double is a whole number that it can tell from its neighbours."""
    return bool(((values == values.floor()) & (values.abs() < _LONGEST_WHOLE)).all())


def _fixed(text: pl.Series) -> pl.Series:
    """Write the few doubles that have an exponent without one; NaN and infinities stay words."""
    rows = text.str.contains("[eE]").fill_null(False).arg_true()
    if not len(rows):
        return text
    return text.scatter(rows, [format(Decimal(one), "f") for one in text.gather(rows)])


def _moments_as_text(values: pl.Series, column: Column) -> pl.Series:
    """Write dates and times as the column's format says; one that this format would cut stands whole, in ISO."""
    kind = values.dtype
    if kind == pl.Time:
        return values.cast(pl.String)
    digits = "%.f" if isinstance(kind, pl.Datetime) else ""
    iso = values.dt.to_string("%Y-%m-%d %H:%M:%S" + digits if digits else "%Y-%m-%d")
    if column.type not in ("date", "timestamp"):
        return iso
    is_exact = values.cast(target_type(column), strict=False).cast(kind) == values
    default = "%Y-%m-%d" if column.type == "date" else "%Y-%m-%d %H:%M:%S" + digits
    written = values.dt.to_string(compile_format(column.format)[1] if column.format else default)
    return written.zip_with(is_exact.fill_null(False), iso)


def _decoded(values: pl.Series, column: Column, name: str) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise FileRefused(
            f"{name}, column {column.source_name!r}: its values are bytes that are not UTF-8 text; deliver text."
        ) from error
