"""The gate: every rule on one pinned snapshot, and a release if nothing stops it.

Which rules there are stands in `suites.py`, how one is asked in `expectations.py`, who reads the outcome in
`lake/releases.py`. Great Expectations is imported only when there is something new to look at.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from lake import progress
from lake.company import Company
from lake.connection import ALIAS, Lake, table_exists
from lake.contracts.model import Contract
from lake.quality.expectations import Validator, Verdict
from lake.quality.fingerprint import input_fingerprint
from lake.quality.page import write_page
from lake.quality.rules import Rule
from lake.quality.suites import all_rules
from lake.releases import GateResult, GateRun, Release, create_tables, newest_gate_run, record_gate_run

SAMPLE_ROWS = 20
_PROVENANCE = ("_file", "_sheet", "_line")


def run_gate(company: Company, contracts: Sequence[Contract]) -> GateRun:
    """Ask every rule of the newest snapshot, and write the gate run, its results, a page and, if it passed, its release.

    Where nothing that the gate reads has changed since the newest gate run, that run stands, passed or failed, and is
    returned at once; a run in which a check could not run is always run again. Bad data raises nothing here: downstream
    asks `lake.releases.current_release`. Raises `StocklakeError` when Great Expectations itself cannot be trusted.
    """
    lake, rules = Lake.of(company), all_rules(contracts)
    snapshot_id = lake.snapshot()
    with lake.read(snapshot_id) as connection:
        fingerprint = input_fingerprint(connection, snapshot_id, rules)
        if standing := _standing(connection, fingerprint):
            return standing
        optional = {f"raw.{contract.dataset}" for contract in contracts if contract.optional}
        results = _examine(connection, rules, optional)
        as_of = _as_of(connection)
    run = _record(lake, snapshot_id, fingerprint, as_of, results)
    write_page(run, company.data_docs)
    return run


def _standing(connection: duckdb.DuckDBPyConnection, fingerprint: str) -> GateRun | None:
    """Return the newest gate run if it answered the same question; never an older one, whatever that said."""
    newest = newest_gate_run(connection)
    if newest is None or newest.input_fingerprint != fingerprint or newest.count("error"):
        return None
    if newest.passed and newest.release is None:
        return None
    return replace(newest, is_standing=True)


def _examine(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], optional: set[str]
) -> list[GateResult]:
    by_table: dict[str, list[Rule]] = {}
    for rule in rules:
        by_table.setdefault(rule.table, []).append(rule)
    present = _tables(connection)
    validator = Validator(connection)
    results: list[GateResult] = []
    with progress.stage("gate", total=len(by_table)) as stage:
        for table, its_rules in by_table.items():
            if table in present:
                verdicts = validator.validate(table, its_rules)
                results += [_result(connection, *pair) for pair in zip(its_rules, verdicts, strict=True)]
            elif table not in optional:
                results.append(_missing(table))
            stage.advance(note=table)
    return results


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_catalog = ?",
        [ALIAS],
    ).fetchall()
    return {row[0] for row in rows}


def _result(connection: duckdb.DuckDBPyConnection, rule: Rule, verdict: Verdict) -> GateResult:
    result = GateResult(
        suite=_suite(rule.table),
        table_name=rule.table,
        column_name=", ".join(rule.columns),
        check_name=rule.check,
        severity=rule.severity,
        outcome="passed",
        observed="",
        failing_rows=0,
    )
    if verdict.answer == "passed":
        return result
    if verdict.answer == "error":
        return replace(result, outcome="error", observed=verdict.message)
    try:
        count, sample = _failing(connection, rule)
    except duckdb.Error as error:
        return replace(result, outcome="error", observed=str(error).partition("\n")[0])
    if count == 0:
        return replace(result, outcome="error", observed="it failed, yet no row was found that fails it")
    return replace(
        result,
        outcome="failed" if rule.severity == "stop" else "warned",
        observed=_observed(rule, count, sample),
        failing_rows=count,
        sample=sample,
    )


def _failing(connection: duckdb.DuckDBPyConnection, rule: Rule) -> tuple[int, tuple[dict[str, Any], ...]]:
    """Count all offending rows and show some: the columns in question, those that name the row, its file and line."""
    counted = connection.execute(f"SELECT count(*) FROM ({rule.failing_sql})").fetchone()
    cursor = connection.execute(f"FROM ({rule.failing_sql}) LIMIT {SAMPLE_ROWS}")
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    shown = [n for n in ("finding", *rule.row_names, *rule.columns, *_PROVENANCE) if n in names] or names
    return (counted[0] if counted else 0), tuple({name: row[name] for name in shown} for row in rows)


def _observed(rule: Rule, count: int, sample: Sequence[dict[str, Any]]) -> str:
    findings = [str(row["finding"]) for row in sample if row.get("finding") is not None]
    if findings:
        more = count - min(len(findings), 3)
        return "; ".join(findings[:3]) + (f"; and {more:,} more" if more else "")
    return f"{count:,} {'row' if count == 1 else 'rows'} {rule.finding}"


def _missing(table: str) -> GateResult:
    suite = _suite(table)
    if suite == "raw":
        return GateResult(
            suite, table, "", "has been delivered", "stop", "failed", "no delivery has arrived", 0
        )
    return GateResult(
        suite, table, "", "exists", "stop", "error", "the table does not exist: build the lake first", 0
    )


def _suite(table: str) -> str:
    schema = table.partition(".")[0]
    return "ledger" if schema == "meta" else schema


def _as_of(connection: duckdb.DuckDBPyConnection) -> date | None:
    if not table_exists(connection, "marts", "as_of"):
        return None
    row = connection.execute("SELECT max(as_of) FROM lake.marts.as_of").fetchone()
    return row[0] if row else None


def _record(
    lake: Lake, snapshot_id: int, fingerprint: str, as_of: date | None, results: Sequence[GateResult]
) -> GateRun:
    """Write the run under the writer's lock; if a twin has just written the same one, return that."""
    with lake.write() as connection:
        create_tables(connection)
        if standing := _standing(connection, fingerprint):
            return standing
        counted = connection.execute("SELECT count(*), max(ran_at) FROM lake.meta.gate_run").fetchone()
        number, newest = counted if counted else (0, None)
        now = datetime.now(UTC).replace(tzinfo=None)
        # A clock that was set back must not make this run older than the one before it.
        ran_at = max(now, newest + timedelta(microseconds=1)) if newest else now
        passed = all(result.outcome in ("passed", "warned") for result in results) and as_of is not None
        run = GateRun(
            gate_run_id=f"gate-{number + 1}",
            snapshot_id=snapshot_id,
            ran_at=ran_at,
            passed=passed,
            as_of=as_of,
            input_fingerprint=fingerprint,
            results=tuple(results),
        )
        if passed and as_of is not None:
            release_id = f"{as_of}-s{snapshot_id}-{number + 1}"
            run = replace(run, release=Release(release_id, snapshot_id, run.gate_run_id, ran_at, as_of))
        record_gate_run(connection, run)
    return run
