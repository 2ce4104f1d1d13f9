"""The raw tables: their names and types, making and widening them, asking them for values. How rows enter is `writing.py`."""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from lake.connection import quoted_name, quoted_text, table_exists
from lake.contracts.model import Contract
from lake.errors import ContractError

PROVENANCE = {
    "_delivery_id": "VARCHAR",
    "_file": "VARCHAR",
    "_sheet": "VARCHAR",
    "_line": "BIGINT",
    "_known_at": "TIMESTAMP",
}
"""Columns of every raw table after those of its contract, with their types."""


def names(of: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(quoted_name(name) for name in of)


def table(contract: Contract) -> str:
    """Return the quoted name of a contract's raw table."""
    return f"lake.raw.{quoted_name(contract.dataset)}"


def schema(contract: Contract) -> dict[str, str]:
    """Return the columns of the raw table and their types: the contract's columns, then provenance."""
    return {column.name: column.duckdb_type for column in contract.columns} | PROVENANCE


def ensure_table(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Make the raw table, or add the columns that the contract has gained. `ContractError` if a type changed."""
    wanted = schema(contract)
    if not table_exists(connection, "raw", contract.dataset):
        columns = ", ".join(f"{quoted_name(name)} {type_}" for name, type_ in wanted.items())
        connection.execute(f"CREATE TABLE {table(contract)} ({columns})")
        return
    found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table(contract)}").fetchall()}
    for name, type_ in wanted.items():
        if name not in found:
            connection.execute(f"ALTER TABLE {table(contract)} ADD COLUMN {quoted_name(name)} {type_}")
        elif found[name].replace(" ", "") != type_.replace(" ", ""):
            raise ContractError(
                f"{contract.path}, column {name!r}: its type is {type_} now, but {found[name]} in rows loaded before;"
                " change it back, or delete the company's home folder and load everything again."
            )


def write_distinct(connection: duckdb.DuckDBPyConnection, reference: str, to: Path) -> bool:
    """Write the distinct values of 'dataset.column' in raw as the column `value` of a Parquet file.

    False, and no file, if that dataset has no rows or no such column.
    """
    dataset, _, column = reference.partition(".")
    if not table_exists(connection, "raw", dataset):
        return False
    of, source = quoted_name(column), f"lake.raw.{quoted_name(dataset)}"
    found = {row[0] for row in connection.execute(f"DESCRIBE {source}").fetchall()}
    if column not in found:
        return False
    written = connection.execute(
        f"COPY (SELECT DISTINCT {of} AS value FROM {source} WHERE {of} IS NOT NULL) TO {quoted_text(to)} (FORMAT parquet)"
    ).fetchone()
    return written is not None and written[0] > 0
