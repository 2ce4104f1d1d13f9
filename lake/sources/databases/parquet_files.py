"""Arrow batches into Parquet files below `arriving`, row group by row group, cut where a position may stand."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 100_000


@dataclass(frozen=True)
class Piece:
    """One complete file."""

    path: Path
    rows: int
    first: tuple[Any, ...]
    """The cursor's values in the first row."""
    last: tuple[Any, ...]


class PieceWriter:
    """Writes one file at a time; memory holds one batch."""

    def __init__(
        self, folder: Path, cursor: Sequence[str] = (), constants: Mapping[str, Any] | None = None
    ) -> None:
        """`constants` are columns that every row gets, unless the batches have them."""
        self.folder, self.cursor, self.constants = folder, tuple(cursor), constants or {}
        self.rows = 0
        self._count = 0
        self._writer: pq.ParquetWriter | None = None
        self._first: tuple[Any, ...] = ()
        self._last: tuple[Any, ...] = ()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows to the open file."""
        if not batch.num_rows:
            return
        batch = self._with_constants(batch)
        if self._writer is None:
            self._count += 1
            self._path = self.folder / f"{self._count}.parquet"
            self._writer = pq.ParquetWriter(self._path, batch.schema, compression="zstd")
            self._first = self._cursor_at(batch, 0)
        self._writer.write_batch(batch, row_group_size=GROUP_ROWS)
        self._last = self._cursor_at(batch, batch.num_rows - 1)
        self.rows += batch.num_rows

    def finish(self) -> Piece | None:
        """Complete the open file and return it; None if it would have no rows."""
        if self._writer is None:
            return None
        self._writer.close()
        self._writer, rows, self.rows = None, self.rows, 0
        return Piece(self._path, rows, self._first, self._last)

    def abandon(self) -> None:
        """Close the open file without an end; what is left of it is not for loading."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._path.unlink()

    def _with_constants(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, value in self.constants.items():
            if name not in batch.schema.names:
                batch = batch.append_column(name, pa.repeat(pa.scalar(value), batch.num_rows))
        return batch

    def _cursor_at(self, batch: pa.RecordBatch, row: int) -> tuple[Any, ...]:
        return tuple(batch.column(name)[row].as_py() for name in self.cursor)


def pieces(
    reader: pa.RecordBatchReader, writer: PieceWriter, rows_per_file: int | None, *, keep_ties: bool
) -> Iterator[Piece]:
    """Write all batches into files of about `rows_per_file` rows (None: one file) and yield each when it is complete.

    `keep_ties`: rows with the same cursor stand in one file, whatever its size.
    """
    try:
        for batch in reader:
            rest = batch
            while rows_per_file and writer.rows + rest.num_rows >= rows_per_file:
                end = _cut(rest, max(rows_per_file - writer.rows, 1), writer.cursor if keep_ties else ())
                if end is None:
                    break
                writer.write(rest.slice(0, end))
                rest = rest.slice(end)
                if piece := writer.finish():
                    yield piece
            writer.write(rest)
        if piece := writer.finish():
            yield piece
    finally:
        writer.abandon()


def _cut(batch: pa.RecordBatch, wanted: int, cursor: Sequence[str]) -> int | None:
    """Return how many of the batch's rows end a file: `wanted`, or the next more after which the cursor changes."""
    if not cursor:
        return wanted if wanted <= batch.num_rows else None
    changes = np.zeros(max(batch.num_rows - 1, 0), dtype=bool)
    for name in cursor:
        column = batch.column(name)
        changes |= ~np.asarray(
            pa.compute.equal(column.slice(1), column.slice(0, batch.num_rows - 1)).to_numpy(
                zero_copy_only=False
            ),
            dtype=bool,
        )
    ends = np.flatnonzero(changes) + 1
    later = ends[ends >= wanted]
    return int(later[0]) if len(later) else None


def name_part(value: object) -> str:
    """Write a value so that it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(value)).strip("-")[:60] or "empty"
