"""What a source brings, into raw: arrival by arrival, each in a transaction of its own that holds its position too."""

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from lake import ledger
from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import FileRefused, InputError
from lake.landing import land_file
from lake.ledger import Delivery
from lake.loading import Loader
from lake.period import Period
from lake.sources.port import Arrival, Position, Rangeable, Source, open_source
from lake.sources.ranges import check_range

TRUSTED_S = 60.0
"""How long a position is believed that was not asked for again."""


@dataclass
class Place:
    """How far a source is read, for who fetches from it again and again: asking the lake anew costs .1 CPU s a time.

    Should another process have read on meanwhile, the next arrival is overtaken (the position is compared in the
    transaction) and the lake is asked again.
    """

    position: Position | None = None
    known_until: float = -math.inf
    """By the monotonic clock; then it is asked for again, lest one who only waits for his turn believes it for ever."""

    @property
    def is_known(self) -> bool:
        """Whether the position can be gone on from."""
        return time.monotonic() < self.known_until

    def forget(self) -> None:
        """Have the lake asked the next time."""
        self.known_until = -math.inf


def fetch(
    company: Company,
    contract: Contract,
    loader: Loader,
    period: Period | None = None,
    place: Place | None = None,
) -> Generator[Delivery, None, None]:
    """Yield what came of each arrival since the position committed last; what is yielded as loaded is committed.

    With a `period`, what is of its days is asked for again, whatever the position. A `place` is where to go on, and says
    afterwards how far it came. Ends after an arrival with a position that was refused (going on would commit one beyond it)
    or overtaken (another process reads on). Raises `SourceFailed` or `InputError` when the source cannot be read; what was
    yielded stands.
    """
    place = place or Place()
    source = open_source(company, contract)
    try:
        loader.commit()  # the writer's place is free while the other side takes its time
        if not place.is_known:
            place.position = ledger.position(loader.lake, contract.dataset)
            place.known_until = time.monotonic() + TRUSTED_S
        for arrival in _arrivals(source, contract, place.position, period):
            delivery = _load(company, contract, loader, arrival, place.position)
            loader.commit()
            moves = arrival.position is not None
            stopped = moves and delivery.status in ("refused", "overtaken")
            if stopped:
                place.forget()
            elif moves:
                place.position = arrival.position
            yield delivery
            if stopped:
                return
    finally:
        source.close()


def _arrivals(
    source: Source, contract: Contract, since: Position | None, period: Period | None
) -> Iterator[Arrival]:
    if period is None:
        yield from source.deliveries(since)
    elif isinstance(source, Rangeable):
        check_range(contract)
        # What is fetched again says nothing about how far the source was read.
        yield from (replace(arrival, position=None) for arrival in source.between(period))
    else:
        raise InputError(
            f"{contract.path}: a source of kind {contract.source and contract.source.kind} cannot be asked for a range of"
            " days, because it brings what is new only: leave its dataset out with --dataset."
        )


def _load(
    company: Company, contract: Contract, loader: Loader, arrival: Arrival, since: Position | None
) -> Delivery:
    try:
        landed = land_file(company.landing, contract.dataset, arrival.name, arrival.path, is_new=True)
    except FileRefused as refusal:
        return loader.refuse(contract, Delivery(contract.dataset, arrival.name, None, None), str(refusal))
    arrival.path.unlink()
    return loader.load(contract, landed, arrival, since)
