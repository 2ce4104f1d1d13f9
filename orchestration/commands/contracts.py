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
        Path,
        typer.Argument(
            help="The file to look at: delimited or fixed-width text, workbook, JSON, XML, Parquet."
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset; by default the file's.")] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Sheet of a workbook; by default the one with the most rows.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the contract; by default it is printed.")
    ] = None,
) -> None:
    """Propose a contract for a file, for a person to edit: each guess says on what evidence."""
    from lake.contracts.inferring import infer
    from lake.contracts.writing import write_contract

    text = write_contract(infer(file, dataset, sheet))
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise ContractError(f"{out} exists already: remove it, or name another file with --out.")
    out.write_text(text, encoding="utf-8")
    typer.echo(f"Proposed a contract in {out}: read its comments and correct it.")


@app.command("diff")
def diff_contracts(
    old: Annotated[
        Path | None, typer.Argument(help="File or folder of contracts; with --against the only one.")
    ] = None,
    new: Annotated[Path | None, typer.Argument(help="The same, later.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Git revision to compare with (main, HEAD~3, v1.2), or `parent`: the commit that the work here departs from."
        ),
    ] = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Say what changed in contracts and whether it breaks anyone; exit code 2 for a breaking change without its version."""
    from lake.contracts import revisions
    from lake.contracts.versioning import compare_all

    if against is None:
        before, after = _two_sides(old, new)
    else:
        if new is not None:
            raise ContractError("With --against there is one file or folder to name, as it stands now.")
        place = (old or _contracts_of(company, home)).absolute()
        after = revisions.read_path(place)
        revision = revisions.parent_revision(place) if against == revisions.PARENT else against
        if revision is None:
            told = "This clone has no earlier revision (it is shallow, new, or not under git): nothing to compare with."
            output([], as_json, lambda: [told])
            return
        before = revisions.read_revision(revision, place)
    found = compare_all(before, after)
    output(
        [one.as_dict() for one in found],
        as_json,
        lambda: [line for one in found for line in one.lines()] or ["No contract has changed."],
    )
    raise typer.Exit(ContractError.exit_code if any(one.verdict == "refused" for one in found) else 0)


def _two_sides(old: Path | None, new: Path | None) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the contracts of two files, under the name of the newer, or of two folders."""
    from lake.contracts.revisions import read_path

    if old is None or new is None:
        raise ContractError("Name what to compare: OLD and NEW, or --against and a git revision.")
    before, after = read_path(old), read_path(new)
    if old.is_file() != new.is_file():
        raise ContractError(f"{old} and {new} are a file and a folder: name two of one kind.")
    return (dict.fromkeys(after, *before.values()), after) if new.is_file() else (before, after)


def _contracts_of(company: str | None, home: Path | None) -> Path:
    from lake.company import load_company

    return load_company(company, home).contracts


@app.command("compile")
def compile_contracts(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Datasets; by default all of the company.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to, one folder in it per dataset; by default it is printed."),
    ] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
) -> None:
    """Write what follows from contracts: the reader's schema, JSON schema, GX suite, dbt source and Dagster asset."""
    from lake.company import load_company
    from lake.contracts.compiling import as_json, compile_contract, headed
    from lake.contracts.reading import load_contracts
    from orchestration.defs.raw.assets import dataset_specs
    from orchestration.metadata import plain_spec

    opened = load_company(company, home)
    contracts = {contract.dataset: contract for contract in load_contracts(opened)}
    if unknown := sorted(set(datasets or ()) - set(contracts)):
        raise ContractError(
            f"No contract has dataset {unknown[0]}; known are {', '.join(sorted(contracts))}."
        )
    for dataset in sorted(set(datasets or contracts)):
        contract = contracts[dataset]
        made = compile_contract(contract, matches=opened.settings.matching is not None)
        made["dagster.json"] = as_json([plain_spec(spec) for spec in dataset_specs(contract)])
        if out is None:
            for line in headed(dataset, made):
                typer.echo(line)
            continue
        folder = out / dataset
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    if out is not None:
        typer.echo(f"Wrote what follows from {len(set(datasets or contracts))} contracts to {out}.")
