"""What gate runs found, to look at again: failing rows, and how each check ended in the last runs."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from lake.connection import Lake, table_exists
from lake.errors import InputError
from lake.releases import GateResult, newest_gate_run


def failing_rows(lake: Lake, check_id: str, *, everything: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the rows that failed a check in the newest gate run, whole; a generator that must be used up.

    They are those that the run kept (`KEPT_ROWS` at most), or with `everything` the check's own query, asked again of
    the run's snapshot. Raises `InputError` for a check that the run does not have, or that did not fail in it.
    """
    with lake.read() as connection:
        run = newest_gate_run(connection)
        result = next((r for r in run.results if r.check_id == check_id), None) if run else None
        if run is None or result is None:
            raise InputError(
                f"The newest gate run has no check {check_id!r}: see `stocklake gate list --all` for the ids."
            )
        if not everything:
            kept = _kept(connection, run.gate_run_id, check_id)
            yield from (json.loads(row) for row in kept)
            return
    if not result.failing_sql:
        return
    with lake.read(run.snapshot_id) as connection:
        cursor = connection.execute(result.failing_sql)
        names = [column[0] for column in cursor.description or []]
        while rows := cursor.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)


def kept_rows(
    connection: duckdb.DuckDBPyConnection, gate_run_id: str, result: GateResult, limit: int
) -> list[dict[str, Any]]:
    """Return the first of the rows that a run kept of a check."""
    return [json.loads(row) for row in _kept(connection, gate_run_id, result.check_id)[:limit]]


def outcomes(connection: duckdb.DuckDBPyConnection, runs: int) -> dict[str, list[tuple[str, str]]]:
    """Return of each check its (gate run, outcome) in the last runs, the oldest first."""
    if not table_exists(connection, "meta", "gate_result"):
        return {}
    rows = connection.execute(
        "WITH last AS (FROM lake.meta.gate_run ORDER BY snapshot_id DESC, ran_at DESC LIMIT ?)"
        " SELECT check_id, gate_run_id, outcome FROM lake.meta.gate_result JOIN last USING (gate_run_id)"
        " WHERE check_id IS NOT NULL ORDER BY last.snapshot_id, last.ran_at",
        [runs],
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for check_id, gate_run_id, outcome in rows:
        found.setdefault(check_id, []).append((gate_run_id, outcome))
    return found


def _kept(connection: duckdb.DuckDBPyConnection, gate_run_id: str, check_id: str) -> list[str]:
    if not table_exists(connection, "meta", "gate_failure"):
        return []
    rows = connection.execute(
        "SELECT failing_row FROM lake.meta.gate_failure WHERE gate_run_id = ? AND check_id = ? ORDER BY row_number",
        [gate_run_id, check_id],
    ).fetchall()
    return [row[0] for row in rows]
