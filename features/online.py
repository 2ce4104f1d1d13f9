"""Today's values: the newest of each entity, from a release into the online store, and back."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
from filelock import FileLock

from features.registry import fingerprint, open_store
from lake import progress
from lake.company import Company
from lake.connection import Lake, table_exists
from lake.releases import Release

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

READ_ENTITIES = 5_000
"""Entities per read: SQLite takes a limited number of parameters."""


def newest_moment(company: Company, release: Release) -> datetime:
    """Return the moment (naive UTC) of a release: the first at which all of it is true and known.

    It is never the clock. Features "as of now" are historical features at this moment.
    """
    newest = datetime.combine(release.as_of + timedelta(days=1), datetime.min.time())
    with Lake.of(company).read(release.snapshot_id) as connection:
        for table in ("item_location_day", "supplier_lead_time"):
            if table_exists(connection, "marts", table):
                row = connection.execute(
                    f"SELECT max(greatest(as_of_ts, known_at)) FROM lake.marts.{table}"
                ).fetchone()
                newest = max(newest, row[0] if row and row[0] else newest)
    return newest


def materialize(company: Company, release: Release) -> dict[str, Any]:
    """Write the newest values of a release to the online store; return what was done.

    `{"status": "written" | "unchanged" | "older", "release_id", "moment", "entities": {view: rows}}`. A release that
    is older than the one that stands there is not written, because the stock store would overwrite newer values with
    older ones. The watermark moves after the write: killed half-way, the next call writes the same again.
    """
    company.feast.mkdir(parents=True, exist_ok=True)
    watermark = company.feast / "online.json"
    with FileLock(company.feast / "online.lock"):
        standing = json.loads(watermark.read_text(encoding="utf-8")) if watermark.exists() else {}
        report: dict[str, Any] = {"status": "written", "release_id": release.release_id, "entities": {}}
        definitions = fingerprint()
        if standing.get("snapshot_id", -1) > release.snapshot_id:
            return report | {"status": "older", "moment": standing["moment"]}
        if (standing.get("snapshot_id"), standing.get("definitions")) == (release.snapshot_id, definitions):
            return report | {"status": "unchanged", "moment": standing["moment"]}
        moment = newest_moment(company, release)
        store = open_store(company, release)
        views = store.list_feature_views()
        with progress.stage("online", total=len(views)) as stage:
            for view in views:
                rows = _write(store, view, moment)
                report["entities"][view.name] = rows
                stage.advance(rows=rows, note=view.name)
        report["moment"] = moment.isoformat()
        state = {"snapshot_id": release.snapshot_id, "definitions": definitions, "moment": report["moment"]}
        making = watermark.with_suffix(".making")
        making.write_text(json.dumps(state), encoding="utf-8")
        making.replace(watermark)
    return report


def _write(store: "FeatureStore", view: "FeatureView", moment: datetime) -> int:
    """Write the newest row of every entity; one whose values are too old is written as nulls, as history says."""
    source = view.batch_source
    column = {feature: name for name, feature in source.field_mapping.items()}
    features = [column.get(field.name, field.name) for field in view.features]
    event, created = (
        column.get(name, name) for name in (source.timestamp_field, source.created_timestamp_column)
    )
    job = store.provider.offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=source,
        join_key_columns=[column.get(field.name, field.name) for field in view.entity_columns],
        feature_name_columns=features,
        timestamp_field=event,
        created_timestamp_column=created,
        start_date=datetime.min,
        end_date=moment,
    )
    rows = pl.DataFrame(job.to_arrow())
    if rows.is_empty():
        return 0
    if view.ttl:
        fresh = pl.col(event) >= moment - view.ttl
        rows = rows.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in features)
    store.provider.ingest_df(view, rows.to_pandas(use_pyarrow_extension_array=True))
    return len(rows)


def online(company: Company, entity_rows: pl.DataFrame, service: str = "demand_forecast_v1") -> pl.DataFrame:
    """Return the entity rows with today's features of a service, in their order; other columns are kept.

    An entity that is not there gets nulls, never 0. Raises Feast's own error for an unknown service or missing key.
    """
    from feast.types import from_feast_to_pyarrow_type

    store = open_store(company)
    wanted = store.get_feature_service(service)
    views = {view.name: view for view in store.list_feature_views()}
    fields = [field for projection in wanted.feature_view_projections for field in projection.features]
    keys = {key.name for p in wanted.feature_view_projections for key in views[p.name].entity_columns}
    found: dict[str, list[Any]] = {field.name: [] for field in fields}
    for start in range(0, len(entity_rows), READ_ENTITIES):
        rows = entity_rows.select(sorted(keys)).slice(start, READ_ENTITIES).to_dict(as_series=False)
        answer = store.get_online_features(features=wanted, entity_rows=rows).to_dict()
        for name, values in found.items():
            values.extend(answer[name])
    columns = {f.name: pa.array(found[f.name], from_feast_to_pyarrow_type(f.dtype)) for f in fields}
    return entity_rows.hstack(pl.DataFrame(pa.table(columns)))
