"""`stocklake listen`: streams into the lake, until somebody stops it."""

import json
import signal
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import CompanyOption, HomeOption, JsonOption, open_company

if TYPE_CHECKING:
    from lake.listening import Round


def listen(
    company: CompanyOption = None,
    home: HomeOption = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", "-d", help="Only this stream; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Load what streams bring, as it comes, until Ctrl-C or SIGTERM; the batch in hand is finished first."""
    from uuid import uuid4

    from lake.contracts.reading import load_contracts
    from lake.errors import InputError
    from lake.listening import listen as listen_to
    from lake.listening import streams

    opened = open_company(company, home)
    contracts = load_contracts(opened)
    known = [contract.dataset for contract in streams(contracts)]
    unknown = sorted(set(dataset or []) - set(known))
    if unknown or not known:
        raise InputError(
            f"No contract of {opened.name} has a stream"
            + (
                f" {', '.join(unknown)}: choose among {', '.join(known) or 'none'}."
                if unknown
                else ": write one."
            )
        )
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    chosen = dataset or known
    typer.echo(f"Listening to {', '.join(chosen)}; Ctrl-C stops it.", err=True)
    listen_to(
        opened,
        contracts,
        run_id=str(uuid4()),
        stop=stop,
        tell=lambda done: _tell(done, as_json),
        datasets=chosen,
    )


def _tell(done: "Round", as_json: bool) -> None:
    """Print a round: one line each for what it brought and for what went wrong."""
    if as_json:
        typer.echo(json.dumps({**asdict(done), "files": len(done.files), **done.totals}))
        return
    if done.files:
        counts = ", ".join(f"{count:,} {name}" for name, count in done.totals.items() if count)
        late = f"; {done.late_events:,} late so far, watermark {done.watermark}" if done.watermark else ""
        typer.echo(f"{done.dataset}: {counts}; {done.waiting:,} waiting{late}")
    if done.problem:
        typer.echo(f"stocklake: {done.problem}", err=True)
