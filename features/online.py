"""Today's values: the newest of each entity, from a release into the online store, and back."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from features.registry import fingerprint, open_store
from lake import progress
from lake.company import Company
from lake.releases import Release

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

WRITE_ROWS = 50_000
"""Rows that are turned into Feast's bytes at a time: about 50 MB of 20 features."""


def newest_moment(company: Company, release: Release) -> datetime:
    """Return the moment (naive UTC) of a release: when its newest day closed, and all of it was known.

    It is never the clock. Features "as of now" are historical features at this moment.
    """
    end = datetime.combine(release.as_of + timedelta(days=1), datetime.min.time())
    return end + timedelta(hours=company.settings.day_closes_after_hours)


def materialize(company: Company, release: Release) -> dict[str, Any]:
    """Write the newest values of a release to the online store; return what was done.

    `{"status": "written" | "unchanged" | "older", "release_id", "moment", "entities": {view: rows}}`. A release that
    is older than the one that stands there is not written; nor is a row that is older than what was pushed meanwhile. The
    watermark moves after the write: killed half-way, the next call writes the same again.
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
    from features.stores.online_format import batch_of_table

    source = view.batch_source
    column = {feature: name for name, feature in source.field_mapping.items()}
    event, created = (
        column.get(name, name) for name in (source.timestamp_field, source.created_timestamp_column)
    )
    job = store.provider.offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=source,
        join_key_columns=[column.get(field.name, field.name) for field in view.entity_columns],
        feature_name_columns=[column.get(field.name, field.name) for field in view.features],
        timestamp_field=event,
        created_timestamp_column=created,
        start_date=datetime.min,
        end_date=moment,
    )
    table = job.to_arrow()
    table = table.rename_columns([source.field_mapping.get(name, name) for name in table.column_names])
    for start in range(0, len(table), WRITE_ROWS):
        part = _fresh(view, table.slice(start, WRITE_ROWS), moment)
        store.provider.online_store.put(store.config, view, batch_of_table(view, part))
    return len(table)


def _fresh(view: "FeatureView", table: pa.Table, moment: datetime) -> pa.Table:
    """Return the rows with nulls for features beyond the view's ttl."""
    if not view.ttl:
        return table
    events = table.column(view.batch_source.timestamp_field)
    is_fresh = pc.greater_equal(events, pa.scalar(moment - view.ttl, events.type))
    if pc.all(is_fresh).as_py():
        return table
    for field in view.features:
        place = table.column_names.index(field.name)
        values = table.column(place)
        kept = pc.if_else(is_fresh, values, pa.scalar(None, values.type))
        table = table.set_column(place, field.name, kept)
    return table


def online(company: Company, entity_rows: pl.DataFrame, service: str = "demand_forecast_v1") -> pl.DataFrame:
    """Return the entity rows with today's features of a service, in their order; other columns are kept.

    An entity that is not there gets nulls, never 0. Raises Feast's own error for an unknown service and ValueError for a
    missing key. To read again and again, keep an `OnlineReader` (features/stores/online_reader.py).
    """
    from features.stores.online_reader import OnlineReader

    return OnlineReader.open(open_store(company), service).read(entity_rows)
