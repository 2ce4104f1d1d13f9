"""Events into the online store as they come: a stream's messages become rows of a feature view, before the lake has them.

The view's source is the raw table of the stream's contract, which `stocklake listen` fills: so one definition gives history
and, pushed by this module from a reader of its own on the same stream, the newest value. Nothing here waits for the lake's
writer. A message that the contract refuses is not pushed (the lake quarantines it). Delivery is at least once and writing
never goes back in time, so whatever dies or is repeated ends the same.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import polars as pl
from filelock import FileLock, Timeout

from features.registry import open_store
from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import InputError, StocklakeError
from lake.sources.conforming import conform
from lake.sources.readers import reader
from lake.sources.streams.broker import Broker, Message
from lake.sources.streams.jetstream import JetStream
from lake.sources.streams.messages import write_batch
from lake.sources.streams.settings import NatsSettings

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

PAUSE_S = 0.2
LONGEST_PAUSE_S = 60.0
AHEAD = timedelta(minutes=5)
"""How far an event's own time may lie beyond the moment at which the broker stored it: a clock that is far ahead would hold
back all that comes after."""
KNOWN_AT = "_known_at"
"""When raw says that a row became known; of an event, when the broker stored it."""
_STORED_AT = "stored at"


@dataclass(frozen=True)
class Reached:
    """How far a view has read its stream; what stands in the home, after the write that it tells of."""

    stream: str
    created: str
    sequence: int = 0


@dataclass
class Pushed:
    """What one look at a stream brought."""

    dataset: str
    events: int = 0
    written: int = 0
    """Rows that were not older than what stood."""
    refused: int = 0
    """Messages that are not what the contract says."""
    ahead: int = 0
    """Events from the future, by their own account: history has them from then on, online they never count."""
    problem: str | None = None


class Pusher:
    """One stream into one view."""

    def __init__(
        self,
        company: Company,
        contract: Contract,
        store: "FeatureStore",
        view: "FeatureView",
        connect: Callable[[], Broker] | None = None,
    ) -> None:
        """Check that the contract has what the view needs; raises `InputError` for what it lacks or hides."""
        self.contract, self.store, self.view = contract, store, view
        if not isinstance(contract.source, NatsSettings):
            raise InputError(
                f"{contract.path} is no stream: `online.streams` in company.yaml names contracts of kind nats."
            )
        self.settings = contract.source
        consumer = f"stocklake_{company.name}_{contract.dataset}_online"
        self._connect = connect or (lambda: JetStream(self.settings, consumer))
        self._broker: Broker | None = None
        self._columns = _columns(contract, view)
        self._reached = company.feast / f"pushed-{contract.dataset}.json"
        self._turn = FileLock(company.feast / f"pushed-{contract.dataset}.lock")
        try:
            self._turn.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"Another process pushes {contract.dataset} already: use that one, or stop it."
            ) from error

    def look(self) -> Pushed:
        """Push what the stream holds now. A broker or store that fails is told in `problem`; the next look connects anew."""
        done = Pushed(self.contract.dataset)
        try:
            self._look(done)
        except (StocklakeError, OSError) as error:
            done.problem = str(error)
            self._disconnect()
        return done

    def close(self) -> None:
        """Let go of the broker and of the stream's turn."""
        self._disconnect()
        self._turn.release()

    def _look(self, done: Pushed) -> None:
        if self._broker is None:
            self._broker = self._connect()
            self._at = self._resume(self._broker)
        while messages := self._broker.fetch(self.settings.batch_rows):
            news = [message for message in messages if message.sequence > self._at.sequence]
            if news:
                self._push(news, done)
                self._at = Reached(self._at.stream, self._at.created, news[-1].sequence)
                _replace(self._reached, json.dumps(asdict(self._at)))
            self._broker.acknowledge(messages[-1].sequence)

    def _resume(self, broker: Broker) -> Reached:
        stream = broker.incarnation()
        at = Reached(stream.stream, stream.created)
        if self._reached.exists():
            before = Reached(**json.loads(self._reached.read_text(encoding="utf-8")))
            if (before.stream, before.created) == (
                at.stream,
                at.created,
            ) and before.sequence <= stream.last_sequence:
                at = before
        broker.seek(at.sequence)
        return at

    def _push(self, messages: Sequence[Message], done: Pushed) -> None:
        from features.stores.online_format import batch_of_table

        rows = self._rows(messages)
        done.events += len(messages)
        done.refused += len(messages) - len(rows)
        if rows.is_empty():
            return
        happened = rows[self.view.batch_source.timestamp_field].cast(pl.Datetime("us"))
        is_ahead = happened > rows[_STORED_AT] + AHEAD
        rows = rows.filter(~is_ahead.fill_null(False)).drop(_STORED_AT)
        done.ahead += int(is_ahead.sum())
        if rows.is_empty():
            return
        batch = batch_of_table(self.view, rows.to_arrow())
        done.written += self.store.provider.online_store.put(self.store.config, self.view, batch)

    def _rows(self, messages: Sequence[Message]) -> pl.DataFrame:
        """Return the messages that the lake would load, as rows of the view's columns, with when the broker stored each."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.jsonl"
            write_batch(path, messages, message_bytes=self.settings.message_bytes, field=None)
            blocks = reader(self.contract)(path, path.name, self.contract)
            good = [conform(block, self.contract, {}).good for block in blocks]
        if not good:
            return pl.DataFrame()
        frame = pl.concat(good)
        stored = pl.Series(KNOWN_AT, [message.broker_time.replace(tzinfo=None) for message in messages])
        frame = frame.with_columns(stored.gather(frame["_line"].cast(pl.UInt32) - 1))
        columns = [pl.col(column).alias(name) for name, column in self._columns.items()]
        return frame.select(*columns, pl.col(KNOWN_AT).alias(_STORED_AT))

    def _disconnect(self) -> None:
        if self._broker is not None:
            self._broker.close()
            self._broker = None


def push_streams(
    company: Company,
    contracts: Sequence[Contract],
    *,
    stop: Event,
    tell: Callable[[Pushed], None],
) -> None:
    """Push what the streams of `online.streams` bring until `stop` is set; `tell` gets every look that brought something.

    Raises `InputError` before anything is pushed, for a contract or view that is not there or does not fit.
    """
    pushers = make_pushers(company, contracts)
    failures, due = dict.fromkeys(range(len(pushers)), 0), dict.fromkeys(range(len(pushers)), 0.0)
    try:
        while not stop.is_set():
            for number, pusher in enumerate(pushers):
                if stop.is_set() or time.monotonic() < due[number]:
                    continue
                done = pusher.look()
                failures[number] = failures[number] + 1 if done.problem else 0
                pause = min(2.0 ** (failures[number] - 1), LONGEST_PAUSE_S) if done.problem else PAUSE_S
                due[number] = time.monotonic() + pause
                if done.events or done.problem:
                    tell(done)
            stop.wait(max(0.0, min(due.values()) - time.monotonic()))
    finally:
        for pusher in pushers:
            pusher.close()


def make_pushers(company: Company, contracts: Sequence[Contract]) -> list[Pusher]:
    """Return a pusher for each line of `online.streams` in company.yaml."""
    wanted = company.settings.online.streams
    if not wanted:
        raise InputError("company.yaml names no stream to push: write `online: {streams: {DATASET: VIEW}}`.")
    known = {contract.dataset: contract for contract in contracts}
    store = open_store(company)
    views = {view.name: view for view in store.list_feature_views()}
    made: list[Pusher] = []
    try:
        for dataset, view in wanted.items():
            if dataset not in known or view not in views:
                what = f"contract {dataset!r}" if dataset not in known else f"feature view {view!r}"
                raise InputError(
                    f"company.yaml, online.streams: there is no {what}: correct the name, or write it."
                )
            made.append(Pusher(company, known[dataset], store, views[view]))
    except BaseException:
        for pusher in made:
            pusher.close()
        raise
    return made


def _columns(contract: Contract, view: "FeatureView") -> dict[str, str]:
    """Return, for each column of the view, the contract's column that it is."""
    source = view.batch_source
    original = {feature: column for column, feature in source.field_mapping.items()}
    names = [*view.join_keys, *(feature.name for feature in view.features), source.timestamp_field]
    names += [source.created_timestamp_column] if source.created_timestamp_column else []
    columns = {name: original.get(name, name) for name in names}
    there = {column.name: column for column in contract.columns}
    for name, column in columns.items():
        if column == KNOWN_AT:
            continue
        if column not in there:
            raise InputError(
                f"Feature view {view.name!r} needs {column!r}, which {contract.path} does not have: correct the view's source "
                "(field_mapping), or online.streams in company.yaml."
            )
        if there[column].is_hidden:
            raise InputError(
                f"{contract.path}: {column} is personal data that is not kept: feature {name!r} cannot be made of it."
            )
    return columns


def _replace(path: Path, text: str) -> None:
    making = path.with_suffix(".making")
    making.write_text(text, encoding="utf-8")
    making.replace(path)
