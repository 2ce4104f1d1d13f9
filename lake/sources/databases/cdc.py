"""A PostgreSQL table by its change log: a snapshot that fits the slot to the transaction, then every change, whole
transactions at a time.

The position is the place in the log behind the last transaction that the lake holds; it commits with the rows, and only
then is it confirmed to the server, which keeps everything behind it. What the server no longer has is a gap: it is
named, and closed by a new snapshot where the contract says so.
"""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.databases.arrow import batches
from lake.sources.databases.changes import ChangeBatch
from lake.sources.databases.connecting import Database
from lake.sources.databases.deletions import tombstones
from lake.sources.databases.parquet_files import PieceWriter, pieces
from lake.sources.databases.pgoutput import (
    Begin,
    Change,
    Commit,
    MalformedMessage,
    Relation,
    Truncate,
    decode,
)
from lake.sources.databases.published import Published
from lake.sources.databases.relations import look_at
from lake.sources.databases.replication import Slot, SlotState, lsn_number, lsn_text
from lake.sources.databases.settings import COMMIT_LSN, COMMIT_TIME, OPERATION, CdcSettings
from lake.sources.port import Arrival, Position
from lake.sources.turns import fetching, note_position

_SEGMENT = 16 << 20
"""Bytes of log that change nothing here, after which the position moves on all the same."""


class ChangeSource:
    """A table's changes as a source (`kind: postgres_cdc`)."""

    def __init__(self, company: Company, contract: Contract) -> None:
        """Nothing is connected yet."""
        assert isinstance(contract.source, CdcSettings)
        self.company, self.contract, self.settings = company, contract, contract.source
        self.database = Database(self.settings, contract.dataset)
        self.lake = Lake.of(company)
        name = self.settings.slot or f"stocklake_{company.name}_{contract.dataset}"[:63]
        self.slot = Slot(self.database, name, self.settings.publication or name)

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield a snapshot where there is no position, then the changes up to where the log ends now."""
        with fetching(self.company, self.contract) as (folder, committed):
            place = dict(committed or position or {}) or None
            published = Published(self.slot, self.contract, self.settings)
            self._table = published.table
            identity = self.slot.identity()
            state = self.slot.state()
            gap = self._gap(place, identity, state, published) if place else None
            if gap and self.settings.on_gap == "fail":
                raise SourceFailed(gap)
            published.ensure()
            if place is None or gap:
                place = identity | {"slot": self.slot.name, "table": self.settings.table}
                yield from self._snapshot(folder, place, state)
            yield from self._follow(folder, place)
            self._confirm(lsn_number(place["lsn"]))
            self._guard(state, self.slot.state())

    def is_ours(self, relation: Relation) -> bool:
        """Whether a table in the log is the one of the contract."""
        return (relation.schema, relation.name) == self._table

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def _gap(
        self, place: dict[str, Any], identity: dict[str, Any], state: SlotState | None, published: Published
    ) -> str | None:
        """Return the sentence about changes that are lost; None if the log goes on where the lake stands."""
        lsn, name = lsn_number(place["lsn"]), self.slot.name
        end = self.slot.end_of_log()
        if place["table"] != self.settings.table:
            what = f"the contract now reads {self.settings.table}, and the position is of {place['table']}"
        elif any(place[key] != value for key, value in identity.items()):
            what = "the server is another one, or was restored, since the last fetch (its identity or timeline changed)"
        elif state is None or place["slot"] != name:
            what = f"the replication slot {place['slot'] if state else name} is gone"
        elif state.wal_status == "lost":
            what = (
                f"the server has thrown away log that the slot {name} still needed (max_slot_wal_keep_size)"
            )
        elif lsn < state.confirmed_lsn:
            lost = (state.confirmed_lsn - lsn) / 1048576
            what = (
                f"the lake stands at {place['lsn']} (restored from a copy?) and the server has let go of all before"
                f" {lsn_text(state.confirmed_lsn)}, {lost:.1f} MB of log later"
            )
        elif lsn > end:
            what = f"the server's log ends at {lsn_text(end)}, before {place['lsn']} where the lake stands: it was restored"
        elif not published.is_there:
            what = f"the publication {self.slot.publication} no longer has the table {self.settings.table}"
        else:
            return None
        return (
            f"Changes of {self.contract.dataset} are lost: {what}; set `on_gap: snapshot` in its contract to read the"
            " whole table again, and run again."
        )

    def _snapshot(self, folder: Path, place: dict[str, Any], state: SlotState | None) -> Iterator[Arrival]:
        """Yield all rows as the log's first place sees them; fill in the place.

        Only the last file has a position: until it stands, the next fetch begins again. A slot that is there already is
        kept; changes between its place and the snapshot come twice, and are older than what the snapshot brought.
        """
        is_usable = state is not None and state.wal_status != "lost"
        if not is_usable and not self.settings.create:
            raise SourceFailed(
                f"There is no usable replication slot {self.slot.name} in {self.database.place}: have a DBA run SELECT"
                f" pg_create_logical_replication_slot('{self.slot.name}', 'pgoutput'), or set `create: true`."
            )
        lake_snapshot = self.lake.snapshot() if self.lake.exists else None
        making = (
            nullcontext((state.confirmed_lsn if state else 0, None)) if is_usable else self.slot.created()
        )
        with making as (lsn, snapshot), self.database.session() as session:
            place["lsn"] = lsn_text(lsn)
            exported = snapshot or session.snapshot()
            relation = look_at(session, self.settings.table, None)
            now = session.value("SELECT now() AT TIME ZONE 'UTC'")
            assert isinstance(now, datetime)
            place["committed_at"] = now.isoformat(sep=" ")
            name = f"{self.contract.dataset}_snapshot_{place['lsn'].replace('/', '-')}"
            if lake_snapshot is not None:
                keys = relation.select([self.contract.column(key).source_name for key in self.contract.keys])
                with self.database.asking("Comparing keys"), batches(session, keys, exported) as reader:
                    gone = tombstones(self.lake, lake_snapshot, self.contract, reader, folder, now)
                if gone is not None:
                    yield Arrival(f"{name}_deleted.parquet", gone.path)
            writer = PieceWriter(folder, constants=self._constants(lsn, now))
            held = None
            with (
                self.database.asking("Reading the snapshot"),
                batches(session, relation.select(), exported) as reader,
            ):
                for number, piece in enumerate(
                    pieces(reader, writer, self.settings.rows_per_file, keep_ties=False)
                ):
                    if held is not None:
                        yield held
                    held = Arrival(f"{name}_{number + 1}.parquet", piece.path, dict(place))
        if held is None:
            note_position(self.company, self.contract, place)
            return
        yield held

    def _constants(self, lsn: int, now: datetime) -> dict[str, Any]:
        """Return what the rows of a snapshot say of themselves."""
        assert self.contract.deletion_column is not None
        facts = {COMMIT_TIME: now.isoformat(sep=" "), COMMIT_LSN: str(lsn), OPERATION: "snapshot"}
        there = {column.source_name for column in self.contract.columns}
        deleted = self.contract.column(self.contract.deletion_column).source_name
        return {deleted: False} | {name: value for name, value in facts.items() if name in there}

    def _follow(self, folder: Path, place: dict[str, Any]) -> Iterator[Arrival]:
        """Yield all transactions that are committed now, some at a time, in the log's order."""
        target = self.slot.end_of_log()
        is_done = False
        while not is_done:
            start = lsn_number(place["lsn"])
            self.slot.confirm(
                start
            )  # the log is read from there on; a crash may have kept it from being told
            reading = _Reading(self, ChangeBatch(self.lake, self.contract, folder), place)
            is_done = reading.read(target)
            end = reading.end or start
            piece = reading.batch.finish()
            place["committed_at"] = reading.committed_at.isoformat(sep=" ")
            if piece is not None:
                place["lsn"] = lsn_text(end)
                name = f"lsn_{lsn_text(start)}_to_{lsn_text(end)}".replace("/", "-")
                yield Arrival(
                    f"{self.contract.dataset}_{name}.parquet",
                    piece.path,
                    dict(place),
                    partial(self._confirm, end),
                )
            elif not is_done or target - start > _SEGMENT:
                place["lsn"] = lsn_text(target if is_done else end)
                note_position(self.company, self.contract, place)

    def _confirm(self, lsn: int) -> None:
        """Let the server forget what stands. If that fails, the next fetch confirms it: the rows are committed."""
        with suppress(SourceFailed):
            self.slot.confirm(lsn)

    def _guard(self, before: SlotState | None, after: SlotState | None) -> None:
        """Raise `SourceFailed` when the slot keeps the server from deleting more log than the contract allows."""
        lag_mb = max((state.lag_mb for state in (before, after) if state), default=0.0)
        if lag_mb > self.settings.maximum_lag_mb:
            raise SourceFailed(
                f"The replication slot {self.slot.name} made {self.database.place} keep {lag_mb:.0f} MB of log, more than"
                f" {self.settings.maximum_lag_mb} MB (all of it that was committed is loaded now): fetch more often, and set"
                " max_slot_wal_keep_size on the server; a slot that nobody reads fills its disk, so drop it with SELECT"
                f" pg_drop_replication_slot('{self.slot.name}') when the dataset is given up."
            )


