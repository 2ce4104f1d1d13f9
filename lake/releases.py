"""Gate runs and releases: the snapshots at which every stop gate has passed, and who may read which.

Everything downstream of the gate reads one release, whole. If the newest gate run has failed, downstream stops.
How the gate comes to its results stands in `lake/quality`; nothing here imports Great Expectations.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import duckdb

from lake.connection import Lake, table_exists
from lake.errors import GateFailed, GateNotRun, NoRelease

Outcome = Literal["passed", "warned", "waived", "failed", "error"]
"""`error`: the check could not run, which says nothing about the data; it is no kind of `failed`, and cannot be waived."""

KEPT_ROWS = 10_000
"""Failing rows of one check that a gate run keeps; all of them are counted, and `failing_sql` returns them all."""

_TABLES = """
CREATE TABLE IF NOT EXISTS lake.meta.gate_run (
    gate_run_id VARCHAR, snapshot_id BIGINT, ran_at TIMESTAMP, passed BOOLEAN,
    checks_passed INTEGER, checks_failed INTEGER, checks_warned INTEGER, checks_errored INTEGER, as_of DATE,
    input_fingerprint VARCHAR
);
CREATE TABLE IF NOT EXISTS lake.meta.gate_result (
    gate_run_id VARCHAR, suite VARCHAR, table_name VARCHAR, column_name VARCHAR, check_name VARCHAR,
    severity VARCHAR, outcome VARCHAR, observed VARCHAR, failing_rows BIGINT, sample VARCHAR,
    check_id VARCHAR, rule_version VARCHAR, asked_of VARCHAR, failing_sql VARCHAR, waivers VARCHAR[]
);
CREATE TABLE IF NOT EXISTS lake.meta.gate_failure (
    gate_run_id VARCHAR, check_id VARCHAR, row_number BIGINT, failing_row VARCHAR
);
CREATE TABLE IF NOT EXISTS lake.meta.release (
    release_id VARCHAR, snapshot_id BIGINT, gate_run_id VARCHAR, released_at TIMESTAMP, as_of DATE, waivers VARCHAR[]
);
"""
_ADDED = {
    "gate_result": {
        "check_id": "VARCHAR", "rule_version": "VARCHAR", "asked_of": "VARCHAR", "failing_sql": "VARCHAR",
        "waivers": "VARCHAR[]",
    },
    "release": {"waivers": "VARCHAR[]"},
}  # fmt: skip
"""Columns that lakes made before them lack."""

# Clocks go wrong, snapshots do not; of two runs on one snapshot the later one knows the newer contracts.
_RUN_FIELDS = ("gate_run_id", "snapshot_id", "ran_at", "passed", "as_of", "input_fingerprint")
_NEWEST_RUN = f"""
SELECT {", ".join(_RUN_FIELDS)}
FROM lake.meta.gate_run ORDER BY snapshot_id DESC, ran_at DESC LIMIT 1
"""
_RESULT_FIELDS = (
    "suite, table_name, column_name, check_name, severity, outcome, observed, failing_rows, sample, check_id,"
    " rule_version, asked_of, failing_sql, waivers"
)
_RESULTS = """
SELECT * EXCLUDE gate_run_id FROM lake.meta.gate_result WHERE gate_run_id = ?
ORDER BY list_position(['error', 'failed', 'warned', 'waived', 'passed'], outcome), suite, table_name, column_name, check_name
"""
_ADD_RESULTS = f"""
INSERT INTO lake.meta.gate_result (gate_run_id, {_RESULT_FIELDS}) SELECT ?, {_RESULT_FIELDS} FROM (SELECT unnest(?::STRUCT(
    suite VARCHAR, table_name VARCHAR, column_name VARCHAR, check_name VARCHAR, severity VARCHAR, outcome VARCHAR,
    observed VARCHAR, failing_rows BIGINT, sample VARCHAR, check_id VARCHAR, rule_version VARCHAR, asked_of VARCHAR,
    failing_sql VARCHAR, waivers VARCHAR[])[], recursive := true))
