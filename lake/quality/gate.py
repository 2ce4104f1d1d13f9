"""The gate: every rule on one pinned snapshot, and a release if nothing stops it.

Which rules there are stands in `suites.py`, how one is asked in `expectations.py`, of which rows in `news.py`, who lets
one pass in `waivers.py`, who reads the outcome in `lake/releases.py`. Great Expectations is imported only when there is
something new to look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import duckdb
import pyarrow as pa

from lake import progress
from lake.company import Company
from lake.connection import Lake, table_exists
from lake.contracts.model import Contract
from lake.failures import kept_rows, outcomes
from lake.quality.expectations import Question, Validator, Verdict
from lake.quality.fingerprint import input_fingerprint
from lake.quality.news import News, news_since, question, still_true
from lake.quality.page import ROWS_SHOWN, RUNS_SHOWN, Background, write_page
from lake.quality.rules import Rule
from lake.quality.suites import all_rules
from lake.quality.waivers import Waiver, active_waivers, list_waivers, today
from lake.releases import (
    KEPT_ROWS,
    GateResult,
    GateRun,
    Outcome,
    Release,
    create_tables,
    newest_gate_run,
    record_gate_run,
)

SAMPLE_ROWS = 20
_PROVENANCE = ("_file", "_sheet", "_line")


@dataclass
class _Found:
    """What asking brought: the results, and the failing rows of each check as JSON."""

    results: list[GateResult] = field(default_factory=list)
    rows: dict[str, pa.Table] = field(default_factory=dict)


def run_gate(company: Company, contracts: Sequence[Contract], *, full: bool = False) -> GateRun:
    """Ask every rule of the newest snapshot, and write the gate run, its results, a page and, if it passed, its release.

    Where nothing that the gate reads has changed since the newest gate run, that run stands, passed or failed, and is
    returned at once; a run in which a check could not run is always run again. Otherwise rules on single rows and on
    uniqueness are asked of the rows that are new since that run, if they held in it, and rules whose tables have not
    changed are not asked again; `full` asks every rule of every row. Bad data raises nothing here: downstream asks
    `lake.releases.current_release`. Raises `StocklakeError` when Great Expectations itself cannot be trusted.
    """
    lake, rules = Lake.of(company), all_rules(contracts, company.settings.gate.history)
    snapshot_id = lake.snapshot()
    with lake.read(snapshot_id) as connection:
        waivers = active_waivers(connection, today())
        fingerprint = input_fingerprint(connection, snapshot_id, rules, [w.waiver_id for w in waivers])
        if not full and (standing := _standing(connection, fingerprint)):
            return standing
        earlier = None if full else newest_gate_run(connection)
        optional = {f"raw.{contract.dataset}" for contract in contracts if contract.optional}
        if company.settings.matching is None:
            optional |= {"staging.crosswalk", "staging.unmatched_value"}
        found = _examine(connection, rules, optional, snapshot_id, earlier, waivers)
        as_of = _as_of(connection)
    run = _record(lake, snapshot_id, fingerprint, as_of, found, full=full)
    write_page(run, company.data_docs, _background(lake, run))
    return run


def _background(lake: Lake, run: GateRun) -> Background:
    with lake.read() as connection:
        rows = {
            result.check_id: kept_rows(connection, run.gate_run_id, result, ROWS_SHOWN)
            for result in run.problems()
            if result.failing_rows
        }
        waivers = list_waivers(connection)
        return Background(rows, outcomes(connection, RUNS_SHOWN), waivers, today())


def _standing(connection: duckdb.DuckDBPyConnection, fingerprint: str) -> GateRun | None:
    """Return the newest gate run if it answered the same question; never an older one, whatever that said."""
    newest = newest_gate_run(connection)
    if newest is None or newest.input_fingerprint != fingerprint or newest.count("error"):
        return None
    if newest.passed and newest.release is None:
        return None
    return replace(newest, is_standing=True)


def _examine(
    connection: duckdb.DuckDBPyConnection,
    rules: Sequence[Rule],
    optional: set[str],
    snapshot_id: int,
    earlier: GateRun | None,
    waivers: Sequence[Waiver],
) -> _Found:
    by_table: dict[str, list[Rule]] = {}
    for rule in rules:
        by_table.setdefault(rule.table, []).append(rule)
    present = {table for table in by_table if table_exists(connection, *table.split("."))}
    news, known = (
        News(0, snapshot_id),
        {result.rule_version: result for result in earlier.results} if earlier else {},
    )
    if earlier is not None:
        news = news_since(connection, earlier.snapshot_id, snapshot_id)
    validator, found = Validator(connection), _Found()
    with progress.stage("gate", total=len(by_table)) as stage:
        for table, its_rules in by_table.items():
            if table in present:
                held = {
                    rule: result
                    for rule in its_rules
                    if earlier is not None and (result := still_true(rule, known, news, earlier))
                }
                found.results += held.values()
                asked = [question(connection, rule, known, news) for rule in its_rules if rule not in held]
                verdicts = validator.validate(asked) if asked else []
                for one, verdict in zip(asked, verdicts, strict=True):
                    _note(connection, found, one, verdict, waivers)
            elif table not in optional:
                found.results.append(_missing(table))
            stage.advance(note=table)
    return found


def _note(
    connection: duckdb.DuckDBPyConnection,
    found: _Found,
    asked: Question,
    verdict: Verdict,
    waivers: Sequence[Waiver],
) -> None:
    """Add the result of a question, and the rows that fail it."""
    rule = asked.rule
    result = GateResult(
        suite=_suite(rule.table),
        table_name=rule.table,
        column_name=", ".join(rule.columns),
        check_name=rule.check,
        severity=rule.severity,
        outcome="passed",
        observed="",
        failing_rows=0,
        check_id=rule.check_id,
        rule_version=rule.version,
        asked_of="new rows" if asked.rows else "all rows",
    )
    if verdict.answer == "error":
        result = replace(result, outcome="error", observed=verdict.message)
    elif verdict.answer == "failed":
        try:
            sample = _sample(connection, rule, asked.failing_sql)
            found.rows[rule.check_id] = _kept(connection, asked.failing_sql)
            result = replace(
                result,
                outcome="failed" if rule.severity == "stop" else "warned",
                observed=_observed(rule, verdict.failing_rows, sample),
                failing_rows=verdict.failing_rows,
                sample=sample,
                failing_sql=asked.failing_sql,
            )
            result = _waived(connection, result, [w for w in waivers if w.check_id == rule.check_id])
        except duckdb.Error as error:
            result = replace(result, outcome="error", observed=str(error).partition("\n")[0])
    found.results.append(result)


def _sample(
    connection: duckdb.DuckDBPyConnection, rule: Rule, failing_sql: str
) -> tuple[dict[str, Any], ...]:
    """Show some offending rows: the columns in question, those that name the row, its file and line."""
    cursor = connection.execute(f"FROM ({failing_sql}) LIMIT {SAMPLE_ROWS}")
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    shown = [n for n in ("finding", *rule.row_names, *rule.columns, *_PROVENANCE) if n in names] or names
    return tuple({name: row[name] for name in shown} for row in rows)


def _kept(connection: duckdb.DuckDBPyConnection, failing_sql: str) -> pa.Table:
    """Return the offending rows whole, each as JSON, up to `KEPT_ROWS` of them."""
    return connection.execute(
        "SELECT row_number() OVER () AS row_number, CAST(to_json(f) AS VARCHAR) AS failing_row"
        f" FROM (FROM ({failing_sql}) LIMIT {KEPT_ROWS}) AS f"
    ).to_arrow_table()


def _waived(
    connection: duckdb.DuckDBPyConnection, result: GateResult, waivers: Sequence[Waiver]
) -> GateResult:
    """Let a failure pass if waivers are for all of its rows; where they are for some, it stays and says for how many."""
    if not waivers:
        return result
    covered = " OR ".join(f"({waiver.condition})" for waiver in waivers)
    row = connection.execute(f"SELECT count(*) FROM ({result.failing_sql}) WHERE NOT ({covered})").fetchone()
    left, ids = row[0] if row else 0, tuple(waiver.waiver_id for waiver in waivers)
    if not left:
        return replace(result, outcome="waived", waivers=ids)
    observed = f"{result.observed} (beyond {', '.join(ids)}: {left:,})"
    return replace(result, observed=observed, waivers=ids)


def _observed(rule: Rule, count: int, sample: Sequence[dict[str, Any]]) -> str:
    findings = [str(row["finding"]) for row in sample if row.get("finding") is not None]
    if findings:
        more = count - min(len(findings), 3)
        return "; ".join(findings[:3]) + (f"; and {more:,} more" if more else "")
    return f"{count:,} {'row' if count == 1 else 'rows'} {rule.finding}"


def _missing(table: str) -> GateResult:
    """Return that a table is not there: nobody delivered raw's, which is bad data; nobody built the others."""
    suite = _suite(table)
    if suite == "raw":
        check, outcome, said = "has been delivered", "failed", "no delivery has arrived"
    else:
        check, outcome, said = "exists", "error", "the table does not exist: build the lake first"
    check_id = Rule(table, check, "", "").check_id
    return GateResult(suite, table, "", check, "stop", cast("Outcome", outcome), said, 0, check_id=check_id)


