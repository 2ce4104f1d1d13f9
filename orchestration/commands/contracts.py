"""`stocklake contract`: data contracts: what each dataset promises."""

import typer

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