"""


@dataclass(frozen=True)
class Release:
    """One snapshot that passed: `as_of` is the newest business date of its data, never the clock."""

    release_id: str
    snapshot_id: int
    gate_run_id: str
    released_at: datetime
    as_of: date
    waivers: tuple[str, ...] = ()
    """Ids of the waivers without which it would not have passed."""


@dataclass(frozen=True)
class GateResult:
    """What one check found. `failing_rows` counts all of them, `sample` shows up to 20; `lake.failures` has the rest."""

    suite: str
    table_name: str
    column_name: str
    """The column, or several joined by ', '; empty for a check of the whole table."""
    check_name: str
    severity: str
    outcome: Outcome
    observed: str
    """What is wrong, in words; empty where nothing is."""
    failing_rows: int
    sample: tuple[dict[str, Any], ...] = ()
    check_id: str = ""
    rule_version: str = ""
    asked_of: str = "all rows"
    """Or 'new rows': of the ones before, an earlier run said that they pass; or the run whose answer still holds."""
    failing_sql: str = ""
    """Query of the offending rows, at the run's snapshot; empty where the check passed."""
    waivers: tuple[str, ...] = ()

    def line(self) -> str:
        """Say it in one line: 'core.fct_demand.demand_units: 3 rows below 0 (stop)'."""
        one_column = self.column_name and "," not in self.column_name
        where = f"{self.table_name}.{self.column_name}" if one_column else self.table_name
        if self.outcome == "error":
            return f"{where}: check {self.check_name!r} could not run: {self.observed} (error)"
        if self.outcome == "waived":
            return f"{where}: {self.observed or self.check_name} (waived: {', '.join(self.waivers)})"
        return f"{where}: {self.observed or self.check_name} ({self.severity})"


