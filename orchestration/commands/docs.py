"""`stocklake docs`: the catalogue of a company's data as a static site."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, open_company, output


def docs(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write (default: catalogue/ in the company's home)."),
    ] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the catalogue: a page for each table with its meaning, columns, lineage, checks, quarantine and a sample."""
    from lake.catalogue.facts import gather
    from lake.catalogue.site import write_site
    from lake.contracts.reading import load_contracts
    from lake.transform import built_manifest

    opened = open_company(company, home)
    contracts = load_contracts(opened)
    catalogue = gather(opened, contracts, built_manifest(opened, contracts))
    page = write_site(catalogue, out or opened.catalogue)
    told = {
        "page": str(page),
        "tables": len(catalogue.tables),
        "columns": sum(len(facts.columns) for facts in catalogue.tables.values()),
    }
    output(
        told,
        as_json,
        lambda: [f"{told['tables']} tables, {told['columns']:,} columns; open {page} in a browser"],
    )
