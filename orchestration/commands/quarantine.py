"""`stocklake quarantine`: rows that were refused, and why."""

from typing import Annotated

import typer

from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
)

RuleOption = Annotated[str | None, typer.Option(help="Only rows refused by this rule.")]
FileOption = Annotated[str | None, typer.Option(help="Only rows of this file.")]
EverythingOption = Annotated[bool, typer.Option("--all", help="Settled rows too.")]

app = typer.Typer(no_args_is_help=True, help="Rows that were refused, and why.")


@app.command("list")
def list_quarantine(
    everything: EverythingOption = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count the quarantined rows by dataset and rule."""
    from dataclasses import asdict

    from lake.quarantine import list_quarantine
    from orchestration.show import table

    rows = [
        asdict(row) for row in list_quarantine(lake_of(open_company(company, home)), everything=everything)
    ]
    output(rows, as_json, lambda: table(rows, empty="Nothing is in quarantine."))


@app.command("show")
def show_quarantine(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    rule: RuleOption = None,
    file: FileOption = None,
    everything: EverythingOption = False,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show quarantined rows whole, with file, line and every reason."""
    from dataclasses import asdict

    from lake.quarantine import show
    from orchestration.show import quarantine_lines

    lake = lake_of(open_company(company, home))
    rows = show(lake, dataset=dataset, rule=rule, limit=limit, file_name=file, everything=everything)
    output([asdict(row) for row in rows], as_json, lambda: quarantine_lines(rows))


@app.command("replay")
def replay_quarantine(
    dataset: Annotated[str, typer.Argument(help="The dataset whose contract was corrected.")],
    rule: RuleOption = None,
    file: FileOption = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read refused rows again under the contract as it is now, and load those that pass, once."""
    from uuid import uuid4

    from lake.contracts.reading import load_contracts
    from lake.replay import Choice, replay

    opened = open_company(company, home)
    report = replay(opened, load_contracts(opened), Choice(dataset, rule, file), run_id=str(uuid4()))
    counts = {name: getattr(report, name) for name in ("loaded", "duplicate", "unchanged", "still_open")}
    output(
        counts | {"problems": report.problems},
        as_json,
        lambda: [f"{name.replace('_', ' '):<16}{value:>12,}" for name, value in counts.items()],
    )
    for problem in report.problems:
        typer.echo(f"stocklake: {problem}", err=True)
    raise typer.Exit(2 if report.problems else 0)


@app.command("accept")
def accept_quarantine(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    by: Annotated[str, typer.Option(help="Who says so.")],
    reason: Annotated[str, typer.Option(help="Why these rows stay out.")],
    rule: RuleOption = None,
    file: FileOption = None,
    row: Annotated[str | None, typer.Option(help="Only the row with this id.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
) -> None:
    """Agree that rows were rightly refused: they stay out for good, with who said so and why."""
    from uuid import uuid4

    from lake.replay import Choice, accept

    lake = lake_of(open_company(company, home))
    rows = accept(lake, Choice(dataset, rule, file, row), by=by, reason=reason, run_id=str(uuid4()))
    typer.echo(f"{rows:,} rows accepted as refused")
