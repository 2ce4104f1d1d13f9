"""`stocklake run`: everything that must stand before Dagster starts, then the daily job in this process."""

import logging
import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

from lake.company import Company
from lake.errors import CompanyError, GateNotRun, InputError, StocklakeError
from lake.ingest import IngestReport
from orchestration.alerts import send
from orchestration.display import progress_display
from orchestration.instance import environment, open_instance

if TYPE_CHECKING:
    import dagster as dg

    from lake.period import Period


def run_company(company: Company, *, last_good: bool = False) -> int:
    """Run the whole way for a company and return the exit code: 0, 1, 2 for bad input, 3 for a failed gate, 4 for one that could not run.

    Raises `InputError` for what is wrong before anything starts: company, home, contracts.
    """
    os.environ.update(environment(company))
    write_exports(company)
    with progress_display():
        try:
            prepare(company)
        except StocklakeError as error:
            send(company, "the run could not start", str(error))
            raise
        return _run_job(company, last_good=last_good)


def ingest_company(
    company: Company, datasets: list[str] | None = None, period: "Period | None" = None
) -> IngestReport:
    """Land and load what has arrived, without Dagster."""
    from uuid import uuid4

    from lake.connection import Lake
    from lake.contracts.reading import load_contracts
    from lake.ingest import ingest
    from orchestration import journal

    write_exports(company)
    contracts = load_contracts(company)
    _known(datasets, {contract.dataset for contract in contracts})
    run_id = str(uuid4())
    with progress_display(), journal.step(Lake.of(company), run_id, "raw") as record:
        report = ingest(company, contracts, run_id=run_id, datasets=datasets, period=period)
        record.counts |= report.totals
        record.message = "; ".join(report.problems)
    return report


def write_exports(company: Company) -> None:
    """Let the company's own program write its exports into the inbox, if it has one (the example's generator).

    It runs as a program with its own interpreter; the platform imports nothing of it.
    """
    if not company.settings.data_program:
        return
    program = company.folder / company.settings.data_program
    if not program.is_file():
        raise CompanyError(
            f"{company.folder / 'company.yaml'} names data_program {program.name}, which is not there: add it or remove the key."
        )
    command = [
        sys.executable,
        str(program),
        "--out",
        str(company.inbox),
        "--truth",
        str(company.home / "truth"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompanyError(f"{program} failed with exit code {done.returncode}: {done.stderr.strip()[-500:]}")


def prepare(company: Company) -> None:
    """Lint the contracts, see that the feature definitions are applied, and parse dbt, before definitions load."""
    from features.repository import require_applied
    from lake import transform
    from lake.contracts.reading import load_contracts

    contracts = load_contracts(company)
    transform.parse(company, contracts)
    require_applied(company)


def _run_job(company: Company, *, last_good: bool) -> int:
    from orchestration.build import build_definitions
    from orchestration.house import DAILY
    from orchestration.orphans import fail_dead_runs, process_tag

    _quiet()
    definitions = build_definitions(company, last_good=last_good)
    with open_instance(company) as instance:
        fail_dead_runs(instance)
        result = definitions.resolve_job_def(DAILY).execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags=process_tag(),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return 0 if result.success else _exit_code(company, result)


def _exit_code(company: Company, result: "dg.ExecuteInProcessResult") -> int:
    """Return the code that the first failure carries, and say on standard error what failed."""
    from lake.connection import Lake
    from orchestration import journal

    for step in journal.run_steps(Lake.of(company), result.run_id):  # another run may be newer
        if step.message:
            print(f"stocklake: {step.stage}: {step.message}", file=sys.stderr)
            exit_code = int(step.counts.get("exit_code", 1))
            what = "could not run its checks" if exit_code == GateNotRun.exit_code else "failed"
            send(company, f"run {result.run_id} {what} in {step.stage}", step.message)
            return exit_code
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            print(f"stocklake: {event.step_key}: {event.step_failure_data.error.message}", file=sys.stderr)
    return 1


def _known(datasets: list[str] | None, known: set[str]) -> None:
    unknown = sorted(set(datasets or []) - known)
    if unknown:
        raise InputError(
            f"No contract has dataset {', '.join(unknown)}: choose among {', '.join(sorted(known))}."
        )


def _quiet() -> None:
    """Keep third parties' warnings out of the planner's summary; Dagster's event log has them all."""
    warnings.filterwarnings("ignore")
    for name in ("dagster", "dagster.code_server", "great_expectations", "feast", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