@dataclass(frozen=True)
class GateRun:
    """One run of the gate on one snapshot, and the release it made if nothing stopped it."""

    gate_run_id: str
    snapshot_id: int
    ran_at: datetime
    passed: bool
    as_of: date | None
    input_fingerprint: str
    results: tuple[GateResult, ...] = field(repr=False)
    release: Release | None = None
    is_standing: bool = False
    """True: nothing had changed since this run, so it was not run again."""

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return Counter(result.outcome for result in self.results)[outcome]

    @property
    def status(self) -> Literal["passed", "failed", "could not run"]:
        """Whether the data is good, is bad, or nobody knows because a check could not run and none failed."""
        if self.passed:
            return "passed"
        return "could not run" if self.count("error") and not self.count("failed") else "failed"

    @property
    def exit_code(self) -> int:
        """What a command line returns of it."""
        return {"passed": 0, "failed": GateFailed.exit_code, "could not run": GateNotRun.exit_code}[
            self.status
        ]

    def problems(self) -> list[GateResult]:
        """Return what did not pass, the worst first."""
        rank = {"error": 0, "failed": 1, "warned": 2, "waived": 3}
        return sorted((r for r in self.results if r.outcome in rank), key=lambda r: rank[r.outcome])

    def summary(self) -> list[str]:
        """Return the lines that a planner reads: the outcome, then one line for each problem."""
        words: dict[Outcome, str] = {
            "passed": "checks passed", "failed": "failed", "error": "could not run", "warned": "warned",
            "waived": "waived",
        }  # fmt: skip
        parts = [f"{self.count(outcome)} {text}" for outcome, text in words.items() if self.count(outcome)]
        head = f"Gate {self.status}: {', '.join(parts)} (as of {self.as_of or 'unknown'})"
        return [head, *(problem.line() for problem in self.problems())]


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of gate runs, gate results and releases where they are missing."""
    connection.execute(_TABLES)
    for table, columns in _ADDED.items():
        present = connection.execute(f"SELECT * FROM lake.meta.{table} LIMIT 0").description or []
        for name in columns.keys() - {column[0] for column in present}:
            connection.execute(f"ALTER TABLE lake.meta.{table} ADD COLUMN {name} {columns[name]}")


def list_releases(lake: Lake) -> list[Release]:
    """Return all releases, newest first."""
    with lake.read() as connection:
        return _releases(connection)


def release(lake: Lake, release_id: str) -> Release:
    """Return one release; raise `NoRelease` if there is none of that id."""
    known = list_releases(lake)
    for candidate in known:
        if candidate.release_id == release_id:
            return candidate
    raise NoRelease(
        f"There is no release {release_id!r} (newest: {known[0].release_id if known else 'none'}): "
        "see `stocklake releases list`."
    )


def current_release(lake: Lake, *, last_good: bool = False) -> Release:
    """Return the release that downstream has to read.

    Raises `NoRelease` when nothing has ever passed, and `GateFailed` when the newest gate run failed, unless
    `last_good` says that a person accepts the release before it.
    """
    with lake.read() as connection:
        releases = _releases(connection)
        newest = newest_gate_run(connection)
    if newest and not newest.passed and not last_good:
        raise _refusal(newest)
    if not releases:
        raise NoRelease(
            "No release exists yet: run `stocklake run`, which builds the lake and passes it through its gate."
        )
    return releases[0]


def _refusal(run: GateRun) -> GateFailed | GateNotRun:
    problems = [result.line() for result in run.problems() if result.outcome in ("error", "failed")]
    found = (problems[0] if problems else "") + (
        f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    )
    if run.status == "could not run":
        return GateNotRun(
            f"Gate run {run.gate_run_id} could not run, so nobody knows whether this data is good: {found}; "
            "see `stocklake gate list`, put right what broke and run again, or take the release before it with --last-good."
        )
    return GateFailed(
        f"Gate run {run.gate_run_id} failed, so nothing is planned from this data: {found}; see `stocklake gate list`, "
        "correct the data and run again, waive the check, or accept the release before it with --last-good."
    )


def gate_results(lake: Lake, gate_run_id: str | None = None) -> list[GateResult]:
    """Return the results of a gate run (default: the newest), problems first; empty if there is no such run."""
    with lake.read() as connection:
        if gate_run_id is None:
            newest = newest_gate_run(connection)
            return list(newest.results) if newest else []
        return _results(connection, gate_run_id) if table_exists(connection, "meta", "gate_result") else []


def newest_gate_run(connection: duckdb.DuckDBPyConnection) -> GateRun | None:
    """Return the newest gate run with its results and release, as the connection sees the lake."""
    if not table_exists(connection, "meta", "gate_run"):
        return None
    row = connection.execute(_NEWEST_RUN).fetchone()
    if row is None:
        return None
    made = [item for item in _releases(connection) if item.gate_run_id == row[0]]
    results, first = tuple(_results(connection, row[0])), made[0] if made else None
    return GateRun(**dict(zip(_RUN_FIELDS, row, strict=True)), results=results, release=first)


def newest_gate_failed(lake: Lake) -> bool:
    """Say whether the newest gate run failed; then marts are built anew, whatever their inputs say."""
    with lake.read() as connection:
        newest = newest_gate_run(connection)
    return newest is not None and not newest.passed


def record_gate_run(connection: duckdb.DuckDBPyConnection, run: GateRun) -> None:
    """Write a gate run, its results and its release; the caller holds the transaction."""
    counts = [
        run.count("passed"),
        run.count("failed"),
        run.count("warned") + run.count("waived"),
        run.count("error"),
    ]
    connection.execute(
        "INSERT INTO lake.meta.gate_run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [run.gate_run_id, run.snapshot_id, run.ran_at, run.passed, *counts, run.as_of, run.input_fingerprint],
    )
    rows = [{**vars(result), "sample": json.dumps(result.sample, default=str)} for result in run.results]
    connection.execute(_ADD_RESULTS, [run.gate_run_id, rows])
    if run.release:
        made = run.release
        connection.execute(
            "INSERT INTO lake.meta.release BY NAME SELECT ? AS release_id, ? AS snapshot_id, ? AS gate_run_id,"
            " ? AS released_at, ? AS as_of, ?::VARCHAR[] AS waivers",
            [made.release_id, made.snapshot_id, made.gate_run_id, made.released_at, made.as_of, list(made.waivers)],
        )  # fmt: skip


def _releases(connection: duckdb.DuckDBPyConnection) -> list[Release]:
    if not table_exists(connection, "meta", "release"):
        return []
    rows = _dicts(connection, "SELECT * FROM lake.meta.release ORDER BY snapshot_id DESC, released_at DESC")
    return [Release(**row) for row in rows]


def _results(connection: duckdb.DuckDBPyConnection, gate_run_id: str) -> list[GateResult]:
    rows = _dicts(connection, _RESULTS, [gate_run_id])
    return [GateResult(**{**row, "sample": tuple(json.loads(row["sample"]))}) for row in rows]


def _dicts(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None
) -> list[dict[str, Any]]:
    """Return rows by column name, lists as tuples, without what is null: then the default holds."""
    cursor = connection.execute(query, parameters or [])
    names = [column[0] for column in cursor.description or []]
    return [
        {n: tuple(v) if isinstance(v, list) else v for n, v in zip(names, row, strict=True) if v is not None}
        for row in cursor.fetchall()
    ]
