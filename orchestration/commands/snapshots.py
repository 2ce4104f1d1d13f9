"""`stocklake snapshots`: what the lake knew at an earlier time."""

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

app = typer.Typer(no_args_is_help=True, help="Time travel: what the lake knew, and when.")

_AT = "Id of a snapshot, a release, or a day YYYY-MM-DD (the newest state of that day, UTC)."
_CHANGES_SHOWN = 3


@app.command("list")
def list_all(
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the snapshots: when each was made, what its commit changed, which release pins it."""
    from dataclasses import asdict

    from lake.snapshots import list_snapshots
    from orchestration.show import table

    known = list_snapshots(lake_of(open_company(company, home)))[:limit]
    shown = [
        {
            "snapshot": one.snapshot_id,
            "made_at": f"{one.made_at:%Y-%m-%d %H:%M:%S}",
            "release": ", ".join(one.releases),
            "what": ", ".join(one.changes[:_CHANGES_SHOWN])
            + (f" and {len(one.changes) - _CHANGES_SHOWN} more" if len(one.changes) > _CHANGES_SHOWN else ""),
        }
        for one in known
    ]
    output([asdict(one) for one in known], as_json, lambda: table(shown))


@app.command("diff")
def show_diff(
    earlier: Annotated[str, typer.Argument(help=_AT)],
    later: Annotated[str, typer.Argument(help="The same, newer.")],
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which tables differ between two snapshots, and by how many rows."""
    from dataclasses import asdict

    from lake.snapshots import diff, resolve
    from orchestration.show import table

    lake = lake_of(open_company(company, home))
    first, second = resolve(lake, earlier), resolve(lake, later)
    rows = [asdict(one) for one in diff(lake, first, second)]
    told = {"earlier": first, "later": second, "tables": rows}
    shown = [{**row, "columns": " ".join(row["columns"])} for row in rows]
    title = f"From snapshot {first} to {second}"
    output(told, as_json, lambda: table(shown, title=title, empty=f"{title}: no table differs."))


@app.command("query")
def query_at(
    at: Annotated[str, typer.Argument(help=_AT)],
    query: Annotated[str, typer.Argument(help="A query that reads tables.")],
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake in SQL, read-only, as it stood then."""
    from lake.snapshots import resolve
    from orchestration.shell import ask

    lake = lake_of(open_company(company, home))
    ask(lake, query, resolve(lake, at), as_json=as_json)
