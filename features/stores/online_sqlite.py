"""LakeSqliteOnlineStore: Feast's SQLite online store, written and read by columns, that never goes back in time.

Tables are Feast's own, a row per entity and feature, so that Feast's stock store reads what stands here; they are kept in
the order of their keys (WITHOUT ROWID), which halves the cost of writing. A column of ours beside Feast's, `within_second`,
holds the microseconds of both moments (event times a million, plus known), which Feast's whole seconds leave out.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

from features.stores.online_format import Batch
from features.stores.online_writing import WrittenByColumns
from features.stores.point_in_time import quote
from lake.errors import StocklakeError

BATCH_ROWS = 10_000
"""Entities that are written in one transaction."""
READ_ROWS = 500
SECOND_US = 1_000_000
_BUSY_MS = 60_000
_PAGE_BYTES = 16_384
_CACHE_KB = 65_536
"""A batch fits in it; with less, pages are written several times."""


class LakeSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """The `online_store` block of feature_store.yaml: Feast's settings of SQLite."""

    type: Literal["features.stores.online_sqlite.LakeSqliteOnlineStore"] = (
        "features.stores.online_sqlite.LakeSqliteOnlineStore"
    )


class LakeSqliteOnlineStore(WrittenByColumns, SqliteOnlineStore):  # type: ignore[misc]
    """Feast's SQLite store with a writer and a reader for thousands of entities."""

    def put(self, config: RepoConfig, view: FeatureView, batch: Batch) -> int:
        """Write a batch and return how many rows were not older than what stood; `BATCH_ROWS` rows are one transaction.

        Raises `StocklakeError` when the disk is full or somebody else holds the file for a minute.
        """
        names = sorted(batch.cells)
        statement = _upsert(_table(config, view), names)
        with _told(config):
            connection = self._get_conn(config)
            before = connection.total_changes
            for start in range(0, len(batch), BATCH_ROWS):
                rows = _rows(batch.slice(start, BATCH_ROWS), names)
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(statement, rows)
            return (connection.total_changes - before) // max(1, len(names))

    def fetch(
        self, config: RepoConfig, views: dict[str, list[str]], keys: pa.Array
    ) -> dict[str, tuple[list[datetime | None], list[Sequence[bytes | None]]]]:
        """Return of each view what stands for the entity keys: moments (naive UTC), and the cells of each feature."""
        connection = self._get_conn(config)
        _require(connection, [f"{config.project}_{view}" for view in views])
        asked = keys.to_pylist()
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(asked):
            places.setdefault(key, []).append(place)
        distinct = list(places)
        found: dict[str, tuple[list[datetime | None], list[Sequence[bytes | None]]]] = {}
        for view, names in views.items():
            moments: list[datetime | None] = [None] * len(asked)
            columns: dict[str, list[bytes | None]] = {name: [None] * len(asked) for name in names}
            for start in range(0, len(distinct), READ_ROWS):
                some = distinct[start : start + READ_ROWS]
                # `+event_ts` has no declared type: Feast's converter would make each a datetime.
                sql = (
                    f"SELECT entity_key, feature_name, value, +event_ts FROM {quote(f'{config.project}_{view}')} "
                    f"WHERE entity_key IN ({','.join('?' * len(some))})"
                )
                for key, name, value, event_s in connection.execute(sql, [*map(bytearray, some)]):
                    for place in places[key] if name in columns else ():
                        columns[name][place] = value
                        if moments[place] is None:
                            moments[place] = datetime.fromtimestamp(event_s, UTC).replace(tzinfo=None)
            found[view] = (moments, [*columns.values()])
        return found

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Make the tables of views that are kept, one of Feast's stock store into one of ours; drop the others'."""
        connection = self._get_conn(config)
        for view in tables_to_keep:
            _make(connection, f"{config.project}_{view.name}")
        for view in tables_to_delete:
            connection.execute(f"DROP TABLE IF EXISTS {_table(config, view)}")

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        is_new = not self._conn
        connection: sqlite3.Connection = super()._get_conn(config)
        if is_new:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        return connection


@contextmanager
def _told(config: RepoConfig) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StocklakeError(
            f"The online store {config.online_store.path} could not be written ({error}): see that its disk has room and that "
            "nobody else holds it; what was not written is written by the next run."
        ) from error


def _table(config: RepoConfig, view: FeatureView) -> str:
    return quote(f"{config.project}_{view.name}")


def _require(connection: sqlite3.Connection, tables: list[str]) -> None:
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := sorted(set(tables) - known):
        raise StocklakeError(
            f"The online store has no table {', '.join(missing)}: bring it up to the definitions (`stocklake run`, or Feast's "
            "own `feast apply`)."
        )


def _make(connection: sqlite3.Connection, name: str) -> None:
    table, former = quote(name), quote(f"{name}_former")
    standing = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", [name]
    ).fetchone()
    if standing and "WITHOUT ROWID" in standing[0]:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if standing:
            connection.execute(f"DROP TABLE IF EXISTS {former}")
            connection.execute(f"ALTER TABLE {table} RENAME TO {former}")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, "
            "vector_value BLOB, event_ts timestamp, created_ts timestamp, within_second INTEGER, "
            "PRIMARY KEY (entity_key, feature_name)) WITHOUT ROWID"
        )
        if standing:
            columns = "entity_key, feature_name, value, event_ts, created_ts"
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {former}")
            connection.execute(f"DROP TABLE {former}")


def _rows(batch: Batch, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Return the parameters of the statement for each row: in the order of keys, the newest of one key last."""
    order = pc.sort_indices(
        pa.table({"key": batch.keys, "event": batch.event_us, "created": batch.created_us}),
        sort_keys=[("key", "ascending"), ("event", "ascending"), ("created", "ascending")],
    )
    moments = [(us // SECOND_US, us % SECOND_US) for us in (batch.event_us, batch.created_us)]
    (event_s, event_rest), (created_s, created_rest) = moments
    within = event_rest * SECOND_US + np.where(created_s < 0, 0, created_rest)
    numbers = [
        pa.array(event_s),
        pa.array(created_s, mask=created_s < 0),
        pa.array(within, mask=within == 0),
    ]
    keys, *cells = (
        _blobs(texts.take(order)) for texts in (batch.keys, *(batch.cells[name] for name in names))
    )
    return zip(keys, *(column.take(order).to_pylist() for column in numbers), *cells, strict=True)


def _blobs(texts: pa.Array) -> Iterator[bytearray]:
    """Return the texts as sqlite3 takes them at once: for each object of type bytes it looks for an adapter first."""
    return map(bytearray, texts.to_pylist())


def _upsert(table: str, names: list[str]) -> str:
    """Return the statement that writes one entity: key, second, second known, rests, then a value for each name.

    OR ROLLBACK: what fails undoes the transaction. With SQLite's own OR ABORT each statement keeps a copy of the pages that
    it changes, to be able to undo itself alone, and writes ten times as much as the values take.
    """
    rows = ", ".join(
        f"(?1, '{name.replace(chr(39), chr(39) * 2)}', ?{5 + place}, ?2, ?3, ?4)"
        for place, name in enumerate(names)
    )
    new, standing = (_moments(of) for of in ("excluded.", f"{table}."))
    return (
        f"INSERT OR ROLLBACK INTO {table} (entity_key, feature_name, value, event_ts, created_ts, within_second) "
        f"VALUES {rows} "
        "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, value_text = NULL, "
        "event_ts = excluded.event_ts, created_ts = excluded.created_ts, within_second = excluded.within_second "
        f"WHERE {new} >= {standing}"
    )


def _moments(of: str) -> str:
    rest = f"coalesce({of}within_second, 0)"
    return f"({of}event_ts, {rest} / {SECOND_US}, coalesce({of}created_ts, -1), {rest} % {SECOND_US})"
