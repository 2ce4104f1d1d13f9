"""Whole transactions of the change log as rows of a file: one row per change, in commit order; deletions as tombstones.

A value that the log does not repeat (a large one that an update left alone) is taken from the old row where the log has it,
else from the newest earlier change of that key in the file, else from the lake.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lake.connection import Lake, table_exists
from lake.contracts.model import Contract
from lake.errors import SourceFailed
from lake.sources.databases.deletions import live
from lake.sources.databases.parquet_files import Piece, PieceWriter
from lake.sources.databases.pgoutput import UNCHANGED, Begin, Change, Relation, Value
from lake.sources.databases.settings import COMMIT_LSN, COMMIT_TIME, OPERATION

PART_ROWS = 100_000
_BOOL, _BYTEA, _BPCHAR, _TIMESTAMPTZ = 16, 17, 1042, 1184
_WRITERS: dict[int, Callable[[str], str]] = {
    _BOOL: lambda text: "true" if text == "t" else "false",
    _BYTEA: lambda text: text.removeprefix("\\x"),
    _BPCHAR: lambda text: text.rstrip(" "),
    _TIMESTAMPTZ: lambda text: text.removesuffix("+00"),
}
"""Types that the log writes in another way than `relations.py` reads them."""
_FACTS = (COMMIT_TIME, COMMIT_LSN, OPERATION)

Row = list[Value]
Key = tuple[str | None, ...]


class ChangeBatch:
    """The changes of one delivery; memory holds the newest `PART_ROWS` of them."""

    def __init__(self, lake: Lake, contract: Contract, folder: Path) -> None:
        """Nothing is written yet; the log describes the table before its first change."""
        assert contract.deletion_column is not None
        self.lake, self.contract, self.folder = lake, contract, folder
        self.key_names = [contract.column(key).source_name for key in contract.keys]
        self.deleted = contract.column(contract.deletion_column).source_name
        self.facts = [name for name in _FACTS if any(one.source_name == name for one in contract.columns)]
        (folder / "parts").mkdir(exist_ok=True)
        self.parts = PieceWriter(folder / "parts")
        self.rows = 0
        self.relation: Relation | None = None
        """The table as the log described it last."""
        self._buffer: list[Row] = []
        self._paths: list[Path] = []
        self._unresolved: dict[int, tuple[list[str], Key]] = {}

    def describe(self, relation: Relation) -> None:
        """Take the table as it is from here on."""
        if relation == self.relation:
            return
        self._flush()
        self.relation = relation
        names = [column.name for column in relation.columns]
        if missing := [name for name in self.key_names if name not in names]:
            raise SourceFailed(
                f"The table {relation.schema}.{relation.name} (dataset {self.contract.dataset}) has lost the key column"
                f" {missing[0]!r} (it has {', '.join(names[:12])}): correct the key in the contract, and take a new"
                " snapshot with `on_gap: snapshot`."
            )
        self._keys = [names.index(name) for name in self.key_names]

    def change(self, begin: Begin, committed_at: datetime, change: Change) -> None:
        """Add a row inserted, updated or deleted; `committed_at` never goes back from one transaction to the next."""
        facts = self._facts(begin, committed_at)
        old, new = change.old, change.new
        if new is None:
            assert old is not None
            self._add(old, True, facts("delete"))
            return
        before = new
        if old is not None:
            assert self.relation is not None
            # An old row of key columns alone says nothing of the others.
            has_all, before = self.relation.is_full, old
            new = [
                old[i] if value is UNCHANGED and (has_all or i in self._keys) else value
                for i, value in enumerate(new)
            ]
            if self._key(new) != self._key(old):
                self._add(
                    [value if i in self._keys else None for i, value in enumerate(old)], True, facts("delete")
                )
        if UNCHANGED in new:
            left = [
                column.name for column, value in zip(self._columns, new, strict=True) if value is UNCHANGED
            ]
            self._unresolved[self.rows] = (left, self._written(self._key(before)))
        self._add(new, False, facts(change.operation))

    def truncate(self, begin: Begin, committed_at: datetime) -> None:
        """Add a tombstone for every key that stands: in the lake, or earlier in this batch."""
        self._flush()
        facts = self._facts(begin, committed_at)("truncate")
        earlier = list(self._paths)
        for keys in self._keys_in_lake():
            self._add_keys(keys, facts)
        for path in earlier:
            self._add_keys(
                pl.read_parquet(path, columns=self.key_names).unique(maintain_order=True).rows(), facts
            )

    def finish(self) -> Piece | None:
        """Return the file; None if nothing changed. `SourceFailed` if a value can be found nowhere."""
        self._flush()
        if not self._paths:
            return None
        patches = self._resolved() if self._unresolved else {}
        if len(self._paths) == 1 and not patches:
            return Piece(self._paths[0], self.rows, (), ())
        schema = pa.unify_schemas([pq.read_schema(path) for path in self._paths])
        writer, first = PieceWriter(self.folder), 0
        for path in self._paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    writer.write(_patched(batch, schema, patches, first))
                    first += batch.num_rows
            path.unlink()
        return writer.finish()

    @property
    def _columns(self) -> Sequence[Any]:
        assert self.relation is not None
        return self.relation.columns

    def _facts(self, begin: Begin, committed_at: datetime) -> Callable[[str], Row]:
        known = {COMMIT_TIME: committed_at.isoformat(sep=" "), COMMIT_LSN: str(begin.commit_lsn)}
        return lambda operation: [(known | {OPERATION: operation})[name] for name in self.facts]

    def _key(self, row: Row) -> Row:
        return [row[i] for i in self._keys]

    def _written(self, key: Row) -> Key:
        """Write a key as it stands in files."""
        found: list[str | None] = []
        for i, value in zip(self._keys, key, strict=True):
            write = _WRITERS.get(self._columns[i].type_oid)
            text = value if isinstance(value, str) else None
            found.append(write(text) if write and text is not None else text)
        return tuple(found)

    def _add(self, row: Row, is_deleted: bool, facts: Row) -> None:
        self._buffer.append([*row, "true" if is_deleted else "false", *facts])
        self.rows += 1
        if len(self._buffer) >= PART_ROWS:
            self._flush()

    def _add_keys(self, keys: Sequence[Sequence[Any]], facts: Row) -> None:
        for key in keys:
            row: Row = [None] * len(self._columns)
            for i, value in zip(self._keys, key, strict=True):
                row[i] = value
            self._add(row, True, facts)

    def _flush(self) -> None:
        """Write the buffer as one part, column by column."""
        if not self._buffer:
            return
        names = [*(column.name for column in self._columns), self.deleted, *self.facts]
        oids = [*(column.type_oid for column in self._columns), *[0] * (1 + len(self.facts))]
        arrays = []
        for values, oid in zip(zip(*self._buffer, strict=True), oids, strict=True):
            write = _WRITERS.get(oid)
            texts = [None if value is UNCHANGED else value for value in values]
            arrays.append(
                pa.array(
                    [write(one) if one is not None else None for one in texts] if write else texts,
                    pa.string(),
                )
            )
        self.parts.write(pa.record_batch(arrays, names=names))
        piece = self.parts.finish()
        assert piece is not None
        self._paths.append(piece.path)
        self._buffer = []

    def _resolved(self) -> dict[tuple[int, str], str | None]:
        """Return what stands in the places that the log left open: (row, column) -> value."""
        names = sorted({name for columns, _ in self._unresolved.values() for name in columns})
        wanted = pl.DataFrame(
            sorted({key for _, key in self._unresolved.values()}, key=str),
            schema=dict.fromkeys(self.key_names, pl.String),
            orient="row",
        )
        scanned = pl.concat([pl.scan_parquet(path) for path in self._paths], how="diagonal").with_row_index(
            "#row"
        )
        ours = scanned.join(wanted.lazy(), on=self.key_names, how="semi")
        rows = ours.select("#row", self.deleted, *self.key_names, *names).sort("#row").collect()
        standing = self._in_lake(wanted, names)
        found: dict[tuple[int, str], str | None] = {}
        moved = {row: key for row, (_, key) in self._unresolved.items()}
        for row, is_deleted, *values in self._with_moved(rows, moved, scanned):
            key, now = (
                tuple(values[: len(self.key_names)]),
                dict(zip(names, values[len(self.key_names) :], strict=True)),
            )
            before = standing.get(moved.get(row, key), {})
            for name in self._unresolved.get(row, ([], ()))[0]:
                if name not in before:
                    raise self._nowhere(name, key)
                found[row, name] = now[name] = before[name]
            if is_deleted == "false":
                standing[key] = now
        return found

    def _with_moved(
        self, rows: pl.DataFrame, moved: Mapping[int, Key], scanned: pl.LazyFrame
    ) -> list[tuple[Any, ...]]:
        """Add rows that are open themselves under a key they have only just got."""
        there = set(rows["#row"])
        others = [row for row in moved if row not in there]
        if not others:
            return rows.rows()
        more = scanned.filter(pl.col("#row").is_in(others)).select(rows.columns).collect()
        return pl.concat([rows, more]).sort("#row").rows()

    def _in_lake(self, wanted: pl.DataFrame, names: Sequence[str]) -> dict[Key, dict[str, str | None]]:
        known = {column.source_name: column for column in self.contract.columns}
        readable = [name for name in names if name in known and not known[name].is_hidden]
        free = dict.fromkeys((name for name in names if name not in known), None)
        with self.lake.read() as connection:
            if not table_exists(connection, "raw", self.contract.dataset):
                return {}
            keys = [f'standing."{name}"::VARCHAR' for name in self.contract.keys]
            values = [f'standing."{known[name].name}"::VARCHAR' for name in readable]
            connection.register("wanted", wanted.to_arrow())
            quoted = [f'wanted."{name}"' for name in self.key_names]
            same = " AND ".join(
                f'standing."{name}" = TRY_CAST({text} AS {self.contract.column(name).duckdb_type})'
                for name, text in zip(self.contract.keys, quoted, strict=True)
            )
            found = connection.execute(
                f"SELECT {', '.join([*quoted, *values])} FROM {live(self.contract)} AS standing JOIN wanted ON {same}"
            ).fetchall()
        size = len(keys)
        return {row[:size]: free | dict(zip(readable, row[size:], strict=True)) for row in found}

    def _keys_in_lake(self) -> Iterator[list[tuple[Any, ...]]]:
        if not self.lake.exists:
            return
        with self.lake.read() as connection:
            if table_exists(connection, "raw", self.contract.dataset):
                keys = ", ".join(f'"{name}"::VARCHAR' for name in self.contract.keys)
                found = connection.execute(f"SELECT {keys} FROM {live(self.contract)}")
                while rows := found.fetchmany(PART_ROWS):
                    yield rows

    def _nowhere(self, name: str, key: Key) -> SourceFailed:
        relation = self.relation
        assert relation is not None
        table = f'"{relation.schema}"."{relation.name}"'
        return SourceFailed(
            f"The change log of {self.contract.dataset} does not repeat the large value of column {name!r} for key"
            f" {', '.join(map(str, key))}, and raw does not hold it: run ALTER TABLE {table} REPLICA IDENTITY FULL, and"
            " take a new snapshot with `on_gap: snapshot` and a new slot."
        )


def _patched(
    batch: pa.RecordBatch, schema: pa.Schema, patches: Mapping[tuple[int, str], str | None], first: int
) -> pa.RecordBatch:
    """Return a batch with all columns of `schema`, and the values of `patches` in their places (rows from `first` on)."""
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        ours = {row - first: value for (row, name), value in patches.items() if name == field.name}
        if any(0 <= row < batch.num_rows for row in ours):
            column = pa.array([ours.get(i, value) for i, value in enumerate(column.to_pylist())], field.type)
        arrays.append(column)
    return pa.record_batch(arrays, schema=schema)
