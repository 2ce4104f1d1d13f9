"""`stocklake releases`: snapshots that passed the gate."""

import typer

from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
)

app = typer.Typer(no_args_is_help=True, help="Snapshots that passed the gate.")


@app.command("list")
def list_releases(
    company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """List the releases, newest first."""
    from dataclasses import asdict

    from lake.releases import list_releases
    from orchestration.show import table

    rows = [asdict(release) for release in list_releases(lake_of(open_company(company, home)))]
    output(rows, as_json, lambda: table(rows, empty="There is no release yet: run `stocklake run`."))
