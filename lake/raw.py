"""The raw tables: making and widening them, and the three ways rows enter them. Always inside the caller's transaction.

Rows arrive checked and typed, with provenance; which file they came from and whether it is news is `loading.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from lake.connection import table_exists
from lake.contracts.model import Contract
from lake.errors import ContractError

PROVENANCE = {
    "_delivery_id": pl.String(),
    "_file": pl.String(),
    "_sheet": pl.String(),
    "_line": pl.Int64(),
    "_known_at": pl.Datetime("us"),
}
_PROVENANCE_TYPES = {
    "_delivery_id": "VARCHAR",
    "_file": "VARCHAR",
    "_sheet": "VARCHAR",
    "_line": "BIGINT",
    "_known_at": "TIMESTAMP",
}
_SECOND_SEED = 0x5107


@dataclass(frozen=True)
class Fingerprints:
    """128 bits per row over all columns of the contract, so that equal means the same row beyond doubt."""

    delivery_id: str
    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    lines: npt.NDArray[np.int64]
    days: pl.Series | None
    """The business dates among the rows, each once; None where rows have none."""


def table(contract: Contract) -> str:
    """Return the quoted name of a contract's raw table."""
    return f'lake.raw."{contract.dataset}"'


def schema(contract: Contract) -> dict[str, pl.DataType]:
    """Return polars types of the raw table: the contract's columns, then provenance."""
    types: dict[str, pl.DataType] = {}
    for column in contract.columns:
        types[column.name] = {
            "string": pl.String(),
            "integer": pl.Int64(),
            "number": pl.Decimal(column.precision, column.scale),
            "date": pl.Date(),
            "timestamp": pl.Datetime("us"),
            "boolean": pl.Boolean(),
        }[column.type]
    return types | PROVENANCE


def ensure_table(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Make the raw table, or add the columns that the contract has gained. `ContractError` if a type changed."""
    wanted = {column.name: column.duckdb_type for column in contract.columns} | _PROVENANCE_TYPES
    if not table_exists(connection, "raw", contract.dataset):
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in wanted.items())
        connection.execute(f"CREATE TABLE {table(contract)} ({columns})")
        return
    found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table(contract)}").fetchall()}
    for name, type_ in wanted.items():
        if name not in found:
            connection.execute(f'ALTER TABLE {table(contract)} ADD COLUMN "{name}" {type_}')
        elif found[name].replace(" ", "") != type_.replace(" ", ""):
            raise ContractError(
                f"{contract.path}, column {name!r}: its type is {type_} now, but {found[name]} in rows loaded before;"
                " change it back, or delete the company's home folder and load everything again."
            )


def distinct_values(connection: duckdb.DuckDBPyConnection, reference: str) -> pl.Series | None:
    """Return the distinct values of 'dataset.column' in raw, or None if that dataset has no rows or no such column."""
    dataset, _, column = reference.partition(".")
    if not table_exists(connection, "raw", dataset):
        return None
    names = {row[0] for row in connection.execute(f'DESCRIBE lake.raw."{dataset}"').fetchall()}
    if column not in names:
        return None
    found = connection.execute(
        f'SELECT DISTINCT "{column}" AS value FROM lake.raw."{dataset}" WHERE "{column}" IS NOT NULL'
    ).pl()
    return found["value"] if found.height else None


def append(connection: duckdb.DuckDBPyConnection, contract: Contract, frames: Iterable[pl.DataFrame]) -> None:
    """Add rows."""
    columns = _names(schema(contract))
    with _Incoming(connection, contract, frames):
        connection.execute(f"INSERT INTO {table(contract)} ({columns}) SELECT {columns} FROM incoming")


def replace(
    connection: duckdb.DuckDBPyConnection, contract: Contract, frames: Iterable[pl.DataFrame]
) -> None:
    """Make these rows the dataset."""
    connection.execute(f"DELETE FROM {table(contract)}")
    append(connection, contract, frames)


def upsert(
    connection: duckdb.DuckDBPyConnection, contract: Contract, frames: Iterable[pl.DataFrame]
) -> tuple[int, int]:
    """Insert or replace rows by key; return (loaded, whole-row repeats within the rows).

    Of rows with one key the one known last stands (later lines win a tie), among them what stands in the table
    already: an older row that arrives late changes nothing, and neither does an equal one.
    """
    names = _names(schema(contract))
    keys = _names(contract.keys)
    content = _names(column.name for column in contract.columns)
    same_key = " AND ".join(f'new."{key}" = old."{key}"' for key in contract.keys)
    is_equal = " AND ".join(f'new."{c.name}" IS NOT DISTINCT FROM old."{c.name}"' for c in contract.columns)
    with _Incoming(connection, contract, frames):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT {names} FROM incoming")
    (repeats,) = _one(connection, f"SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT {content} FROM arrived)) FROM arrived")  # fmt: skip
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE news AS
        WITH newest AS (
            FROM arrived
            QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _known_at DESC NULLS LAST, _line DESC) = 1
        )
        SELECT new.* FROM newest AS new LEFT JOIN {table(contract)} AS old ON {same_key}
        WHERE old._delivery_id IS NULL OR NOT (
            ({is_equal}) OR coalesce(new._known_at, '-infinity') < coalesce(old._known_at, '-infinity')
        )
        """
    )
    connection.execute(f"DELETE FROM {table(contract)} AS old USING news AS new WHERE {same_key}")
    connection.execute(f"INSERT INTO {table(contract)} ({names}) SELECT {names} FROM news")
    (loaded,) = _one(connection, "SELECT count(*) FROM news")
    connection.execute("DROP TABLE news")
    connection.execute("DROP TABLE arrived")
    return loaded, repeats


