"""Releases: the snapshots at which every stop gate has passed, and who may read which.

Everything downstream of the gate reads one release, whole. If a newer gate run has failed, downstream stops.
"""

from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from lake.connection import Lake, table_exists
from lake.errors import GateFailed, NoRelease

_TABLES = """
CREATE TABLE IF NOT EXISTS lake.meta.gate_run (
    gate_run_id VARCHAR, snapshot_id BIGINT, ran_at TIMESTAMP, passed BOOLEAN,
    checks_passed INTEGER, checks_failed INTEGER, checks_warned INTEGER, checks_errored INTEGER, as_of DATE,
    input_fingerprint VARCHAR
);
CREATE TABLE IF NOT EXISTS lake.meta.gate_result (
    gate_run_id VARCHAR, suite VARCHAR, table_name VARCHAR, column_name VARCHAR, check_name VARCHAR,
    severity VARCHAR, outcome VARCHAR, observed VARCHAR, failing_rows BIGINT, sample VARCHAR
);
CREATE TABLE IF NOT EXISTS lake.meta.release (
    release_id VARCHAR, snapshot_id BIGINT, gate_run_id VARCHAR, released_at TIMESTAMP, as_of DATE
);
"""


@dataclass(frozen=True)
class Release:
    """One snapshot that passed: `as_of` is the newest business date of its data, never the clock."""

    release_id: str
    snapshot_id: int
    gate_run_id: str
    released_at: datetime
    as_of: date


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of gate runs, gate results and releases where they are missing."""
    connection.execute(_TABLES)


def list_releases(lake: Lake) -> list[Release]:
    """Return all releases, newest first."""
    with lake.read() as connection:
        if not table_exists(connection, "meta", "release"):
            return []
        rows = connection.execute(
            "SELECT release_id, snapshot_id, gate_run_id, released_at, as_of FROM lake.meta.release"
            " ORDER BY snapshot_id DESC, released_at DESC"
        ).fetchall()
    return [Release(*row) for row in rows]


def current_release(lake: Lake, *, last_good: bool = False) -> Release:
    """Return the release that downstream has to read.

    Raises `NoRelease` when nothing has ever passed, and `GateFailed` when the newest gate run failed, unless
    `last_good` says that a person accepts the release before it.
    """
    releases = list_releases(lake)
    with lake.read() as connection:
        newest = None
        if table_exists(connection, "meta", "gate_run"):
            newest = connection.execute(
                "SELECT gate_run_id, passed, checks_failed + checks_errored FROM lake.meta.gate_run"
                " ORDER BY ran_at DESC LIMIT 1"
            ).fetchone()
    if newest and not newest[1] and not last_good:
        raise GateFailed(
            f"Gate run {newest[0]} failed {newest[2]} checks, so nothing is planned from this data: "
            "see `stocklake status`, correct the data and run again, or accept the release before it with --last-good."
        )
    if not releases:
        raise NoRelease(
            "No release exists yet: run `stocklake run`, which builds the lake and passes it through its gate."
        )
    return releases[0]
