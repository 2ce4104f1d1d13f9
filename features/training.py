"""Training sets: features of the past as known then, recorded so that the same set can be made again."""

import hashlib
import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.registry import fingerprint, open_store
from lake.company import Company
from lake.connection import Lake, table_exists
from lake.errors import InputError, StocklakeError
from lake.releases import Release

if TYPE_CHECKING:
    import duckdb

_TABLE = """
CREATE TABLE IF NOT EXISTS lake.meta.training_set (
    training_set_id VARCHAR, release_id VARCHAR, snapshot_id BIGINT, service VARCHAR, definitions VARCHAR,
    row_count BIGINT, content_sha256 VARCHAR, recorded_as_of DATE
)
"""


def historical(
    company: Company, release: Release, entity_rows: pl.DataFrame, service: str = "demand_forecast_v1"
) -> pl.DataFrame:
    """Return the entity rows with the features of a service, each as known at the row's `event_timestamp`.

    `entity_rows` has the service's keys (item_id, location_id, ...), `event_timestamp` (UTC, or naive and then UTC)
    and any other columns; all are kept, and so are order, duplicates and unknown entities (nulls).
    Raises ValueError when a key is missing, and Feast's own error for an unknown service.
    """
    return _historical_at(company, release.snapshot_id, entity_rows, service)


def _historical_at(
    company: Company, snapshot_id: int, entity_rows: pl.DataFrame, service: str
) -> pl.DataFrame:
    store = open_store(company, snapshot_id)
    wanted = store.get_feature_service(service)
    job = store.get_historical_features(entity_df=entity_rows.to_arrow(), features=wanted)
    # On-demand features bring their inputs along: a set has what its service names.
    names = [field.name for projection in wanted.feature_view_projections for field in projection.features]
    return entity_rows.hstack(pl.DataFrame(job.to_arrow().select(names)))


@dataclass(frozen=True)
class TrainingSet:
    """What a set was made from, and what it holds; `training_set_id` follows from all of it."""

    training_set_id: str
    release_id: str
    snapshot_id: int
    service: str
    definitions: str
    row_count: int
    content_sha256: str


def record_training_set(
    company: Company,
    release: Release,
    training_set: pl.DataFrame,
    entity_columns: list[str],
    service: str = "demand_forecast_v1",
) -> TrainingSet:
    """Write what `historical` returned into `lake.meta.training_set`, once, and keep its entity rows.

    `entity_columns` are the columns that went in (keys, event_timestamp, labels ...): with them and the release the
    set can be made again by `reproduce_training_set`. Recording the same set twice changes nothing.
    """
    content = content_sha256(training_set)
    entity_rows = training_set.select(entity_columns)
    what = f"{release.snapshot_id} {service} {fingerprint()} {content} {content_sha256(entity_rows)}"
    made = TrainingSet(
        training_set_id=hashlib.sha256(what.encode()).hexdigest()[:16],
        release_id=release.release_id,
        snapshot_id=release.snapshot_id,
        service=service,
        definitions=fingerprint(),
        row_count=len(training_set),
        content_sha256=content,
    )
    path = _entity_rows(company, made.training_set_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}.making")
    entity_rows.write_parquet(making)
    making.replace(path)
    with Lake.of(company).write() as connection:
        connection.execute(_TABLE)
        if _standing(connection, made.training_set_id) is None:
            connection.execute(
                "INSERT INTO lake.meta.training_set VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [*astuple(made), release.as_of],
            )
    return made


def reproduce_training_set(company: Company, training_set_id: str) -> pl.DataFrame:
    """Make a recorded training set again from its release; it is equal, to the bit.

    Raises `InputError` for an unknown id, and `StocklakeError` when what comes out differs from what was recorded
    (the features were redefined since, or the home folder was tampered with).
    """
    lake = Lake.of(company)
    with lake.read() as connection:
        made = (
            _standing(connection, training_set_id)
            if table_exists(connection, "meta", "training_set")
            else None
        )
    path = _entity_rows(company, training_set_id)
    if made is None or not path.exists():
        raise InputError(f"No training set {training_set_id!r} was recorded in {company.home}: check the id.")
    again = _historical_at(company, made.snapshot_id, pl.read_parquet(path), made.service)
    if content_sha256(again) != made.content_sha256:
        changed = (
            "" if made.definitions == fingerprint() else " Its features were redefined since it was made."
        )
        raise StocklakeError(
            f"Training set {training_set_id} cannot be made again as it was: the values differ.{changed}"
            " Check out the definitions that it was made with, or make a new set."
        )
    return again


def training_sets(lake: Lake) -> list[TrainingSet]:
    """Return every recorded set, newest release first."""
    if not lake.exists:
        return []
    with lake.read() as connection:
        if not table_exists(connection, "meta", "training_set"):
            return []
        rows = connection.execute(
            "SELECT training_set_id, release_id, snapshot_id, service, definitions, row_count, content_sha256"
            " FROM lake.meta.training_set ORDER BY snapshot_id DESC, training_set_id"
        ).fetchall()
    return [TrainingSet(*row) for row in rows]


def content_sha256(frame: pl.DataFrame) -> str:
    """Return a hash of a frame's names, types and values, in order; the same on every machine and version."""
    digest = hashlib.sha256()
    for series in frame:
        digest.update(f"{series.name} {series.dtype} {len(series)}\n".encode())
        digest.update(series.is_null().to_numpy().tobytes())
        digest.update(_bytes(series))
    return digest.hexdigest()


def _bytes(series: pl.Series) -> bytes:
    values = series.to_physical()
    if values.dtype.is_numeric() and not values.dtype.is_decimal():
        return bytes(np.ascontiguousarray(values.fill_null(0).to_numpy()).data)
    text = values.cast(pl.String).fill_null("")
    lengths: bytes = text.str.len_bytes().to_numpy().tobytes()
    return lengths + "".join(text).encode()


def _standing(connection: "duckdb.DuckDBPyConnection", training_set_id: str) -> TrainingSet | None:
    row = connection.execute(
        "SELECT training_set_id, release_id, snapshot_id, service, definitions, row_count, content_sha256"
        " FROM lake.meta.training_set WHERE training_set_id = ?",
        [training_set_id],
    ).fetchone()
    return TrainingSet(*row) if row else None


def _entity_rows(company: Company, training_set_id: str) -> Path:
    return company.feast / "training_sets" / f"{training_set_id}.parquet"
