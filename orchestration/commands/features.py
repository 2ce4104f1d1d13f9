"""`stocklake features`: what a model may know, the registry that others read, and training sets made again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.options import (
    CompanyOption,
    HomeOption,
    JsonOption,
    lake_of,
    open_company,
    output,
    say,
)

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(no_args_is_help=True, help="Features: what a model may know, as known at the time.")
sets = typer.Typer(
    no_args_is_help=True, help="Training sets: made from a release, recorded, and made again, equal."
)
app.add_typer(sets, name="training-set")

OutOption = Annotated[Path, typer.Option("--out", help="Parquet file to write.")]


@app.command("list")
def list_features(
    service: Annotated[str | None, typer.Option(help="Only what this feature service reads.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every feature with its view, keys, unit and meaning, as the definitions say."""
    from features.listing import feature_rows
    from orchestration.show import table

    rows = feature_rows(service)
    shown = [{key: row[key] for key in ("feature", "view", "keys", "type", "unit")} for row in rows]
    output(rows, as_json, lambda: [*table(shown), "", "`stocklake features show NAME` tells what one means."])


@app.command("show")
def show_feature(
    name: Annotated[str, typer.Argument(help="A feature, a view, or a service.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a feature, view or service is: meaning, where its SQL stands, how old it may be, who answers for it."""
    from features.listing import describe

    found = describe(name)
    output(found, as_json, lambda: [line for one in found for line in (*_block(one), "")][:-1])


def _block(facts: dict[str, Any]) -> list[str]:
    width = max(map(len, facts))
    lines = []
    for key, value in facts.items():
        values = value if isinstance(value, list) else [value]
        for number, one in enumerate(values or ["-"]):
            lines.append(f"{key.replace('_', ' ') if number == 0 else '':<{width}}  {one}")
    return lines


@app.command("plan")
def plan_registry(
    company: CompanyOption = None,
    home: HomeOption = None,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 if anything would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what applying would change in the registry, and change nothing."""
    from dataclasses import asdict

    from features.repository import plan

    changes = plan(open_company(company, home))
    told = [
        f"{change.action:<7} {change.kind} {change.name}"
        + (f": {', '.join(change.fields)}" if change.fields else "")
        for change in changes
    ]
    output(
        [asdict(change) for change in changes],
        as_json,
        lambda: told or ["The registry is as the definitions are."],
    )
    raise typer.Exit(1 if check and changes else 0)


@app.command("apply")
def apply_registry(company: CompanyOption = None, home: HomeOption = None) -> None:
    """Bring the registry up to the definitions: in CI for a team's, by hand or before a run for a file's."""
    from features.repository import apply

    done = apply(open_company(company, home))
    typer.echo("The registry was brought up to the definitions." if done else "Nothing had changed.")


@sets.command("make")
def make_set(
    entities: Annotated[
        Path, typer.Argument(help="Parquet or CSV: the service's keys, event_timestamp (UTC), labels.")
    ],
    service: Annotated[str, typer.Option(help="Feature service and version.")],
    out: OutOption,
    release: Annotated[str | None, typer.Option(help="Release to read; by default the newest.")] = None,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join features onto entity rows, each as known at its time; record from what the set was made."""
    from dataclasses import asdict

    from features.repository import historical, record_training_set

    opened = open_company(company, home)
    rows = _entity_rows(entities)
    source = _release(opened, release)
    made = historical(opened, source, rows, service)
    recorded = record_training_set(opened, source, made, rows.columns, service)
    _write(made, out)
    output(
        asdict(recorded), as_json, lambda: [f"{len(made):,} rows in {out}; made again by:", *_again(recorded)]
    )


def _again(recorded: Any) -> list[str]:
    return [f"  stocklake features training-set again {recorded.training_set_id} --out FILE"]


@sets.command("again")
def make_again(
    training_set: Annotated[str, typer.Argument(help="Id of a recorded set, as `list` shows it.")],
    out: OutOption,
    company: CompanyOption = None,
    home: HomeOption = None,
) -> None:
    """Make a recorded set again from its release, and see that it is equal to the bit."""
    from features.repository import reproduce_training_set

    made = reproduce_training_set(open_company(company, home), training_set)
    _write(made, out)
    say(f"{len(made):,} rows in {out}, equal to those of {training_set}.")


@sets.command("list")
def list_sets(company: CompanyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the recorded sets with release, service and rows, newest first."""
    from dataclasses import asdict

    from features.training import training_sets
    from orchestration.show import table

    rows = [asdict(made) for made in training_sets(lake_of(open_company(company, home)))]
    names = ("training_set_id", "release_id", "service", "row_count")
    empty = "No training set was recorded yet: a run records its own, `make` one of yours."
    output(rows, as_json, lambda: table([{key: row[key] for key in names} for row in rows], empty=empty))


def _entity_rows(path: Path) -> "pl.DataFrame":
    import polars as pl

    from lake.errors import InputError

    try:
        if path.suffix == ".csv":
            rows = pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)
        else:
            rows = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} cannot be read ({said}): give a Parquet or .csv file of entity rows."
        ) from error
    moment = rows.schema.get("event_timestamp")
    if moment is None or not moment.is_temporal():
        raise InputError(
            f"{path} has no column event_timestamp of dates or times: add the moment (UTC) at which each row asks."
        )
    keys = [name for name in rows.columns if name.endswith("_id")]
    return rows.with_columns(pl.col(keys).cast(pl.String))


def _release(company: Any, wanted: str | None) -> Any:
    from lake.releases import current_release, release

    lake = lake_of(company)
    return current_release(lake) if wanted is None else release(lake, wanted)


def _write(made: "pl.DataFrame", out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    making = out.with_name(f"{out.name}.making")
    made.write_parquet(making)
    making.replace(out)