def fingerprints(contract: Contract, frame: pl.DataFrame, delivery_id: str) -> Fingerprints:
    """Return what tells whole rows apart, over the contract's columns."""
    content = frame.select(column.name for column in contract.columns)
    return Fingerprints(
        delivery_id,
        content.hash_rows().to_numpy(),
        content.hash_rows(seed=_SECOND_SEED).to_numpy(),
        frame["_line"].to_numpy(),
        frame[contract.business_date].unique() if contract.business_date else None,
    )


def drop_repeats(
    connection: duckdb.DuckDBPyConnection, contract: Contract, new: list[Fingerprints]
) -> Mapping[str, int]:
    """Delete rows just added that repeat a row added or standing before; return how many, per delivery.

    `new` holds every row just added, in order of arrival; the first of equal rows stays.
    """
    first = np.concatenate([one.first for one in new])
    is_suspect = _is_repeated(first)
    standing = list(_standing(connection, contract, new))
    if standing:
        is_suspect |= np.isin(first, np.concatenate([one.first for one in standing]))
    if not is_suspect.any():
        return {}
    suspects = first[is_suspect]
    seen: set[tuple[int, int]] = set()
    for one in standing:
        mask = np.isin(one.first, suspects)
        seen.update(zip(one.first[mask].tolist(), one.second[mask].tolist(), strict=True))
    repeats: list[tuple[str, int]] = []
    offset = 0
    for one in new:
        rows = np.flatnonzero(is_suspect[offset : offset + len(one.first)])
        offset += len(one.first)
        for key, line in zip(
            zip(one.first[rows].tolist(), one.second[rows].tolist(), strict=True),
            one.lines[rows].tolist(),
            strict=True,
        ):
            if key in seen:
                repeats.append((one.delivery_id, line))
            seen.add(key)
    return _delete(connection, contract, repeats)


def _is_repeated(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    ordered = np.sort(values)
    return np.isin(values, ordered[1:][ordered[1:] == ordered[:-1]])


def _standing(
    connection: duckdb.DuckDBPyConnection, contract: Contract, new: list[Fingerprints]
) -> Iterator[Fingerprints]:
    """Yield the fingerprints of rows that stood before; where rows have a business date, only of the days at stake.

    The days are constants in the query, so that DuckLake passes by the files that hold others.
    """
    parameters: list[object] = [sorted({one.delivery_id for one in new})]
    condition = "NOT list_contains(?, _delivery_id)"
    if contract.business_date:
        days = pl.concat(one.days for one in new if one.days is not None)
        column = f'"{contract.business_date}"'
        at_stake = [f"{column} IS NULL"] if days.has_nulls() else []
        if days.drop_nulls().len():
            at_stake.append(f"{column} BETWEEN ? AND ?")
            parameters += [days.min(), days.max()]
        if not at_stake:
            return
        condition += f" AND ({' OR '.join(at_stake)})"
    types = schema(contract)
    reader = connection.execute(
        f"SELECT {_names(types)} FROM {table(contract)} WHERE {condition}", parameters
    ).to_arrow_reader(250_000)
    for batch in reader:
        if batch.num_rows:
            yield fingerprints(contract, pl.DataFrame(batch).cast(types), "")  # type: ignore[arg-type]


def _delete(
    connection: duckdb.DuckDBPyConnection, contract: Contract, repeats: list[tuple[str, int]]
) -> Mapping[str, int]:
    """Delete rows by (delivery, line), one delivery at a time: a constant tells DuckLake which files to look at."""
    lines: dict[str, list[int]] = {}
    for delivery_id, line in repeats:
        lines.setdefault(delivery_id, []).append(line)
    for delivery_id, repeated in lines.items():
        connection.register("repeats", pl.DataFrame({"line": repeated}).to_arrow())
        connection.execute(
            f"DELETE FROM {table(contract)} WHERE _delivery_id = ? AND _line IN (SELECT line FROM repeats)",
            [delivery_id],
        )
        connection.unregister("repeats")
    return {delivery_id: len(repeated) for delivery_id, repeated in lines.items()}


class _Incoming:
    """The frames as the stream `incoming`, which DuckDB pulls while it inserts."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, contract: Contract, frames: Iterable[pl.DataFrame]
    ) -> None:
        self.connection, self.types, self.frames = connection, schema(contract), frames

    def __enter__(self) -> None:
        empty = pl.DataFrame(schema=self.types).to_arrow()
        reader = pa.RecordBatchReader.from_batches(empty.schema, self._batches(empty.schema))
        self.connection.register("incoming", reader)

    def _batches(self, arrow_schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for frame in self.frames:
            yield from frame.select(*self.types).to_arrow().cast(arrow_schema).to_batches()

    def __exit__(self, *exception: object) -> None:
        self.connection.unregister("incoming")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row
