"""The command line. Every command imports what it needs when it is called, so that `--help` is quick.

Exit codes: 0 done, 1 something broke, 2 bad input, 3 the data did not pass its gate.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lake.company import Company

CompanyOption = Annotated[
    str | None, typer.Option("--company", "-c", help="Folder in companies/ (default: example).")
]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Where everything a run makes lives (default: .stocklake).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

DEBUG = "STOCKLAKE_DEBUG"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
)
contract_app = typer.Typer(no_args_is_help=True, help="Data contracts: what each dataset promises.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that were refused, and why.")
releases_app = typer.Typer(no_args_is_help=True, help="Snapshots that passed the gate.")
orders_app = typer.Typer(no_args_is_help=True, help="Proposed purchase orders.")
app.add_typer(contract_app, name="contract")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(releases_app, name="releases")
app.add_typer(orders_app, name="orders")


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
) -> None:
    """Make the folder of a new company, with a sample contract to begin from."""
    from lake.company import companies_folder
    from lake.scaffold import init_company

    for path in init_company(name, companies_folder()):
        typer.echo(path)
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

    opened = _company(company, home)
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
    as_json: JsonOption = False,
) -> None:
    """Land and load what has arrived, and stop there."""
    from orchestration.run import ingest_company
    from orchestration.show import ingest_lines

    opened = _company(company, home)
    report = ingest_company(opened, dataset)
    _print(report.totals | {"problems": report.problems}, as_json, lambda: ingest_lines(report))
    for problem in report.problems:
        typer.echo(f"stocklake: {problem}", err=True)
    raise typer.Exit(0 if report.is_clean else 2)


@app.command()
def ui(
    company: CompanyOption = None,
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000,
) -> None:
    """Serve the Dagster UI of a company, with its schedule and sensors, until Ctrl-C."""
    from orchestration.serve import serve

    raise typer.Exit(serve(_company(company, home), port))


@app.command()
def status(company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Say how things stand: rows, gates, forecast, proposals, and the last run alone."""
    _report(_company(company, home), as_json=as_json, profile=False)


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

    lake = _lake(_company(company, home))
    if query is None and sys.stdin.isatty():
        prompt(lake, snapshot)
    else:
        ask(lake, sys.stdin.read() if query is None else query, snapshot, as_json=as_json)


@contract_app.command("lint")
def contract_lint(
    company: CompanyOption = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Check every contract of a company and name each problem with file and line."""
    from lake.company import load_company
    from lake.contracts.linting import lint

    opened = load_company(company, home)
    problems = lint(opened)
    _print(
        [{"path": str(p.path), "line": p.line, "key": p.key, "message": p.message} for p in problems],
        as_json,
        lambda: [str(p) for p in problems] or [f"All contracts of {opened.name} are sound."],
    )
    raise typer.Exit(2 if problems else 0)


@quarantine_app.command("list")
def quarantine_list(
    company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Count the quarantined rows by dataset and rule."""
    from dataclasses import asdict

    from lake.quarantine import list_quarantine
    from orchestration.show import table

    rows = [asdict(row) for row in list_quarantine(_lake(_company(company, home)))]
    _print(rows, as_json, lambda: table(rows, empty="Nothing is in quarantine."))


@quarantine_app.command("show")
def quarantine_show(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only rows refused by this rule.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show quarantined rows whole, with file, line and every reason."""
    from dataclasses import asdict

    from lake.quarantine import show
    from orchestration.show import quarantine_lines

    rows = show(_lake(_company(company, home)), dataset=dataset, rule=rule, limit=limit)
    _print([asdict(row) for row in rows], as_json, lambda: quarantine_lines(rows))


@releases_app.command("list")
def releases_list(
    company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """List the releases, newest first."""
    from dataclasses import asdict

    from lake.releases import list_releases
    from orchestration.show import table

    rows = [asdict(release) for release in list_releases(_lake(_company(company, home)))]
    _print(rows, as_json, lambda: table(rows, empty="There is no release yet: run `stocklake run`."))


@orders_app.command("list")
def orders_list(
    company: CompanyOption = None,
    home: HomeOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Superseded proposals too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the proposed purchase orders that are open."""
    from orchestration.show import order_table
    from planning.proposals import list_proposals

    rows = list_proposals(_lake(_company(company, home)), include_superseded=everything)
    _print(rows, as_json, lambda: order_table(rows))


@orders_app.command("explain")
def orders_explain(
    order_id: Annotated[str, typer.Argument(help="As `stocklake orders list` names it.")],
    item: Annotated[str | None, typer.Option("--item", "-i", help="Only the line of this item.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an order is proposed, down to the source files and lines."""
    from planning.explain import explain

    explanation = explain(_lake(_company(company, home)), order_id, item)
    _print(explanation.to_dict(), as_json, explanation.lines)


def _company(name: str | None, home: Path | None) -> "Company":
    from lake.company import load_company

    opened = load_company(name, home)
    opened.prepare()
    return opened


def _lake(company: "Company") -> Any:
    from lake.connection import Lake

    return Lake.of(company)


def _report(company: "Company", *, as_json: bool, profile: bool) -> None:
    from orchestration.show import profile_lines, status_lines
    from orchestration.status import status as read_status

    lake = _lake(company)
    state = read_status(lake)
    _print(state, as_json, lambda: status_lines(company, lake, state))
    if profile and not as_json:
        for line in profile_lines(lake):
            typer.echo(line)


def _print(value: Any, as_json: bool, lines: Any) -> None:
    if as_json:
        typer.echo(json.dumps(value, default=str, indent=2))
    else:
        for line in lines():
            typer.echo(line)


def main() -> None:
    """Run the command line; an error on purpose is one sentence on standard error and its exit code."""
    from lake.errors import StocklakeError

    try:
        app()
    except StocklakeError as error:
        typer.echo(f"stocklake: {error}", err=True)
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
