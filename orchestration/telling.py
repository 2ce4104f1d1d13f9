"""When a stage begins and ends, its jobs are told as OpenLineage events: one job for each dataset, model, gate and plan.

Nothing here may fail or slow a stage: what goes wrong while facts are gathered is logged, and without settings nothing is
gathered at all. What an event looks like and how it is sent: `lake/lineage_events.py`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from lake import transform
from lake.catalogue.lineage import ColumnLineage, table_lineage, table_of
from lake.contracts.model import Contract
from lake.ingest import IngestReport
from lake.lineage_events import Assertion, Job, State, Table, Teller, run_id_of
from lake.quality.suites import all_rules
from lake.releases import GateRun
from orchestration.house import House

log = logging.getLogger(__name__)


@dataclass
class Told:
    """What a stage knows of its jobs when it ends; who has nothing to add leaves it as it is."""

    jobs: dict[str, Job] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """Job -> why it failed."""
    aborted: set[str] = field(default_factory=set)
    """Jobs that never ran, because something before them failed."""
    is_on: bool = False


@contextmanager
def told(
    context: dg.AssetExecutionContext, house: House, stage: str, jobs: Callable[[House], Sequence[Job]],
    failing: Callable[[House, Told], None] | None = None,
) -> Iterator[Told]:  # fmt: skip
    """Tell that jobs begin, and how each of them ended; `failing` finds out which of them did where the stage raises."""
    teller = teller_of(house)
    state = Told(is_on=teller.is_on)
    if not state.is_on:
        yield state
        return
    run, attempt = context.run.run_id, context.retry_number
    with _harmless():
        state.jobs = {job.name: job for job in jobs(house)}
    _tell_all(teller, state, run, attempt, stage, begins=True)
    try:
        yield state
    except BaseException as error:
        with _harmless():
            if failing is not None:
                failing(house, state)
        if not state.errors:
            state.errors = dict.fromkeys(state.jobs, str(error) or type(error).__name__)
        raise
    finally:
        _tell_all(teller, state, run, attempt, stage, begins=False)


def _tell_all(teller: Teller, state: Told, run: str, attempt: int, stage: str, *, begins: bool) -> None:
    with _harmless():
        for name, job in state.jobs.items():
            error = "" if begins else state.errors.get(name, "")
            now: State = (
                "START" if begins else "FAIL" if error else "ABORT" if name in state.aborted else "COMPLETE"
            )
            teller.tell(now, job, run_id_of(run, name, attempt), parent=(run, stage), error=error)


def teller_of(house: House) -> Teller:
    """Return who tells the events of a company; one per process, so that they keep their order."""
    company = house.company
    return _TELLERS.setdefault(company.home, Teller(company.settings.lineage, company.name))


_TELLERS: dict[Path, Teller] = {}


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # lineage is told beside the work, never instead of it
        log.warning("Lineage could not be told (%s: %s).", type(error).__name__, error)


# Ingest: one job for each dataset -----------------------------------------------------------------------------


def ingest_jobs(chosen: set[str]) -> Callable[[House], list[Job]]:
    """Return the jobs of an ingest of some datasets."""
    return lambda house: [_ingest_job(contract) for contract in house.contracts if contract.dataset in chosen]


def _ingest_job(contract: Contract, rows: int | None = None) -> Job:
    kind = contract.source.kind if contract.source else "file"
    place = contract.location.path or contract.dataset
    columns = tuple((c.name, c.duckdb_type, _described(c.description, c.unit)) for c in contract.columns)
    made = Table(
        f"raw.{contract.dataset}", columns=columns, description=contract.description, owner=contract.owner, rows=rows,
        version=contract.version,
    )  # fmt: skip
    return Job(f"ingest.{contract.dataset}", "INGEST", (Table(place, namespace=kind),), (made,))


def _described(text: str, unit: str | None) -> str:
    return f"{text} [{unit}]".strip() if unit else text


def ingested(state: Told, house: House, report: IngestReport) -> None:
    """Note how many rows each dataset took, and which of them have a problem."""
    if not state.is_on:
        return
    with _harmless():
        by_name = {contract.dataset: contract for contract in house.contracts}
        for name in list(state.jobs):
            dataset = name.removeprefix("ingest.")
            files = [file for file in report.files if file.dataset == dataset]
            state.jobs[name] = _ingest_job(by_name[dataset], sum(file.loaded for file in files))
            reasons = [file.reason or "refused" for file in files if file.status == "refused"]
            reasons += [str(error) for error in report.errors if dataset in str(error)]
            if reasons:
                state.errors[name] = "; ".join(reasons)


# dbt: one job for each model ----------------------------------------------------------------------------------


def model_jobs(house: House) -> list[Job]:
    """Return the jobs of a build: what each model reads and makes, as dbt's manifest has it."""
    manifest = transform.built_manifest(house.company, house.contracts)
    return _model_jobs(manifest, {}, {})


