"""Where deliveries wait between receiver and ingestion: one SQLite file per dataset, which also remembers ids.

A delivery is safe when its transaction has committed: SQLite then has written and synchronised its log. Many deliveries
share one transaction, so many share one wait for the disk. Several receivers may write, while ingestion reads.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

Outcome = Literal["landed", "repeated", "conflict"]

_TABLES = """
CREATE TABLE IF NOT EXISTS spool (incarnation TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, delivery_id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL,
    proof BLOB UNIQUE, received_at TEXT NOT NULL, body BLOB
);
CREATE INDEX IF NOT EXISTS waiting ON delivery (sequence) WHERE body IS NOT NULL;
"""


@dataclass(frozen=True)
class Received:
    """One delivery, checked."""

    delivery_id: str
    digest: bytes
    """SHA-256 of the body."""
    proof: bytes | None
    """Digest of what was signed, where no other id may use the same signature."""
    received_at: str
    body: bytes


class Spool:
    """The deliveries of one dataset, in the order of reception."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if it is not there; readable by its owner only."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = wal", "synchronous = full", "secure_delete = fast"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._connection.execute(statement)
            self._connection.execute(
                "INSERT INTO spool SELECT ? WHERE NOT EXISTS (SELECT * FROM spool)", [uuid.uuid4().hex]
            )
        self.incarnation = str(self._connection.execute("SELECT incarnation FROM spool").fetchone()[0])
        """Unlike that of any other spool, also of one that had the same path before."""

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def put(self, deliveries: Sequence[Received]) -> list[Outcome]:
        """Make deliveries safe, all in one transaction, and say what became of each.

        `repeated` is one that came before, `conflict` an id that came with another body, or a signature that came with
        another id; neither is kept. Raises `sqlite3.Error` when they cannot be kept; then none of them is.
        """
        with self._transaction():
            return [self._put(one) for one in deliveries]

    def _put(self, one: Received) -> Outcome:
        added = self._connection.execute(
            "INSERT INTO delivery (delivery_id, digest, proof, received_at, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [one.delivery_id, one.digest, one.proof, one.received_at, one.body],
        )
        if added.rowcount:
            return "landed"
        row = self._connection.execute(
            "SELECT digest FROM delivery WHERE delivery_id = ?", [one.delivery_id]
        ).fetchone()
        return "repeated" if row and row[0] == one.digest else "conflict"

    @property
    def newest(self) -> int:
        """The sequence of the newest delivery, 0 if there was none."""
        row = self._connection.execute("SELECT coalesce(max(sequence), 0) FROM delivery").fetchone()
        return int(row[0])

    def waiting(self, after: int, upto: int) -> Iterator[tuple[int, str, str, bytes]]:
        """Yield (sequence, delivery id, received at, body) of what waits, `after` < sequence <= `upto`, in order."""
        yield from self._connection.execute(
            "SELECT sequence, delivery_id, received_at, body FROM delivery"
            " WHERE body IS NOT NULL AND sequence > ? AND sequence <= ? ORDER BY sequence",
            [after, upto],
        )

    def forget(self, upto: int, remember_days: int | None) -> None:
        """Drop the bodies up to a sequence, which are in the lake, and ids older than so many days (None: no id)."""
        with self._transaction():
            self._connection.execute(
                "UPDATE delivery SET body = NULL WHERE body IS NOT NULL AND sequence <= ?", [upto]
            )
            if remember_days is not None:
                oldest = moment(datetime.now(UTC) - timedelta(days=remember_days))
                self._connection.execute(
                    "DELETE FROM delivery WHERE body IS NULL AND received_at < ?", [oldest]
                )

    @property
    def size_bytes(self) -> int:
        """Bytes in use: bodies that wait and ids that are remembered."""
        pages, free, page_bytes = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_bytes)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a disk that is full may have ended it
                self._connection.execute("ROLLBACK")
            raise


def moment(at: datetime) -> str:
    """Return a time in UTC as the spool writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
