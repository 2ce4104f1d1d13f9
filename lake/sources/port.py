"""The port of every source that is fetched: databases, APIs, streams. What it brings lands and loads like any file.

A source yields arrivals from a position on. The loader commits the arrival's position in the transaction that holds
its rows; only then is the arrival acknowledged. Killed anywhere, the next fetch goes on from the committed position,
and what arrives twice is found by its content or its key.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lake.company import Company
from lake.contracts.model import Contract
from lake.contracts.source_settings import KINDS, load
from lake.period import Period

Position = Mapping[str, Any]
"""What a source goes on from, as JSON: a cursor, a log position, an offset with the incarnation of its stream."""


@dataclass(frozen=True)
class Arrival:
    """One delivery that a source brought: a file, complete on disk, in the contract's format."""

    name: str
    """Unlike any other delivery of the dataset; it stands in `_file`, so it says where the rows come from."""
    path: Path
    """Moved into landing by the caller."""
    position: Position | None = None
    """Commits with the rows, unless another process has moved it meanwhile; None leaves it as it is."""
    acknowledge: Callable[[], None] | None = None
    """Called after the commit, perhaps twice or (after a crash) never."""
    is_new: bool = False
    """Hardly anything like it can have come before: the ledger is asked only when its rows are written."""


class Source(Protocol):
    """One source, open."""

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield what has come since `position` (None: from the beginning), in an order that may be committed as it comes.

        Raises `SourceFailed` when the other side cannot be reached or does not answer as agreed.
        """

    def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Rangeable(Protocol):
    """A source that can be asked again for what is of a range of days."""

    def between(self, period: Period) -> Iterator[Arrival]:
        """Yield what is of these days, however often it was fetched before; positions do not count."""


def open_source(company: Company, contract: Contract) -> Source:
    """Return the source that a contract with `source` settings names."""
    assert contract.source is not None
    source: Source = load(KINDS[contract.source.kind][1])(company, contract)
    return source
