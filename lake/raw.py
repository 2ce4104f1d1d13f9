"""The raw tables: their names and types, making and widening them, asking them for values. How rows enter is `writing.py`."""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from lake.connection import quoted_name, quoted_text, table_exists
from lake.contracts.model import Contract, is_wider
from lake.errors import ContractError

PROVENANCE = {
    "_delivery_id": "VARCHAR",
    "_file": "VARCHAR",
    "_sheet": "VARCHAR",
    "_line": "BIGINT",
    "_known_at": "TIMESTAMP",
}
"""Columns of every raw table after those of its contract, with their types."""
HISTORY = {"_valid_from": "TIMESTAMP", "_valid_to": "TIMESTAMP", "_is_current": "BOOLEAN"}
"""Columns of a raw table with write mode `history`, after these."""

MOST_COLUMNS = 1_000
"""Of a raw table with columns that no contract names. The catalogue fails beyond 2,000."""


def names(of: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(quoted_name(name) for name in of)


def table(contract: Contract) -> str:
    """Return the quoted name of a contract's raw table."""
    return f"lake.raw.{quoted_name(contract.dataset)}"


def schema(contract: Contract) -> dict[str, str]:
    """Return the columns that every row brings and their types: the contract's columns, then provenance."""
    return {column.name: column.duckdb_type for column in contract.columns} | PROVENANCE


def table_schema(contract: Contract) -> dict[str, str]:
    """Return the columns of the raw table and their types: what rows bring, and of a history when each counted."""
    return schema(contract) | (HISTORY if contract.write_mode == "history" else {})


def ensure_table(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Make the raw table, or add and widen the columns that have changed. `ContractError` if one cannot be widened."""
    wanted = table_schema(contract)
    if not table_exists(connection, "raw", contract.dataset):
        columns = ", ".join(f"{quoted_name(name)} {type_}" for name, type_ in wanted.items())
        connection.execute(f"CREATE TABLE {table(contract)} ({columns})")
        return
    found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table(contract)}").fetchall()}
    if contract.write_mode == "history" and "_valid_from" not in found:
        raise ContractError(
            f"{contract.path}: its write mode is history now, and rows loaded before do not say when they counted; give"
            " the dataset another name, or delete the company's home folder and load everything again."
        )
    for name, type_ in wanted.items():
        if name not in found:
            connection.execute(f"ALTER TABLE {table(contract)} ADD COLUMN {quoted_name(name)} {type_}")
        elif found[name].replace(" ", "") != type_.replace(" ", ""):
            _widen(connection, contract, name, found[name], type_)


def width(connection: duckdb.DuckDBPyConnection, contract: Contract) -> int:
    """Return how many columns the raw table would have with those of the contract."""
    if not table_exists(connection, "raw", contract.dataset):
        return len(table_schema(contract))
    found = {row[0] for row in connection.execute(f"DESCRIBE {table(contract)}").fetchall()}
    return len(found | set(table_schema(contract)))


def _widen(connection: duckdb.DuckDBPyConnection, contract: Contract, name: str, old: str, new: str) -> None:
    """Give a column a type that holds every value of its old one."""
    column, alter = quoted_name(name), f"ALTER TABLE {table(contract)}"
    if is_wider(old, new):
        connection.execute(f"{alter} ALTER COLUMN {column} SET DATA TYPE {new}")
    elif new == "VARCHAR" and contract.policy("changed_types", name) == "evolve":
        # DuckLake has no such promotion: the column is made again.
        connection.execute(f"{alter} ADD COLUMN _as_text VARCHAR")
        connection.execute(f"UPDATE {table(contract)} SET _as_text = {column}")
        connection.execute(f"{alter} DROP COLUMN {column}")
        connection.execute(f"{alter} RENAME COLUMN _as_text TO {column}")
    else:
        hint = "say `schema_policy: {changed_types: evolve}`, " if new == "VARCHAR" else ""
        raise ContractError(
            f"{contract.path}, column {name!r}: its type is {new} now, but {old} in rows loaded before, and types only widen:"
            f" {hint}change it back, or delete the company's home folder and load everything again."
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
