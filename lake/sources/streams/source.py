"""A stream as a source: messages in micro-batches, each a file of JSON lines with the position that it reaches.

The position is the stream's incarnation and the last sequence in it. A store that was wiped, restored from an older copy
or cut short is another stream under the same name: it is read from its beginning, and what producers send again is found
by the event's key. Nothing here knows which broker it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl
from filelock import FileLock, Timeout

from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.conforming import cast_text
from lake.sources.port import Arrival, Position
from lake.sources.streams.broker import Broker, Incarnation, Message
from lake.sources.streams.jetstream import JetStream
from lake.sources.streams.messages import write_batch
from lake.sources.streams.settings import NatsSettings


@dataclass(frozen=True)
class StreamPosition:
    """How far a dataset has read its stream; what stands in `meta.position`."""

    stream: str
    created: str
    sequence: int = 0
    """Of the last message that is committed; 0 before the first."""
    stored_at: str | None = None
    """When the broker stored that message: another time under this sequence is another message."""
    watermark: str | None = None
    """The newest event time so far, no later than its message was stored (UTC)."""
    late_events: int = 0
    """Events so far that were older than the watermark by more than `late_after_seconds`."""
    waiting: int = 0
    """Messages in the stream behind this position when it was taken (of all subjects): the lag."""


class StreamSource:
    """`lake.sources.port.Source` over any broker; `connect` opens one."""

    def __init__(
        self, company: Company, contract: Contract, settings: NatsSettings, connect: Callable[[], Broker]
    ) -> None:
        """Take the dataset's turn; the broker is asked when deliveries are."""
        self.company, self.contract, self.settings, self._connect = company, contract, settings, connect
        self._event_time = contract.column(settings.event_time) if settings.event_time else None
        self._broker: Broker | None = None
        # One reader per dataset: a second would fetch the same messages, and could commit an older position after a newer.
        # Taken before the caller reads the position, so that what it reads is what the last reader committed.
        turns = company.home / "streams"
        turns.mkdir(parents=True, exist_ok=True)
        self._turn = FileLock(turns / f"{contract.dataset}.lock")
        with suppress(Timeout):
            self._turn.acquire(timeout=0)

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield what the stream held when it was asked; nothing while another process reads the dataset.

        Raises `SourceFailed` when the broker fails, and, after all that is there was yielded, when messages expired before
        they were read.
        """
        if not self._turn.is_locked:
            return
        self._broker = broker = self._connect()
        stream = broker.incarnation()
        at = _resume(position, stream, broker)
        lost = stream.first_sequence - 1 - at.sequence if at.sequence and stream.keeps_acknowledged else 0
        if at.sequence < stream.last_sequence:
            broker.seek(at.sequence)
        first = at.sequence + 1
        while at.sequence < stream.last_sequence:
            messages = broker.fetch(self.settings.batch_rows)
            if not messages:
                break
            news = [message for message in messages if message.sequence > at.sequence]
            if not news:
                broker.acknowledge(messages[-1].sequence)
                continue
            arrival, at = self._arrival(broker, at, stream, news)
            yield arrival
        if lost > 0:
            raise SourceFailed(
                f"Up to {lost} messages of the stream {stream.stream} expired before {self.contract.dataset} read them"
                f" (sequences {first} to {stream.first_sequence - 1}): let the stream keep them longer (its limits), or read"
                " it more often; what was still there is loaded."
            )

    def close(self) -> None:
        """Let go of the broker and of the dataset's turn."""
        if self._broker is not None:
            self._broker.close()
        self._turn.release()

    def _arrival(
        self, broker: Broker, at: StreamPosition, stream: Incarnation, messages: Sequence[Message]
    ) -> tuple[Arrival, StreamPosition]:
        """Write a batch; return it and the position that it reaches."""
        last = messages[-1]
        self.company.arriving.mkdir(parents=True, exist_ok=True)
        made = "".join(character for character in stream.created if character.isdigit())[:14]
        name = f"{stream.stream}-{made}-{messages[0].sequence:012d}-{last.sequence:012d}.jsonl"
        path = self.company.arriving / f"{self.contract.dataset}-{name}"
        column = self._event_time
        texts = write_batch(
            path,
            messages,
            message_bytes=self.settings.message_bytes,
            field=column.source_name if column else None,
        )
        watermark, late = at.watermark, 0
        if column is not None:
            times = cast_text(pl.Series(texts, dtype=pl.String), column)[0]
            stored = pl.Series([message.broker_time.replace(tzinfo=None) for message in messages])
            watermark, late = _watermark(times, stored, at.watermark, self.settings.late_after_seconds)
        reached = replace(
            at,
            sequence=last.sequence,
            stored_at=_text(last.broker_time),
            watermark=watermark,
            late_events=at.late_events + late,
            waiting=max(stream.last_sequence - last.sequence, 0),
        )
        acknowledge = partial(broker.acknowledge, last.sequence)
        return Arrival(name, path, asdict(reached), acknowledge, is_new=True), reached


def nats_source(company: Company, contract: Contract) -> StreamSource:
    """Return the source of a contract of kind `nats`; its consumer is named after company and dataset."""
    settings = contract.source
    assert isinstance(settings, NatsSettings)
    consumer = f"stocklake_{company.name}_{contract.dataset}"
    return StreamSource(company, contract, settings, lambda: JetStream(settings, consumer))


def _resume(position: Position | None, stream: Incarnation, broker: Broker) -> StreamPosition:
    """Return where to go on: behind the position, or at the beginning of what is not the stream it was taken in."""
    fresh = StreamPosition(stream.stream, stream.created)
    if position is None:
        return fresh
    at = StreamPosition(**position)
    begun_again = replace(fresh, watermark=at.watermark, late_events=at.late_events)
    if (at.stream, at.created) != (stream.stream, stream.created) or stream.last_sequence < at.sequence:
        return begun_again
    stored = broker.stored_at(at.sequence) if at.sequence >= stream.first_sequence else None
    return begun_again if stored is not None and _text(stored) != at.stored_at else at


def _watermark(
    times: pl.Series, stored: pl.Series, watermark: str | None, late_after_seconds: float
) -> tuple[str | None, int]:
    """Return the watermark after a batch and how many of its events were late.

    `times` are event times (null: none), `stored` when the broker stored each. A clock that runs ahead moves the watermark
    no further than the message's own arrival.
    """
    before = None if watermark is None else datetime.fromisoformat(watermark).replace(tzinfo=None)
    frame = pl.DataFrame({"event": times.cast(pl.Datetime("us")), "stored": stored.cast(pl.Datetime("us"))})
    reached = pl.when(pl.col("event").is_not_null()).then(pl.min_horizontal("event", "stored"))
    running = reached.cum_max().forward_fill()
    running = pl.max_horizontal(running, pl.lit(before, pl.Datetime("us")))
    is_late = pl.col("event") < running - timedelta(seconds=late_after_seconds)
    late, newest = frame.select(is_late.sum().alias("late"), running.last().alias("newest")).row(0)
    return (None if newest is None else _text(newest)), int(late or 0)


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="microseconds")
