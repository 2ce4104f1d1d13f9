"""LakeRetrievalJob: a reading of the lake that happens when its result is asked for, whole, in pieces, or into Parquet.

Every way out goes through `pieces`, so a table, a dataframe, exported files and a saved dataset hold the same rows in
the same order, on-demand features included. Exporting holds one piece at a time; sorting spills to disk.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

PIECE_ROWS = 200_000
FILE_ROWS = 2_000_000


class LakeRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """A reading that happens when its result is asked for, each time anew."""

    def __init__(
        self,
        pieces: Callable[[], Iterator[pa.Table]],
        exports: Path,
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        """Keep the function that reads (at least one table, perhaps without rows); nothing is opened yet.

        `exports` is the folder below which `to_remote_storage` writes, and where relative paths of saved datasets begin.
        """
        self._pieces = pieces
        self._exports = exports
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self._pieces())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The on-demand views that Feast computes on top of the result."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for; None for a pull."""
        return self._metadata

    def supports_remote_storage_export(self) -> bool:
        """Say yes: `to_remote_storage` writes Parquet."""
        return True

    def to_remote_storage(self) -> list[str]:
        """Write the result, in order, as Parquet files of 2 million rows into a new folder; return their paths.

        The folder appears under its name when it is whole; a killed export leaves nothing that reads as one.
        """
        folder = self._exports / uuid.uuid4().hex
        making = folder.with_name(f"{folder.name}.making")
        making.mkdir(parents=True)
        try:
            names = self._write(making, rows_per_file=FILE_ROWS)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return [str(folder / name) for name in names]

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write the result as one Parquet file where `storage` (a SavedDatasetFileStorage) says.

        Raises Feast's SavedDatasetLocationAlreadyExists when something stands there and may not be replaced, ValueError
        for another kind of storage.
        """
        if not isinstance(storage, SavedDatasetFileStorage) or "://" in storage.file_options.uri:
            raise ValueError(
                f"A dataset read from the lake is saved as a Parquet file, not as {type(storage).__name__}: pass "
                "SavedDatasetFileStorage(path=...) with a path of this machine."
            )
        path = self._exports / storage.file_options.uri  # an absolute path stays as it is
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        making = path.with_name(f"{path.name}.{uuid.uuid4().hex}.making")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._write(making, rows_per_file=None)
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)

    def _write(self, target: Path, rows_per_file: int | None) -> list[str]:
        """Write all pieces: into files of a folder, or, where `rows_per_file` is None, into the one file `target`."""
        names: list[str] = []
        writer: pq.ParquetWriter | None = None
        rows = 0
        try:
            for piece in self._pieces():
                table = self._with_on_demand(piece)
                if writer is None:
                    names.append(f"part-{len(names):05}.parquet")
                    writer = pq.ParquetWriter(target / names[-1] if rows_per_file else target, table.schema)
                    rows = 0
                writer.write_table(table)
                rows += len(table)
                if rows_per_file and rows >= rows_per_file:
                    writer.close()
                    writer = None
        finally:
            if writer is not None:
                writer.close()
        return names

    def _with_on_demand(self, piece: pa.Table) -> pa.Table:
        if not self._on_demand_feature_views:
            return piece
        return LakeRetrievalJob(
            lambda: iter([piece]),
            self._exports,
            full_feature_names=self._full_feature_names,
            on_demand_feature_views=self._on_demand_feature_views,
            metadata=self._metadata,
        ).to_arrow()