def _suite(table: str) -> str:
    schema = table.partition(".")[0]
    return "ledger" if schema == "meta" else schema


def _as_of(connection: duckdb.DuckDBPyConnection) -> date | None:
    if not table_exists(connection, "marts", "as_of"):
        return None
    row = connection.execute("SELECT max(as_of) FROM lake.marts.as_of").fetchone()
    return row[0] if row else None


def _record(
    lake: Lake, snapshot_id: int, fingerprint: str, as_of: date | None, found: _Found, *, full: bool
) -> GateRun:
    """Write the run under the writer's lock; if a twin has just written the same one, return that."""
    with lake.write() as connection:
        create_tables(connection)
        if not full and (standing := _standing(connection, fingerprint)):
            return standing
        counted = connection.execute("SELECT count(*), max(ran_at) FROM lake.meta.gate_run").fetchone()
        number, newest = counted if counted else (0, None)
        now = datetime.now(UTC).replace(tzinfo=None)
        # A clock that was set back must not make this run older than the one before it.
        ran_at = max(now, newest + timedelta(microseconds=1)) if newest else now
        good = all(result.outcome in ("passed", "warned", "waived") for result in found.results)
        run = GateRun(
            gate_run_id=f"gate-{number + 1}",
            snapshot_id=snapshot_id,
            ran_at=ran_at,
            passed=good and as_of is not None,
            as_of=as_of,
            input_fingerprint=fingerprint,
            results=tuple(found.results),
        )
        if good and as_of is not None:
            release_id = f"{as_of}-s{snapshot_id}-{number + 1}"
            under = [r.waivers for r in found.results if r.outcome == "waived" and r.severity == "stop"]
            waivers = tuple(sorted({one for ids in under for one in ids}))
            run = replace(
                run, release=Release(release_id, snapshot_id, run.gate_run_id, ran_at, as_of, waivers)
            )
        record_gate_run(connection, run)
        if found.rows:
            kept = pa.concat_tables(
                rows.append_column("check_id", pa.array([check_id] * len(rows), pa.string()))
                for check_id, rows in found.rows.items()
            )
            connection.register("kept_rows", kept)
            connection.execute(
                "INSERT INTO lake.meta.gate_failure SELECT ?, check_id, row_number, failing_row FROM kept_rows",
                [run.gate_run_id],
            )
    return run