class _Reading:
    """One stretch of the log into one batch."""

    def __init__(self, source: ChangeSource, batch: ChangeBatch, place: dict[str, Any]) -> None:
        self.source, self.batch = source, batch
        self.committed_at = datetime.fromisoformat(place["committed_at"])
        self.end: int | None = None
        self._begin: Begin | None = None

    def read(self, target: int) -> bool:
        """Read whole transactions until the batch is full or `target` is reached; say whether it was reached."""
        limit, count = self.source.settings.rows_per_file, 0
        with self.source.slot.messages(target, limit) as messages:
            for payload in messages:
                count += 1
                self._take(payload)
        return count < limit

    def _take(self, payload: bytes) -> None:
        try:
            message = decode(payload)
        except MalformedMessage as error:
            raise SourceFailed(
                f"The change log of {self.source.database.place} cannot be read: {error}; look at the server's version."
            ) from None
        match message:
            case Begin():
                self._begin = message
                # A server's clock may be set back; an order of commits may not.
                self.committed_at = max(self.committed_at, message.committed_at)
            case Commit():
                self._begin, self.end = None, message.end_lsn
            case Relation() if self.source.is_ours(message):
                self.batch.describe(message)
            case Change() if self.batch.relation is not None and message.oid == self.batch.relation.oid:
                assert self._begin is not None
                self.batch.change(self._begin, self.committed_at, message)
            case Truncate() if self.batch.relation is not None and self.batch.relation.oid in message.oids:
                assert self._begin is not None
                self.batch.truncate(self._begin, self.committed_at)
