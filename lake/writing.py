"""How checked rows enter a raw table: one function per write mode, inside the caller's transaction.

Rows come as a SQL relation with the raw table's columns, typed and checked; which files they came from and whether they
are news is `loading.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lake.connection import quoted_name, quoted_text
from lake.contracts.model import Contract
from lake.raw import names, schema, table

Adopt = Callable[[], Sequence[Path]]
"""Moves Parquet files that hold exactly the incoming rows to where the table's data lies, and returns their paths; the
incoming relation is gone then."""

_LAST_FIRST = "_sheet DESC NULLS LAST, _line DESC"
"""A line alone is no row: each sheet of a workbook and each member of an archive has its own."""


@dataclass(frozen=True)
class Counts:
    """What became of the incoming rows; their sum is the number of rows that came."""

    loaded: int
    duplicate: int = 0
    unchanged: int = 0


def write(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Write the rows of one delivery by the contract's write mode.

    `incoming` is a relation such as `read_parquet([...])`. With `adopt` the files behind it may become files of the table
    as they are, which costs nothing beside copying rows; without it, rows are copied.
    """
    return _MODES[contract.write_mode](connection, contract, incoming, adopt)


def append(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Add rows; with `duplicates: drop` the first of equal rows stays, be it here or in the table already."""
    repeats = _find_repeats(connection, contract, incoming) if contract.duplicates == "drop" else 0
    if adopt is not None:
        loaded = count(connection, f"FROM {incoming}") - repeats
        _register(connection, contract, adopt())
        if repeats:
            # The delivery as a constant tells DuckLake which files to look at.
            for (delivery_id,) in connection.execute("SELECT DISTINCT _delivery_id FROM repeats").fetchall():
                of_delivery = f"_delivery_id = {quoted_text(delivery_id)}"
                connection.execute(
                    f"DELETE FROM {table(contract)} WHERE {of_delivery} AND (coalesce(_sheet, ''), _line) IN"
                    f" (SELECT (coalesce(_sheet, ''), _line) FROM repeats WHERE {of_delivery})"
                )
    else:
        same_row = "(new._delivery_id, new._line) = (old._delivery_id, old._line) AND new._sheet IS NOT DISTINCT FROM old._sheet"  # fmt: skip
        fresh = f"{incoming} AS new ANTI JOIN repeats AS old ON {same_row}" if repeats else incoming
        loaded = insert(connection, contract, fresh)
    if contract.duplicates == "drop":
        connection.execute("DROP TABLE IF EXISTS repeats")
    return Counts(loaded, repeats)


def replace(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Make these rows the dataset."""
    connection.execute(f"DELETE FROM {table(contract)}")
    return append(connection, contract, incoming, adopt)


def upsert(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Insert or replace rows by key.

    Of rows with one key the one known last stands (later lines win a tie), among them what stands in the table
    already: an older row that arrives late changes nothing, and neither does an equal one.
    """
    columns, keys = names(schema(contract)), names(contract.keys)
    same_key = " AND ".join(f"new.{quoted_name(key)} = old.{quoted_name(key)}" for key in contract.keys)
    is_equal = " AND ".join(
        f"new.{quoted_name(c.name)} IS NOT DISTINCT FROM old.{quoted_name(c.name)}" for c in contract.columns
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT {columns} FROM {incoming}")
    arrived = count(connection, "FROM arrived")
    repeats = repeats_within(connection, contract, "arrived", arrived)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE news AS
        WITH newest AS (
            FROM arrived
            QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _known_at DESC NULLS LAST, {_LAST_FIRST}) = 1
        )
        SELECT new.* FROM newest AS new LEFT JOIN {table(contract)} AS old ON {same_key}
        WHERE old._delivery_id IS NULL OR NOT (
            ({is_equal}) OR coalesce(new._known_at, '-infinity') < coalesce(old._known_at, '-infinity')
        )
        """
    )
    connection.execute(f"DELETE FROM {table(contract)} AS old USING news AS new WHERE {same_key}")
    loaded = insert(connection, contract, "news")
    connection.execute("DROP TABLE news")
    connection.execute("DROP TABLE arrived")
    return Counts(loaded, repeats, arrived - loaded - repeats)


def insert_only(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Add rows whose key does not stand yet, the first of each key; what stands is never changed.

    The few keys that stand are found first: what came narrows down which files of the table are read, and with `key_scope:
    business_date` their days do, so that a delivery costs the same however much stands.
    """
    keys = names(contract.keys)
    among = (
        _standing(connection, contract, incoming)
        if contract.key_scope == "business_date"
        else table(contract)
    )
    arrived = count(connection, f"FROM {incoming}")
    repeats = repeats_within(connection, contract, incoming, arrived)
    fresh = f"""(
        FROM {incoming} ANTI JOIN (
            FROM (SELECT {keys} FROM {among}) SEMI JOIN {incoming} USING ({keys})
        ) USING ({keys})
        QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _sheet, _line) = 1
    )"""
    loaded = insert(connection, contract, fresh)
    return Counts(loaded, repeats, arrived - loaded - repeats)


def replace_partition(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    """Replace the partitions that the rows are of, whole; rows of other partitions stay."""
    columns = names(contract.partition_by)
    connection.execute(
        f"DELETE FROM {table(contract)} WHERE ({columns}) IN (SELECT DISTINCT ({columns}) FROM {incoming})"
    )
    return append(connection, contract, incoming, adopt)


def _history(
    connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str, adopt: Adopt | None = None
) -> Counts:
    from lake.history import history  # it builds on this module

    return history(connection, contract, incoming)


_MODES = {
    "append": append,
    "replace": replace,
    "replace_partition": replace_partition,
    "upsert": upsert,
    "insert_only": insert_only,
    "history": _history,
}


def insert(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    relation: str,
    columns_of: Iterable[str] | None = None,
) -> int:
    """Copy rows into the raw table, by the names of its columns; return how many."""
    columns = names(schema(contract) if columns_of is None else columns_of)
    return count(
        connection, f"INSERT INTO {table(contract)} ({columns}) SELECT {columns} FROM {relation}", ""
    )


def repeats_within(
    connection: duckdb.DuckDBPyConnection, contract: Contract, relation: str, rows: int
) -> int:
    """Count the rows that repeat another of the relation whole, where the contract counts them as duplicates."""
    if contract.duplicates != "drop":
        return 0
    content = names(column.name for column in contract.columns)
    return rows - count(connection, f"FROM (SELECT DISTINCT {content} FROM {relation})")


def _register(connection: duckdb.DuckDBPyConnection, contract: Contract, files: Sequence[Path]) -> None:
    """Make Parquet files part of the table as they are."""
    for path in files:
        connection.execute(
            f"CALL ducklake_add_data_files('lake', {quoted_text(contract.dataset)}, {quoted_text(path)},"
            " schema => 'raw', allow_missing => true)"
        )


def _find_repeats(connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str) -> int:
    """List in the temporary table `repeats` (_delivery_id, _sheet, _line) the rows equal to one standing or before; count them.

    A hash finds the few that may be equal; these are compared whole. Of what stands, where rows have a business date,
    only the days at stake are read: they are constants in the query, so that DuckLake passes by files that hold others.
    """
    content = names(column.name for column in contract.columns)
    standing = _standing(connection, contract, incoming)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE suspects AS
        WITH arrived AS (SELECT hash({content}) AS print, count(*) AS n FROM {incoming} GROUP BY ALL)
        SELECT print FROM arrived WHERE n > 1
        UNION SELECT print FROM arrived SEMI JOIN (SELECT hash({content}) AS print FROM {standing}) USING (print)
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE repeats AS
        WITH candidate AS (
            SELECT {content}, _delivery_id, _sheet, _line, true AS is_new FROM {incoming} WHERE hash({content}) IN (FROM suspects)
            UNION ALL
            SELECT {content}, _delivery_id, _sheet, _line, false FROM {standing} WHERE hash({content}) IN (FROM suspects)
        )
        SELECT _delivery_id, _sheet, _line FROM candidate
        QUALIFY is_new AND row_number() OVER (PARTITION BY {content} ORDER BY is_new, _sheet, _line) > 1
        """
        if count(connection, "FROM suspects")
        else "CREATE OR REPLACE TEMP TABLE repeats (_delivery_id VARCHAR, _sheet VARCHAR, _line BIGINT)"
    )
    connection.execute("DROP TABLE suspects")
    return count(connection, "FROM repeats")


def _standing(connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str) -> str:
    """Return what stands in the table of the days that come in, as a relation."""
    if contract.write_mode == "replace":
        return f"(FROM {table(contract)} WHERE false)"
    if contract.business_date is None:
        return table(contract)
    day = quoted_name(contract.business_date)
    row = connection.execute(
        f"SELECT min({day})::VARCHAR, max({day})::VARCHAR, count(*) > count({day}) FROM {incoming}"
    ).fetchone()
    assert row is not None
    first, last, has_dayless = row
    at_stake = ["false"] + ([f"{day} IS NULL"] if has_dayless else [])
    if first is not None:
        at_stake.append(f"{day} BETWEEN {quoted_text(first)} AND {quoted_text(last)}")
    return f"(FROM {table(contract)} WHERE {' OR '.join(at_stake)})"


def count(connection: duckdb.DuckDBPyConnection, query: str, select: str = "SELECT count(*) ") -> int:
    """Return the one number that a query gives."""
    row = connection.execute(select + query).fetchone()
    assert row is not None
    return int(row[0])
