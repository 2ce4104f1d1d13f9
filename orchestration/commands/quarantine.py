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

app = typer.Typer(no_args_is_help=True, help="Rows that were refused, and why.")


@app.command("list")
def list_quarantine(
    company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Count the quarantined rows by dataset and rule."""
    from dataclasses import asdict

    from lake.quarantine import list_quarantine
    from orchestration.show import table

    rows = [asdict(row) for row in list_quarantine(lake_of(open_company(company, home)))]
    output(rows, as_json, lambda: table(rows, empty="Nothing is in quarantine."))


@app.command("show")
def show_quarantine(
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

    rows = show(lake_of(open_company(company, home)), dataset=dataset, rule=rule, limit=limit)
    output([asdict(row) for row in rows], as_json, lambda: quarantine_lines(rows))
