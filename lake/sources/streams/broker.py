"""The port of a message broker: what a stream has to offer so that every message stands in the lake exactly once.

A broker numbers the messages of a stream without gaps of its own making, and can be asked to begin at any number. NATS
JetStream (`jetstream.py`) is one; a Kafka partition with its offsets has the same shape. Batches and positions: `source.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the broker keeps it."""

    subject: str
    sequence: int
    """Its number in this incarnation of the stream; a later message has a larger one."""
    broker_time: datetime
    """UTC: when the broker stored it."""
    payload: bytes
    message_id: str | None = None
    """What its producer calls it, for the broker's own look at duplicates."""


@dataclass(frozen=True)
class Incarnation:
    """A stream as it stands: a store that was wiped and filled again is another one, though it has the same name."""

    stream: str
    created: str
    """When it was made, as the broker writes it; the same name made again has another."""
    first_sequence: int
    """Of the oldest message that is still there; what came before has expired, or was acknowledged away."""
    last_sequence: int
    """Of the newest message; 0 when there never was one."""
    keeps_acknowledged: bool = True
    """False: a queue, from which a message goes when it is acknowledged; its first sequence says nothing of loss."""


class Broker(Protocol):
    """One open connection to one stream. Every method raises `SourceFailed` when the broker does not do as asked."""

    def incarnation(self) -> Incarnation:
        """Return the stream as it stands now."""

    def stored_at(self, sequence: int) -> datetime | None:
        """Return when a message was stored; None when it is there no more."""

    def seek(self, after: int) -> None:
        """Let the next `fetch` begin with the first message whose sequence is larger than `after`."""

    def fetch(self, limit: int) -> Sequence[Message]:
        """Return up to `limit` messages that are there, in order and without a gap; none when there are no more.

        What was fetched before is not given again; it is gone only from this connection, not from the broker.
        """

    def acknowledge(self, up_to: int) -> None:
        """Tell the broker that every message up to this sequence is safe. Never raises: the next one says it again."""

    def close(self) -> None:
        """Let go of the connection."""
