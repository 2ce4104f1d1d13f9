"""`stocklake contract`: data contracts: what each dataset promises."""

from pathlib import Path
from typing import Annotated

import typer

from lake.errors import ContractError
from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, output

app = typer.Typer(no_args_is_help=True, help="Data contracts: what each dataset promises.")


@app.command("lint")
def lint_contract(
    company: CompanyOption = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Check every contract of a company and name each problem with file and line."""
    from lake.company import load_company
    from lake.contracts.linting import lint

    opened = load_company(company, home)
    problems = lint(opened)
    output(
        [{"path": str(p.path), "line": p.line, "key": p.key, "message": p.message} for p in problems],
        as_json,
        lambda: [str(p) for p in problems] or [f"All contracts of {opened.name} are sound."],
    )
    raise typer.Exit(2 if problems else 0)


@app.command("infer")
def infer_contract(
    file: Annotated[
        Path, typer.Argument(help="The file to look at: delimited text, workbook, JSON, Parquet.")
    ],
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset; by default the file's.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the contract; by default it is printed.")
    ] = None,
) -> None:
    """Propose a contract for a file, for a person to edit: each guess says on what evidence."""
    from lake.contracts.inferring import infer
    from lake.contracts.writing import write_contract

    text = write_contract(infer(file, dataset))
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise ContractError(f"{out} exists already: remove it, or name another file with --out.")
    out.write_text(text, encoding="utf-8")
    typer.echo(f"Proposed a contract in {out}: read its comments and correct it.")
