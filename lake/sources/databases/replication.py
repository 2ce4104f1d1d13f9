"""A replication slot: made, checked, read and confirmed. What its messages mean is `pgoutput.py`.

The SQL for a DBA, where a contract says `create: false` (the role needs REPLICATION and SELECT on the table):

    CREATE PUBLICATION stocklake_acme_orders FOR TABLE public.orders WITH (publish_via_partition_root = true);
    SELECT pg_create_logical_replication_slot('stocklake_acme_orders', 'pgoutput');
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import adbc_driver_manager
import psycopg2
import pyarrow as pa
from psycopg2.extras import LogicalReplicationConnection

from lake.errors import SourceFailed
from lake.sources.databases.arrow import through_adbc
from lake.sources.databases.connecting import Database
from lake.sources.databases.pgoutput import PROTOCOL

BUSY_S = 10.0
"""How long a slot that somebody reads is waited for: a server notices the end of a connection late."""
_IN_USE = "55006"


def lsn_number(text: str) -> int:
    """Return a place in the log as a number: '16/B374D848' is 0x16B374D848."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(number: int) -> str:
    """Return a place in the log as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


@dataclass(frozen=True)
class SlotState:
    """What the server says of a slot."""

    confirmed_lsn: int
    """Changes before it are gone for good."""
    wal_status: str
    """reserved, extended, unreserved or lost."""
    lag_mb: float
    """Log that the server keeps for it."""


class Slot:
    """One slot and its publication in one database."""

    def __init__(self, database: Database, name: str, publication: str) -> None:
        """Nothing is connected yet."""
        self.database, self.name, self.publication = database, name, publication

    @contextmanager
    def control(self) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
        """Lend a connection that runs single statements, each committed by itself."""
        with self.database.asking("Asking for the replication slot"):
            connection = psycopg2.connect(
                self.database.libpq_url, connect_timeout=self.database.settings.connect_timeout_seconds
            )
            with closing(connection), connection.cursor() as cursor:
                connection.autocommit = True

                def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
                    cursor.execute(statement, values)
                    return list(cursor.fetchall()) if cursor.description else []

                yield run

    def state(self) -> SlotState | None:
        """Return the slot's state; None if there is none. `SourceFailed` if it is of another kind or database."""
        with self.control() as run:
            rows = run(
                """SELECT plugin, database = current_database(), confirmed_flush_lsn::text, wal_status,
                   coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::float8 / 1048576
                   FROM pg_replication_slots WHERE slot_name = %s""",
                self.name,
            )
        if not rows:
            return None
        plugin, is_here, confirmed, status, lag = rows[0]
        if plugin != "pgoutput" or not is_here:
            raise SourceFailed(
                f"The replication slot {self.name} belongs to another use (plugin {plugin}): name another `slot` in the"
                f" contract of {self.database.dataset}."
            )
        return SlotState(lsn_number(confirmed or "0/0"), str(status), float(lag))

    def end_of_log(self) -> int:
        """Return how far the server's log goes now."""
        with self.control() as run:
            return lsn_number(run("SELECT pg_current_wal_flush_lsn()::text")[0][0])

    def identity(self) -> dict[str, Any]:
        """Return which server this is: places in the log mean nothing on another, or after it was reset."""
        with self.database.asking("Asking for the server's identity"), closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("IDENTIFY_SYSTEM")
            system, timeline, *_ = cursor.fetchone()
        return {"system": str(system), "timeline": int(timeline)}

    @contextmanager
    def created(self) -> Iterator[tuple[int, str]]:
        """Make the slot anew; lend (its first place in the log, the snapshot of exactly that place)."""
        with self.database.asking("Making the replication slot"):
            self.drop()
            with closing(self._connect()) as connection:
                cursor = connection.cursor()
                cursor.execute(f'CREATE_REPLICATION_SLOT "{self.name}" LOGICAL pgoutput EXPORT_SNAPSHOT')
                _, lsn, snapshot, _ = cursor.fetchone()
                yield lsn_number(lsn), snapshot

    def drop(self) -> None:
        """Drop the slot if it is there; wait a little for whoever reads it."""
        self._when_free(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
            self.name,
        )

    def confirm(self, lsn: int) -> None:
        """Tell the server that all before `lsn` is kept; it may be told twice."""
        self._when_free(
            """SELECT pg_replication_slot_advance(slot_name, least(%s::pg_lsn, pg_current_wal_flush_lsn()))
               FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn < %s::pg_lsn""",
            lsn_text(lsn),
            self.name,
            lsn_text(lsn),
        )

    @contextmanager
    def messages(self, target: int, limit: int) -> Iterator[Iterator[bytes]]:
        """Open the messages of the transactions that committed before `target` and are not confirmed.

        No more begin once there are `limit` messages. Looking changes nothing on the server: it is not a stream with
        keepalives, whose answers would let the server go on before the lake does.
        """
        statement = (
            f"SELECT data FROM pg_logical_slot_peek_binary_changes('{self.name}', '{lsn_text(target)}', {limit},"
            f" 'proto_version', '{PROTOCOL}', 'publication_names', '{self.publication}')"
        )
        with self.database.asking("Reading the change log"), self._opened(statement) as reader:
            yield (value for batch in reader for value in batch.column(0).to_pylist())

    @contextmanager
    def _opened(self, statement: str) -> Iterator[pa.RecordBatchReader]:
        """Run a statement on the slot once nobody else reads it."""
        end = time.monotonic() + BUSY_S
        with ExitStack() as stack:
            while True:
                try:
                    reader = stack.enter_context(through_adbc(self.database, statement, None))
                    break
                except adbc_driver_manager.Error as error:
                    if error.sqlstate != _IN_USE or time.monotonic() > end:
                        raise
                    time.sleep(0.1)
            yield reader

    def _when_free(self, statement: str, *values: object) -> None:
        end = time.monotonic() + BUSY_S
        with self.control() as run:
            while True:
                try:
                    run(statement, *values)
                    return
                except psycopg2.errors.ObjectInUse:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)

    def _connect(self) -> Any:
        return psycopg2.connect(
            self.database.libpq_url,
            connection_factory=LogicalReplicationConnection,
            connect_timeout=self.database.settings.connect_timeout_seconds,
        )