def _model_jobs(
    manifest: Mapping[str, Any], types: Mapping[str, Mapping[str, str]], lineage: ColumnLineage
) -> list[Job]:
    read = table_lineage(manifest)
    jobs = []
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        table = table_of(node)
        found = types.get(table, {})
        columns = tuple(
            (name, found.get(name) or column.get("data_type") or "", column.get("description") or "")
            for name, column in node["columns"].items()
        )
        made = Table(
            table, columns=columns, description=node.get("description") or "", sources=lineage.get(table, {})
        )
        jobs.append(Job(f"dbt.{table}", "MODEL", tuple(Table(one) for one in read[table]), (made,)))
    return jobs


def built(state: Told, house: House, manifest: Mapping[str, Any] | None, lineage: ColumnLineage) -> None:
    """Note the columns of what was built, with their types and where they come from."""
    if not state.is_on or manifest is None:
        return
    with _harmless():
        with house.lake.read() as connection:
            rows = connection.execute(
                "SELECT table_schema || '.' || table_name, column_name, data_type FROM information_schema.columns"
                " WHERE table_catalog = 'lake'"
            ).fetchall()
        types: dict[str, dict[str, str]] = {}
        for table, column, kind in rows:
            types.setdefault(table, {})[column] = kind
        state.jobs = {job.name: job for job in _model_jobs(manifest, types, lineage)}


def build_failed(house: House, state: Told) -> None:
    """Note which models failed, and which never ran behind them."""
    report = transform.newest_report(house.company)
    if report is None:
        return
    ended = {f"dbt.{node.schema}.{node.name}": node for node in report.models}
    state.errors = {
        name: " ".join(node.message.split())
        for name, node in ended.items()
        if node.status in ("error", "fail", "runtime error")
    }
    failed_tests = [node for node in report.tests if node.status in ("error", "fail")]
    if not state.errors and failed_tests:
        behind = {name for name, node in ended.items() if node.status == "skipped"}
        state.errors = dict.fromkeys(
            behind or state.jobs, "; ".join(f"test {node.name}: {node.message}" for node in failed_tests)
        )
    done = {name for name, node in ended.items() if node.status == "success"}
    state.aborted = set(state.jobs) - done - set(state.errors)


# Gate and plan ------------------------------------------------------------------------------------------------


def gate_jobs(house: House) -> list[Job]:
    """Return the gate's job: every table that it asks about."""
    tables = sorted({rule.table for rule in all_rules(house.contracts, house.company.settings.gate.history)})
    return [Job("gate", "GATE", tuple(Table(table) for table in tables), (Table("meta.release"),))]


def gated(state: Told, run: GateRun) -> None:
    """Note what each check found; a gate that did not pass is a job that failed."""
    if not state.is_on:
        return
    with _harmless():
        found: dict[str, list[Assertion]] = {}
        for result in run.results:
            column = result.column_name if result.column_name and "," not in result.column_name else None
            severity = "error" if result.severity == "stop" else "warn"
            one = Assertion(result.check_name, result.outcome == "passed", column, severity)  # type: ignore[arg-type]
            found.setdefault(result.table_name, []).append(one)
        job = state.jobs["gate"]
        inputs = [replace(table, assertions=tuple(found.get(table.name, ()))) for table in job.inputs]
        made = Table("meta.release", version=run.release.release_id if run.release else "")
        state.jobs["gate"] = replace(job, inputs=tuple(inputs), outputs=(made,) if run.release else ())
        if not run.passed:
            state.errors["gate"] = "; ".join(run.summary()[:3])


PLAN_READS = (
    "forecasts.demand_forecast", "forecasts.calibration", "forecasts.series_segment", "core.dim_location",
    "marts.inventory_position", "marts.supply_option", "core.dim_item", "core.dim_planner_setting",
)  # fmt: skip


def plan_jobs(house: House) -> list[Job]:
    """Return the plan's job."""
    return [Job("plan", "PLAN", tuple(map(Table, PLAN_READS)), (Table("plan.replenishment"),))]


def planned(state: Told, columns: Mapping[str, object], rows: int) -> None:
    """Note what the plan holds."""
    if state.is_on:
        fields = tuple((name, str(kind), "") for name, kind in columns.items())
        made = Table("plan.replenishment", columns=fields, rows=rows)
        state.jobs["plan"] = replace(state.jobs["plan"], outputs=(made,))
