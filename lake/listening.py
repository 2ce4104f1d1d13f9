"""Streams, for as long as somebody listens: round after round of fetching what each has, one every `batch_seconds`.

A round is what `stocklake ingest` does with one dataset, so it survives whatever an ingest survives. What cannot be reached
is tried again, later each time; what waits for the lake's writer waits in the broker.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

from lake import ledger
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import InputError, StocklakeError
from lake.fetching import Place, fetch
from lake.ingest import referred
from lake.ledger import COUNTS, Delivery
from lake.loading import Loader
from lake.sources.privacy import key_of
from lake.sources.streams.settings import NatsSettings

LONGEST_PAUSE_S = 60.0


@dataclass
class Round:
    """What one round over one dataset brought."""

    dataset: str
    files: list[Delivery] = field(default_factory=list)
    problem: str | None = None
    """One sentence; None when all went well."""
    waiting: int = 0
    """Messages that were still in the stream when the last batch was taken: the lag."""
    watermark: str | None = None
    """The newest event time so far."""
    late_events: int = 0
    """Events so far that came later than the contract's `late_after_seconds`."""

    @property
    def totals(self) -> dict[str, int]:
        """rows_read, loaded, quarantined, duplicate, unchanged."""
        return {name: sum(getattr(one, name) for one in self.files) for name in COUNTS}


def streams(contracts: Sequence[Contract]) -> list[Contract]:
    """Return the contracts whose source is a stream."""
    return [contract for contract in contracts if isinstance(contract.source, NatsSettings)]


def listen(
    company: Company,
    contracts: Sequence[Contract],
    *,
    run_id: str,
    stop: Event,
    tell: Callable[[Round], None],
    datasets: Collection[str] | None = None,
) -> None:
    """Fetch from the streams of `datasets` (default: all there are) until `stop` is set; a batch that has begun is finished first.

    `tell` gets every round that brought something or met a problem.
    """
    listened = [one for one in streams(contracts) if datasets is None or one.dataset in datasets]
    failures = dict.fromkeys((contract.dataset for contract in listened), 0)
    due = dict.fromkeys(failures, 0.0)
    places = {dataset: Place() for dataset in failures}
    while not stop.is_set():
        for contract in listened:
            dataset, begun = contract.dataset, time.monotonic()
            if stop.is_set() or begun < due[dataset]:
                continue
            done = listen_once(company, contract, run_id=run_id, stop=stop, place=places[dataset])
            failures[dataset] = failures[dataset] + 1 if done.problem else 0
            if done.problem:
                places[dataset].forget()
                begun = time.monotonic()
            due[dataset] = begun + _pause(contract, failures[dataset])
            if done.files or done.problem:
                tell(done)
        stop.wait(max(min(due.values(), default=0.0) - time.monotonic(), 0.0))


def listen_once(
    company: Company, contract: Contract, *, run_id: str, stop: Event, place: Place | None = None
) -> Round:
    """Fetch what a stream holds now, or up to the end of the batch during which `stop` is set.

    `place` is how far the round before came; without it the lake says so.
    """
    lake, done, place = Lake.of(company), Round(contract.dataset), place or Place()
    try:
        _check_references(lake, contract)
        key = key_of(company, [contract])
        with (
            Loader(lake, run_id, pii_key=key) as loader,
            closing(fetch(company, contract, loader, place=place)) as deliveries,
        ):
            for delivery in deliveries:
                if delivery.status == "overtaken":
                    break  # another process loads the same
                done.files.append(delivery)
                if delivery.status == "refused":
                    done.problem = delivery.reason
                if stop.is_set():
                    break
    except StocklakeError as error:
        done.problem = str(error)
    if done.files and place.position is not None:
        done.waiting, done.late_events = place.position["waiting"], place.position["late_events"]
        done.watermark = place.position["watermark"]
    return done


def _check_references(lake: Lake, contract: Contract) -> None:
    """Raise `InputError` while what the rows refer to is not there: they would be loaded without a check."""
    others = sorted(referred(contract))
    if not others:
        return
    with lake.read() as connection:
        noted = ledger.noted(connection)
    missing = [name for name in others if ledger.held(noted.get(name, ())).newest is None]
    if missing:
        raise InputError(
            f"What comes for {contract.dataset} waits, because {', '.join(missing)}, which it refers to, holds no rows yet:"
            " deliver that first."
        )


def _pause(contract: Contract, failures: int) -> float:
    """Return seconds from one round's begin to the next; after each failure from its end, doubling from one."""
    assert isinstance(contract.source, NatsSettings)
    if not failures:
        return contract.source.batch_seconds
    return float(min(2.0 ** (failures - 1), LONGEST_PAUSE_S))
