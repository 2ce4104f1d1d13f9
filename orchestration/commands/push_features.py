"""`stocklake push-features`: events into the online store, until somebody stops it."""

import signal
from threading import Event
from typing import TYPE_CHECKING

import typer

from orchestration.commands.options import CompanyOption, HomeOption, open_company

if TYPE_CHECKING:
    from features.fresh import Pushed


def push_features(company: CompanyOption = None, home: HomeOption = None) -> None:
    """Push what the streams of company.yaml (`online.streams`) bring to the online store, within a second of the event.

    Beside it, `stocklake listen` loads the same streams into the lake; neither waits for the other.
    """
    from features.fresh import push_streams
    from lake.contracts.reading import load_contracts

    opened = open_company(company, home)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    wanted = opened.settings.online.streams
    if wanted:
        typer.echo(f"Pushing {', '.join(wanted)}; Ctrl-C stops it.", err=True)
    push_streams(opened, load_contracts(opened), stop=stop, tell=_tell)


def _tell(done: "Pushed") -> None:
    """Print a look: what it brought, and what went wrong."""
    if done.events:
        older = done.events - done.refused - done.ahead - done.written
        parts = [f"{done.written:,} written"]
        parts += [f"{older:,} older than what stands"] if older else []
        parts += [f"{done.refused:,} not as the contract says"] if done.refused else []
        parts += [f"{done.ahead:,} from the future (set the clock of what sends them)"] if done.ahead else []
        typer.echo(f"{done.dataset}: {', '.join(parts)}")
    if done.problem:
        typer.echo(f"stocklake: {done.problem}", err=True)
