"""Parquet files: columns found by name or, inside structs, by path, and read batch by batch with the types they have."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.sources.block import Block
from lake.sources.header import match_header
from lake.sources.text import nul_marks
from lake.sources.typed import fit

BATCH_ROWS = 50_000
MAXIMUM_METADATA_BYTES = 64 << 20
"""Of the strings in a file's footer. A thousand columns in a thousand row groups take about 100 MB in all."""
MAXIMUM_METADATA_ITEMS = 4_000_000
MAXIMUM_COLUMNS = 10_000


def read_parquet(path: Path, name: str, contract: Contract) -> Iterator[Block]:
    """Read a Parquet file as blocks of typed rows; `_line` is the row, 1-based.

    Raises `FileRefused`, at the first block or later, for a file that cannot be read to its contract as a whole.
    """
    if path.stat().st_size == 0:
        raise FileRefused(f"{name} is empty: deliver it again with its columns and rows, or remove it.")
    row = 1
    try:
        with pq.ParquetFile(
            path,
            thrift_string_size_limit=MAXIMUM_METADATA_BYTES,
            thrift_container_size_limit=MAXIMUM_METADATA_ITEMS,
        ) as file:
            fields = _fields(file.schema_arrow, name, contract)
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                if batch.num_rows:
                    yield _block(batch, fields, contract, name, row)
                    row += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileRefused(
            f"{name} cannot be read as a Parquet file ({first[:200]}): it was damaged, cut off or encrypted, or is"
            " something else; deliver it again."
        ) from error
    if row == 1:
        raise FileRefused(f"{name} has columns but no rows: deliver it again with its rows, or remove it.")


def _fields(schema: pa.Schema, name: str, contract: Contract) -> dict[str, list[str]]:
    """Return where each of the contract's columns stands: the column, then the fields inside it."""
    if len(schema.names) > MAXIMUM_COLUMNS:
        raise FileRefused(
            f"{name} has {len(schema.names)} columns, more than {MAXIMUM_COLUMNS}: deliver those of the contract."
        )
    paths = [path for field in schema for path in _paths(field, contract)]
    titles = [".".join(path) for path in paths]
    return dict(zip(match_header(titles, name, "schema", contract), paths, strict=True))


def _paths(field: pa.Field, contract: Contract) -> list[list[str]]:
    """Return a column by its name; one that the contract reads inside of, by the path to each field in it."""
    is_opened = any(column.source_name.startswith(f"{field.name}.") for column in contract.columns)
    if not (is_opened and pa.types.is_struct(field.type)):
        return [[field.name]]
    return [[field.name, *path] for inner in field.type for path in _inner_paths(inner)]


def _inner_paths(field: pa.Field) -> list[list[str]]:
    if not pa.types.is_struct(field.type):
        return [[field.name]]
    return [[field.name, *path] for inner in field.type for path in _inner_paths(inner)]


def _block(
    batch: pa.RecordBatch, fields: dict[str, list[str]], contract: Contract, name: str, first_row: int
) -> Block:
    columns = []
    for column in contract.columns:
        if column.name not in fields:
            columns.append(pl.Series(column.name, [None] * batch.num_rows, dtype=pl.String))
            continue
        top, *inner = fields[column.name]
        values = batch.column(top)
        for part in inner:
            values = pc.struct_field(values, part)
        columns.append(fit(_series(values, column.source_name, name), column, name))
    frame = pl.DataFrame(columns)

    def raw_text(rows: Sequence[int]) -> list[str]:
        return [
            json.dumps(row, ensure_ascii=False, default=_said) for row in batch.take(list(rows)).to_pylist()
        ]

    lines = pl.int_range(first_row, first_row + batch.num_rows, eager=True).alias("_line")
    return Block(frame, lines, raw_text, marks=nul_marks(frame), header=tuple(fields))


def _series(values: pa.Array, title: str, name: str) -> pl.Series:
    try:
        values.validate(full=True)  # text that is not UTF-8 must not get further
        found = pl.Series(values)
    except (pl.exceptions.PolarsError, pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise FileRefused(
            f"{name}, column {title!r}: values of type {values.type} cannot be read ({error}); deliver numbers,"
            " text, dates or timestamps."
        ) from error
    return found


def _said(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
