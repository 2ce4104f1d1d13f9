"""`stocklake lake`: whether the lake is whole, how it stays small, and copies of it."""

from datetime import timedelta
from pathlib import Path
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

app = typer.Typer(no_args_is_help=True, help="Verify, compact, back up and restore the lake.")


@app.command("verify")
def verify(
    full: Annotated[bool, typer.Option("--full", help="Read every value of every file.")] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the lake with its catalogue and ledger: exit code 1 if anything is wrong."""
    from dataclasses import asdict

    from lake.maintenance import verify as verified

    found = verified(lake_of(open_company(company, home)), full=full)
    head = (
        f"{found.files:,} files with {found.size_bytes:,} bytes, {found.snapshots:,} snapshots, {found.deliveries:,}"
        f" deliveries: {f'{len(found.problems)} problems' if found.problems else 'all as the catalogue says'}"
    )
    output(asdict(found), as_json, lambda: [head, *found.problems])
    raise typer.Exit(1 if found.problems else 0)


@app.command("compact")
def compact(
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=0, help="Days that a snapshot stays which nothing names (default: company.yaml, 90)."
        ),
    ] = None,
    grace_hours: Annotated[
        int,
        typer.Option(
            min=1, help="How long a file stays at least that nothing names any more: readers may have it."
        ),
    ] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which snapshots would go.")] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let old snapshots go that nothing names, merge small files, delete files without a name. Readers may go on."""
    from dataclasses import asdict

    from lake.maintenance import compact as compacted

    opened = open_company(company, home)
    keep = timedelta(days=opened.settings.lake.keep_days if keep_days is None else keep_days)
    done = compacted(lake_of(opened), keep=keep, grace=timedelta(hours=grace_hours), dry_run=dry_run)
    went = f"{len(done.expired):,} snapshots older than {keep.days} days {'would go' if dry_run else 'went'}"
    lines = [went] if dry_run else [
        went,
        f"{done.merged:,} small files became {done.merged_into:,}; a compaction after {grace_hours} hours and midnight (UTC) deletes the old ones",
        f"{done.deleted:,} files that nothing names were deleted",
    ]  # fmt: skip
    output(asdict(done), as_json, lambda: lines)


@app.command("backup")
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder; it appears when the backup is whole.")],
    landing: Annotated[bool, typer.Option("--landing", help="The originals too.")] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Hard links instead of copies, on the same disk: quick, no second copy."),
    ] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the lake as it stands at one moment, with a manifest of hashes; loads and readers go on."""
    from dataclasses import asdict

    from lake.backup import backup as backed_up

    made = backed_up(open_company(company, home), folder, landing=landing, link=link)
    line = f"{made.folder}: {made.files:,} files with {made.size_bytes:,} bytes, up to snapshot {made.snapshot_id}"
    output(asdict(made), as_json, lambda: [line])


@app.command("restore")
def restore(
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    force: Annotated[bool, typer.Option("--force", help="Move a lake that stands there aside.")] = False,
    company: CompanyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the company's lake, after every file of it was found whole."""
    from dataclasses import asdict

    from lake.backup import restore as restored

    made = restored(open_company(company, home), folder, force=force)
    lines = [
        f"Restored up to snapshot {made.snapshot_id}: {made.files:,} files with {made.size_bytes:,} bytes"
    ]
    if made.replaced:
        lines.append(f"The lake that stood there lies in {made.replaced}: delete it when it is not missed.")
    output(asdict(made), as_json, lambda: lines)
