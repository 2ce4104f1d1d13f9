"""What the gate looked at, in one short text: equal fingerprints mean equal answers.

The lake is not read for it: DuckLake's own list of snapshots says when a table last changed.
"""

import hashlib
from collections.abc import Sequence

import duckdb

from lake.connection import metadata, table_exists
from lake.quality.rules import Rule

_WATCHED = ("raw", "core", "marts")
_ALSO = ("staging.crosswalk", "staging.unmatched_value")
"""What matching makes. The views of staging hold nothing of their own."""

_LAST_CHANGE = """
WITH objects AS (
    SELECT table_id AS id, schema_id, table_name AS name FROM {metadata}.ducklake_table
    UNION SELECT view_id, schema_id, view_name FROM {metadata}.ducklake_view
), watched AS (
    SELECT DISTINCT id FROM objects JOIN {metadata}.ducklake_schema USING (schema_id)
    WHERE schema_name IN $schemas OR schema_name || '.' || name IN $also
), change AS (
    SELECT snapshot_id, unnest(what_of_kind) AS what
    FROM (
        SELECT snapshot_id, unnest(map_keys(changes)) AS kind, unnest(map_values(changes)) AS what_of_kind
        FROM lake.snapshots() WHERE snapshot_id <= $snapshot
    ) WHERE kind <> 'merge_adjacent'   -- files, not rows
)
SELECT coalesce(max(snapshot_id), 0) FROM change
WHERE try_cast(what AS BIGINT) IN (FROM watched)                                    -- by id: inserted, deleted, altered, dropped
   OR (try_cast(what AS BIGINT) IS NULL AND split_part(what, '.', 1) IN $schemas)   -- by name: created
"""

_LEDGER = """
SELECT count(*), coalesce(bit_xor(hash(dataset, file_name, content_sha256, status, rows_read, loaded, quarantined,
    duplicate, unchanged)), 0)
FROM lake.meta.delivery WHERE status <> 'duplicate_delivery'   -- a skipped delivery changes nothing that the gate reads
"""


def last_change(connection: duckdb.DuckDBPyConnection, snapshot_id: int) -> str:
    """Return which snapshot, up to `snapshot_id`, changed raw, core, marts or the crosswalk last.

    Where snapshots after it have expired, nobody can know: then the answer holds for `snapshot_id` alone.
    """
    parameters = {"schemas": list(_WATCHED), "also": list(_ALSO), "snapshot": snapshot_id}
    row = connection.execute(_LAST_CHANGE.replace("{metadata}", metadata(connection)), parameters).fetchone()
    changed = int(row[0]) if row else 0
    kept = connection.execute(
        "SELECT count(*) FROM lake.snapshots() WHERE snapshot_id > ? AND snapshot_id <= ?",
        [changed, snapshot_id],
    ).fetchone()
    if kept is None or kept[0] != snapshot_id - changed:
        return f"unknown at {snapshot_id}"
    return str(changed)


def input_fingerprint(
    connection: duckdb.DuckDBPyConnection, snapshot_id: int, rules: list[Rule], waivers: Sequence[str] = ()
) -> str:
    """Return the fingerprint of raw, core, marts and the ledger at `snapshot_id`, of the rules asked of them and of the
    ids of the waivers that count.

    `connection` reads the lake at its newest state or at the snapshot. Contracts and suites count through the rules
    made from them.
    """
    ledger = connection.execute(_LEDGER).fetchone() if table_exists(connection, "meta", "delivery") else None
    parts = (last_change(connection, snapshot_id), repr(ledger), repr(rules), repr(sorted(waivers)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
