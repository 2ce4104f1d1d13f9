"""The command line. Every command imports what it needs when it is called, so that `--help` is quick.

Exit codes: 0 done, 1 something broke, 2 bad input, 3 the data did not pass its gate, 4 the gate itself could not run.
"""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands import (
    contracts,
    docs,
    features,
    gate,
    lake,
    landing,
    listen,
    match,
    orders,
    push_features,
    quarantine,
    receive,
    releases,
    serve_features,
    snapshots,
    twin,
)
from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
    say,
)

if TYPE_CHECKING:
    from lake.company import Company

DEBUG = "STOCKLAKE_DEBUG"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
)
app.add_typer(contracts.app, name="contract")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(match.app, name="match")
app.add_typer(landing.app, name="landing")
app.add_typer(gate.app, name="gate")
app.add_typer(features.app, name="features")
app.add_typer(releases.app, name="releases")
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(lake.app, name="lake")
app.add_typer(orders.app, name="orders")
app.add_typer(twin.app, name="twin")
app.command()(docs.docs)
app.command()(listen.listen)
app.command()(push_features.push_features)
app.command()(receive.receive)
app.command()(serve_features.serve_features)


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG, help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    """Stocklake: from ERP, logistics and spreadsheet exports to purchase orders that explain themselves."""
    if debug:
        os.environ[DEBUG] = "1"


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new company: lower case, digits and _.")],
    home: HomeOption = None,
) -> None:
    """Make the folder of a new company, with a sample contract to begin from, and its inbox."""
    from lake.company import companies_folder
    from lake.scaffold import init_company

    for path in init_company(name, companies_folder()):
        typer.echo(path)
    typer.echo(f"{open_company(name, home).inbox}/")
    typer.echo(f"Next: read companies/{name}/README.md, then `stocklake contract lint --company {name}`.")


@app.command()
def run(
    company: CompanyOption = None,
    home: HomeOption = None,
    last_good: Annotated[
        bool, typer.Option("--last-good", help="Plan from the last release although newer data failed.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Print CPU seconds and peak memory of each stage.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Do the whole way: exports in, proposed purchase orders out."""
    from orchestration.run import run_company

    opened = open_company(company, home)
    exit_code = run_company(opened, last_good=last_good)
    _report(opened, as_json=as_json, profile=profile)
    raise typer.Exit(exit_code)


@app.command()
def ingest(
    company: CompanyOption = None,
    home: HomeOption = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="Only this dataset; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="First day of a range to bring in, YYYY-MM-DD (a backfill).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last day of that range.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Land and load what has arrived, and stop there; with a range of days, only what is of it.

    Files are of a range by the date in their names; a source that cannot be asked for one says so.
    """
    from lake.period import Period
    from orchestration.run import ingest_company
    from orchestration.show import ingest_lines

    opened = open_company(company, home)
    report = ingest_company(opened, dataset, Period.parse(since, until))
    told = {"drift": report.drift, **report.control, "problems": report.problems}
    told |= {"unmatched": report.unmatched, "left": report.left}
    output(report.totals | told, as_json, lambda: ingest_lines(report))
    for problem in report.problems:
        say(f"stocklake: {problem}", as_problem=True)
    raise typer.Exit(0 if report.is_clean else 2)


@app.command()
def ui(
    company: CompanyOption = None,
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000,
) -> None:
    """Serve the Dagster UI of a company, with its schedule and sensors, until Ctrl-C."""
    from orchestration.serve import serve

    raise typer.Exit(serve(open_company(company, home), port))


@app.command()
def status(company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Say how things stand: rows, gates, forecast, proposals, and the last run alone."""
    _report(open_company(company, home), as_json=as_json, profile=False)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A query; without one, a prompt opens.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    snapshot: Annotated[int | None, typer.Option(help="Read the lake as it stood at this snapshot.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake in SQL, read-only: tables are raw.x, core.x, marts.x, plan.x, orders.x."""
    from orchestration.shell import ask, prompt

    lake = lake_of(open_company(company, home))
    if query is None and sys.stdin.isatty():
        prompt(lake, snapshot)
    else:
        ask(lake, sys.stdin.read() if query is None else query, snapshot, as_json=as_json)


def _report(company: "Company", *, as_json: bool, profile: bool) -> None:
    from orchestration.show import profile_lines, status_lines
    from orchestration.status import status as read_status

    lake = lake_of(company)
    state = read_status(lake)
    output(state, as_json, lambda: status_lines(company, lake, state))
    if profile and not as_json:
        for line in profile_lines(lake):
            typer.echo(line)


def main() -> None:
    """Run the command line; an error on purpose is one sentence on standard error and its exit code."""
    from lake.errors import StocklakeError

    try:
        app()
    except StocklakeError as error:
        say(f"stocklake: {error}", as_problem=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        said = " ".join(str(error).split())[:500]
        typer.echo(
            f"stocklake: something unexpected failed ({type(error).__name__}: {said}): "
            "`stocklake --debug` with the same command shows where.",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
