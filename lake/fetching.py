"""What a source brings, into raw: arrival by arrival, each in a transaction of its own that holds its position too."""

from collections.abc import Generator

from lake import ledger
from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import FileRefused
from lake.landing import land_file
from lake.ledger import Delivery
from lake.loading import Loader
from lake.sources.port import Arrival, open_source


def fetch(company: Company, contract: Contract, loader: Loader) -> Generator[Delivery, None, None]:
    """Yield what came of each arrival since the position committed last; what is yielded as loaded is committed.

    Ends after an arrival with a position that was refused: going on would commit one beyond it. Raises `SourceFailed` or
    `InputError` when the source cannot be read; what was yielded stands.
    """
    source = open_source(company, contract)
    try:
        loader.commit()  # the writer's place is free while the other side takes its time
        for arrival in source.deliveries(ledger.position(loader.lake, contract.dataset)):
            delivery = _load(company, contract, loader, arrival)
            loader.commit()
            yield delivery
            if delivery.status == "refused" and arrival.position is not None:
                return
    finally:
        source.close()


def _load(company: Company, contract: Contract, loader: Loader, arrival: Arrival) -> Delivery:
    try:
        landed = land_file(company.landing, contract.dataset, arrival.name, arrival.path, is_new=True)
    except FileRefused as refusal:
        return loader.refuse(contract, Delivery(contract.dataset, arrival.name, None, None), str(refusal))
    arrival.path.unlink()
    return loader.load(contract, landed, arrival)
