"""`stocklake landing`: originals as they were delivered, and how long they are kept."""

from typing import Annotated

import typer

from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, open_company, output

app = typer.Typer(no_args_is_help=True, help="Originals as they were delivered.")


@app.command("purge")
def purge_landing(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the originals whose `retention_days` have passed since they were loaded; the ledger keeps their hashes."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from lake.contracts.reading import load_contracts
    from lake.retention import purge
    from orchestration.show import table

    opened = open_company(company, home)
    gone = purge(opened, load_contracts(opened), now=datetime.now(UTC), dry_run=dry_run)
    rows = [asdict(one) for one in gone]
    output(rows, as_json, lambda: table(rows, empty="No original has reached the end of its retention."))
