"""Write mode `history`: every version of a key, each with the time from which and until which it counted.

A version stands in raw with `_valid_from` (the contract's column, else `_known_at`), `_valid_to` (null: until now) and
`_is_current`. Versions may arrive in any order: a late one takes its place in time and ends the one before it earlier.
One equal to the version before it is `unchanged`. Of two that begin at the same moment the one known last counts, and the
other has no duration. A row that says its key is gone is a version too; staging never sees it.

An unchanged row leaves no trace. So a version that arrives late, between another and a repeat of it that came earlier,
counts until the next version that stands: where that matters, `append` keeps every statement.
"""

import duckdb

from lake.connection import quoted_name
from lake.contracts.model import Contract
from lake.raw import names, schema, table, table_schema
from lake.writing import Counts, count, insert, repeats_within

_FULL_DELIVERY = "CREATE TABLE IF NOT EXISTS lake.meta.full_delivery (dataset VARCHAR, known_at TIMESTAMP)"


def history(connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str) -> Counts:
    """Put versions into their place in time."""
    arrived = count(connection, f"FROM {incoming}")
    repeats = repeats_within(connection, contract, incoming, arrived)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE timeline AS {_timeline(contract, incoming)}")
    keys = " AND ".join(f"old.{quoted_name(key)} = new.{quoted_name(key)}" for key in contract.keys)
    connection.execute(
        f"""
        UPDATE {table(contract)} AS old SET _valid_to = new.until, _is_current = false
        FROM timeline AS new
        WHERE {keys} AND old._delivery_id = new._delivery_id AND old._line IS NOT DISTINCT FROM new._line
            AND old._sheet IS NOT DISTINCT FROM new._sheet            AND old._valid_from = new._valid_from AND NOT new.is_new AND old._valid_to IS DISTINCT FROM new.until
        """
    )
    fresh = "(SELECT * REPLACE (until AS _valid_to, until IS NULL AS _is_current) FROM timeline WHERE is_new)"
    loaded = insert(connection, contract, fresh, table_schema(contract))
    connection.execute("DROP TABLE timeline")
    if contract.history.close_missing:
        _close_missing(connection, contract, incoming)
    return Counts(loaded, repeats, arrived - loaded - repeats)


def _timeline(contract: Contract, incoming: str) -> str:
    """Return the query of all versions of the keys that came: those standing, and those that are news."""
    keys = names(contract.keys)
    delivered = names(schema(contract))
    valid_from = quoted_name(contract.history.valid_from or "_known_at")
    # An equal version says the same at another time: the columns that only say when do not make it a new one.
    times = {contract.history.valid_from, contract.known_at.column, *contract.keys}
    content = names(column.name for column in contract.columns if column.name not in times) or "true"
    said = f"row({content})"
    if contract.deletion_column:
        said = f"CASE WHEN {quoted_name(contract.deletion_column)} THEN NULL ELSE {said} END"
    of_key = f"PARTITION BY {keys} ORDER BY _valid_from, _known_at NULLS FIRST, is_new, _sheet, _line"
    return f"""
        WITH arrived AS (SELECT {delivered}, {valid_from}::TIMESTAMP AS _valid_from FROM {incoming}),
        version AS (
            SELECT *, NULL::TIMESTAMP AS _valid_to, NULL::BOOLEAN AS _is_current, true AS is_new FROM arrived
            UNION ALL BY NAME
            SELECT *, false AS is_new FROM {table(contract)} SEMI JOIN (SELECT DISTINCT {keys} FROM arrived) USING ({keys})
        ),
        placed AS (
            -- When the version that stood at this moment ended, or will end, as far as is known.
            SELECT *, last_value(CASE WHEN NOT is_new THEN struct_pack(at := _valid_to) END IGNORE NULLS)
                OVER ({of_key} ROWS UNBOUNDED PRECEDING) AS ended
            FROM version
        ),
        news AS (
            FROM placed
            QUALIFY NOT is_new
                OR row_number() OVER ({of_key}) = 1
                OR {said} IS DISTINCT FROM lag({said}) OVER ({of_key})
                -- It is back: the key was gone between the version before and this one.
                OR (ended.at <= _valid_from AND lag(_valid_from) OVER ({of_key}) < ended.at)
        )
        SELECT *, least(
            lead(_valid_from) OVER ({of_key}), CASE WHEN NOT is_new OR ended.at > _valid_from THEN ended.at END
        ) AS until
        FROM news
    """


def _close_missing(connection: duckdb.DuckDBPyConnection, contract: Contract, incoming: str) -> None:
    """End the versions of keys that a full delivery does not have, when it was known; a late delivery ends none."""
    connection.execute(_FULL_DELIVERY)
    known = f"(SELECT max(_known_at) FROM {incoming})"
    row = connection.execute(
        f"SELECT {known}, max(known_at) FROM lake.meta.full_delivery WHERE dataset = ?", [contract.dataset]
    ).fetchone()
    assert row is not None
    if row[0] is None or (row[1] is not None and row[1] > row[0]):
        return
    connection.execute("INSERT INTO lake.meta.full_delivery VALUES (?, ?)", [contract.dataset, row[0]])
    same_key = " AND ".join(f"new.{quoted_name(key)} = old.{quoted_name(key)}" for key in contract.keys)
    connection.execute(
        f"""
        UPDATE {table(contract)} AS old SET _valid_to = ?, _is_current = false
        WHERE _is_current AND _valid_from < ? AND NOT EXISTS (FROM {incoming} AS new WHERE {same_key})
        """,
        [row[0], row[0]],
    )
