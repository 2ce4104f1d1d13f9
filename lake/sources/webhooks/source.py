"""Kind `webhook`, as ingestion sees it: what waits in the spool, in the order of reception, as JSON lines.

Each line is one delivery: `{"delivery_id": ..., "received_at": ..., "payload": ...}`, the payload as it was sent except
that line ends between its tokens are spaces.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import orjson

from lake.company import Company
from lake.contracts.model import Contract
from lake.sources.port import Arrival, Position
from lake.sources.turns import fetching
from lake.sources.webhooks.settings import WebhookSettings
from lake.sources.webhooks.spool import Spool

ARRIVAL_BYTES = 64 << 20
_ONE_LINE = bytes.maketrans(b"\n\r", b"  ")


class WebhookSource:
    """The spool of one dataset, open."""

    def __init__(self, company: Company, contract: Contract) -> None:
        """Open the spool; where nobody ever sent, it is made and empty."""
        assert isinstance(contract.source, WebhookSettings)
        self.company, self.contract, self.settings = company, contract, contract.source
        self.spool = Spool(company.spool(contract.dataset))

    def close(self) -> None:
        """Close the spool; what waits stays."""
        self.spool.close()

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield what was received since the position, until now, many deliveries to an arrival."""
        with fetching(self.company, self.contract) as (folder, committed):
            position = committed if committed is not None else position
            after, upto = 0, self.spool.newest
            if position and position["spool"] == self.spool.incarnation:
                after = int(position["sequence"])
                self._forget(after)  # committed, and then killed before it was acknowledged
            while (written := self._write(folder, after, upto)) is not None:
                path, first, after = written
                yield Arrival(
                    name=f"{self.contract.dataset}-{self.spool.incarnation[:8]}-{first:012}-{after:012}.jsonl",
                    path=path,
                    position={"spool": self.spool.incarnation, "sequence": after},
                    acknowledge=partial(self._forget, after),
                )

    def _write(self, folder: Path, after: int, upto: int) -> tuple[Path, int, int] | None:
        """Write deliveries up to about ARRIVAL_BYTES to a file; return it with the first and last sequence in it."""
        path, first, last = folder / f"{after:012}.jsonl", 0, after
        with path.open("wb") as lines:
            for sequence, delivery_id, received_at, body in self.spool.waiting(after, upto):
                first, last = first or sequence, sequence
                head = orjson.dumps({"delivery_id": delivery_id, "received_at": received_at})[:-1]
                lines.write(head + b',"payload":' + body.translate(_ONE_LINE).strip() + b"}\n")
                if lines.tell() >= ARRIVAL_BYTES:
                    break
        return (path, first, last) if first else None

    def _forget(self, upto: int) -> None:
        is_timed = self.settings.rules.is_timed
        self.spool.forget(upto, self.settings.remember_days if is_timed else None)
