"""What has changed in the lake since an earlier gate run, so that only this is asked again.

DuckLake's own list of snapshots says which tables changed and how, and its change feed returns the rows that came since.
Nothing is guessed: where the list has gaps (expired snapshots) or something else happened to a table (made anew,
altered, compacted, or it is a view), all its rows are asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import duckdb

from lake.connection import ALIAS, literal, metadata
from lake.quality.expectations import Question
from lake.quality.rules import Rule, identifier
from lake.releases import GateResult, GateRun

_INSERTS = {"tables_inserted_into", "inlined_insert"}
_DELETES = {"tables_deleted_from", "inlined_delete"}

_TABLES = """
SELECT schema_name || '.' || table_name, table_id, begin_snapshot
FROM (
    SELECT table_id, schema_id, table_name, begin_snapshot FROM {metadata}.ducklake_table
    WHERE begin_snapshot <= $now AND ($now < end_snapshot OR end_snapshot IS NULL)
) JOIN (SELECT schema_id, schema_name FROM {metadata}.ducklake_schema WHERE end_snapshot IS NULL) USING (schema_id)
"""
_CHANGES = """
SELECT unnest(map_keys(changes)) AS kind, unnest(map_values(changes)) AS ids
FROM lake.snapshots() WHERE snapshot_id > $before AND snapshot_id <= $now
"""


@dataclass(frozen=True)
class News:
    """How each table stands against the snapshot of an earlier run; a table in none of the sets is to be read whole."""

    before: int
    now: int
    same: frozenset[str] = frozenset()
    grown: frozenset[str] = frozenset()
    """Rows were inserted, none deleted or changed."""
    changed: frozenset[str] = frozenset()
    """Rows were inserted, deleted or changed."""

    def new_rows(self, table: str) -> str:
        """Return the relation of rows that came since, changed ones as they are now."""
        schema, _, name = table.partition(".")
        return f"ducklake_table_insertions('{ALIAS}', {literal(schema)}, {literal(name)}, {self.before + 1}, {self.now})"


def news_since(connection: duckdb.DuckDBPyConnection, before: int, now: int) -> News:
    """Return how the tables at snapshot `now`, which the connection reads, differ from those at `before`."""
    kept = connection.execute(
        "SELECT count(*) FROM lake.snapshots() WHERE snapshot_id >= $before AND snapshot_id <= $now",
        {"before": before, "now": now},
    ).fetchone()
    if before > now or kept is None or kept[0] != now - before + 1:
        return News(before, now)
    parameters = {"before": before, "now": now}
    kinds: dict[int, set[str]] = {}
    for kind, ids in connection.execute(_CHANGES, parameters).fetchall():
        for number in ids:
            if str(number).isdigit():
                kinds.setdefault(int(number), set()).add(kind)
    tables = connection.execute(_TABLES.replace("{metadata}", metadata(connection)), {"now": now}).fetchall()
    old = {name: kinds.get(number, set()) for name, number, begun in tables if begun <= before}
    return News(
        before,
        now,
        same=frozenset(name for name, its in old.items() if not its),
        grown=frozenset(name for name, its in old.items() if its and its <= _INSERTS),
        changed=frozenset(name for name, its in old.items() if its & _DELETES and its <= _INSERTS | _DELETES),
    )


def still_true(rule: Rule, earlier: Mapping[str, GateResult], news: News, run: GateRun) -> GateResult | None:
    """Return the earlier answer if nothing that it depends on has changed; only good news is taken over."""
    result = earlier.get(rule.version)
    if result is None or result.outcome != "passed" or not rule.reads <= news.same:
        return None
    since = result.asked_of if result.asked_of.startswith("gate-") else run.gate_run_id
    return replace(result, asked_of=since)


def question(
    connection: duckdb.DuckDBPyConnection, rule: Rule, earlier: Mapping[str, GateResult], news: News
) -> Question:
    """Return the rule asked of new rows alone, where it held for the rows before and they cannot have become bad."""
    held = rule.version in earlier and earlier[rule.version].outcome == "passed"
    if not held or rule.table not in news.grown | news.changed or not (rule.bad_row or rule.unique_key):
        return Question(rule)
    others = rule.reads - {rule.table} - news.same
    if others and not _parent_lost_nothing(connection, rule, others, news):
        return Question(rule)
    return Question(rule, news.new_rows(rule.table))


def _parent_lost_nothing(
    connection: duckdb.DuckDBPyConnection, rule: Rule, others: Iterable[str], news: News
) -> bool:
    schema, _, rest = rule.parent.partition(".")
    name, _, key = rest.partition(".")
    if set(others) != {f"{schema}.{name}"}:
        return False
    if f"{schema}.{name}" in news.grown:
        return True
    table, column = f"lake.{identifier(schema)}.{identifier(name)}", identifier(key)
    try:
        lost = connection.execute(
            f"SELECT {column} FROM {table} AT (VERSION => {news.before}) EXCEPT SELECT {column} FROM {table} LIMIT 1"
        ).fetchone()
    except duckdb.Error:  # the parent was not there, or has another form
        return False
    return lost is None
