"""`stocklake gate`: what the gate asks, what it found, and waivers."""

from datetime import datetime
from typing import Annotated, Any

import typer

from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
)

app = typer.Typer(no_args_is_help=True, help="Checks on raw, core and marts: what they found, and waivers.")

CheckArgument = Annotated[str, typer.Argument(help="Id of the check, as `stocklake gate list` shows it.")]
ByOption = Annotated[str, typer.Option(help="Who says so.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]


@app.command("run")
def run(
    full: Annotated[
        bool, typer.Option("--full", help="Ask every check of every row, not only of what is new.")
    ] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the gate now, without building anything: exit code 3 if data failed, 4 if a check could not run."""
    from lake.contracts.reading import load_contracts
    from lake.quality.gate import run_gate

    opened = open_company(company, home)
    done = run_gate(opened, load_contracts(opened), full=full)
    told = {
        "gate_run": done.gate_run_id,
        "status": done.status,
        "problems": [p.line() for p in done.problems()],
    }
    told |= {"release": done.release.release_id if done.release else None}
    output(told, as_json, lambda: [*done.summary(), *_under(done)])
    raise typer.Exit(done.exit_code)


def _under(run: Any) -> list[str]:
    under = run.release.waivers if run.release else ()
    return [f"Release {run.release.release_id} is made under waivers: {', '.join(under)}"] if under else []


@app.command("list")
def list_checks(
    everything: Annotated[bool, typer.Option("--all", help="Checks that passed too.")] = False,
    table: Annotated[str | None, typer.Option(help="Only checks of this table, schema.table.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the checks of the newest gate run, problems first."""
    from lake.releases import gate_results

    results = [
        result
        for result in gate_results(lake_of(open_company(company, home)))
        if (everything or result.outcome != "passed") and table in (None, result.table_name)
    ]
    rows = [
        {
            "id": result.check_id,
            "outcome": "could not run" if result.outcome == "error" else result.outcome,
            "severity": result.severity,
            "table": result.table_name,
            "column": result.column_name,
            "check": result.check_name,
            "rows": result.failing_rows,
            "asked_of": result.asked_of,
            "found": result.observed,
            "waivers": result.waivers,
        }
        for result in results
    ]
    empty = ["Every check passed (--all lists them), or none ran yet: `stocklake gate run`."]
    told = [
        f"{result.check_id:<8}  {row['outcome']:<13}  {result.line()}"
        for result, row in zip(results, rows, strict=True)
    ]
    output(rows, as_json, lambda: told or empty)


@app.command("show")
def show_rows(
    check: CheckArgument,
    everything: Annotated[
        bool, typer.Option("--all", help="Every row: the check's query, asked again of that snapshot.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many rows, without --all.")] = 20,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows that failed a check in the newest gate run, whole."""
    from itertools import islice

    from lake.failures import failing_rows
    from orchestration.show import table as drawn

    found = failing_rows(lake_of(open_company(company, home)), check, everything=everything)
    rows = list(found if everything else islice(found, limit))
    output(rows, as_json, lambda: drawn(rows, empty="No row failed this check."))


@app.command("waive")
def waive(
    check: CheckArgument,
    by: ByOption,
    reason: ReasonOption,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day on which it counts.")],
    row: Annotated[
        list[str] | None,
        typer.Option(help="Only failing rows with this COLUMN=VALUE; several have to hold together."),
    ] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
) -> None:
    """Let one check that failed pass until a day: from the next gate run on, and told wherever the gate is."""
    from lake.quality.waivers import grant

    lake = lake_of(open_company(company, home))
    given = grant(lake, check, by=by, reason=reason, until=until.date(), only_rows=_columns(row or []))
    typer.echo(f"{given.line()}\nIt counts from the next gate run on: `stocklake gate run`.")


def _columns(pairs: list[str]) -> dict[str, str]:
    from lake.errors import InputError

    found = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise InputError(f"--row {wrong[0]!r} names no value: write COLUMN=VALUE.")
    return found


@app.command("waivers")
def list_all(company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List every waiver that was ever given, newest first."""
    from dataclasses import asdict

    from lake.quality.waivers import list_waivers, today
    from orchestration.show import table as drawn

    with lake_of(open_company(company, home)).read() as connection:
        known = list_waivers(connection)
    rows: list[dict[str, Any]] = [{"status": w.status(today()), **asdict(w)} for w in known]
    shown = [
        {key: row[key] for key in ("waiver_id", "status", "check_id", "check_name", "by", "until", "reason")}
        for row in rows
    ]
    output(rows, as_json, lambda: drawn(shown, empty="No waiver was ever given."))


@app.command("revoke")
def revoke(
    waiver: Annotated[str, typer.Argument(help="Id of the waiver, as `stocklake gate waivers` shows it.")],
    by: ByOption,
    reason: ReasonOption,
    company: CompanyOption = None,
    home: HomeOption = None,
) -> None:
    """End a waiver, from the next gate run on; that it was given stays on record."""
    from lake.quality.waivers import revoke as end

    ended = end(lake_of(open_company(company, home)), waiver, by=by, reason=reason)
    typer.echo(f"Revoked: {ended.line()}")
