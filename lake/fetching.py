"""What a source brings, into raw: arrival by arrival, each in a transaction of its own that holds its position too."""

from collections.abc import Generator, Iterator
from dataclasses import replace

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


def fetch(
    company: Company, contract: Contract, loader: Loader, period: Period | None = None
) -> Generator[Delivery, None, None]:
    """Yield what came of each arrival since the position committed last; what is yielded as loaded is committed.

    With a `period`, what is of its days is asked for again, whatever the position. Ends after an arrival with a position
    that was refused (going on would commit one beyond it) or overtaken (another process reads on). Raises `SourceFailed`
    or `InputError` when the source cannot be read; what was yielded stands.
    """
    source = open_source(company, contract)
    try:
        loader.commit()  # the writer's place is free while the other side takes its time
        since = ledger.position(loader.lake, contract.dataset)
        for arrival in _arrivals(source, contract, since, period):
            delivery = _load(company, contract, loader, arrival, since)
            loader.commit()
            yield delivery
            if delivery.status in ("refused", "overtaken") and arrival.position is not None:
                return
            since = since if arrival.position is None else arrival.position
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
