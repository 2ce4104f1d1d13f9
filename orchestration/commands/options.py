"""What every command shares: its options, how it opens a company, how it prints."""

import json
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


def open_company(name: str | None, home: Path | None) -> "Company":
    """Return a company with its home folder made."""
    from lake.company import load_company

    opened = load_company(name, home)
    opened.prepare()
    return opened


def lake_of(company: "Company") -> Any:
    """Return the lake of a company."""
    from lake.connection import Lake

    return Lake.of(company)


def output(value: Any, as_json: bool, lines: Any) -> None:
    """Print `value` as JSON, or the lines that the function `lines` makes."""
    if as_json:
        typer.echo(json.dumps(value, default=str, indent=2))
    else:
        for line in lines():
            say(line)


def say(line: object, *, as_problem: bool = False) -> None:
    """Print a line, to standard error if it is a problem; what files brought in can do nothing to the terminal."""
    shown = "".join(one if one.isprintable() or one in "\t\n" else repr(one)[1:-1] for one in str(line))
    typer.echo(shown, err=as_problem)
