"""LakeOfflineStore: Feast's offline store over one release of the lake.

The join itself stands in `point_in_time.py`; here Feast's words (views, projections, field mappings, entity
dataframes) are turned into it, and Arrow comes back, in pieces. What writes the lake is `lake/` and dbt, and
`writing.py` for rows that are pushed.
Values known only after an entity row's moment are never used, whether or not `filter_by_created_timestamp` is asked.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import types
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import (
    _get_requested_feature_views_to_features_dict,
    _get_requested_on_demand_feature_views,
)

from features.stores.job import PIECE_ROWS, LakeRetrievalJob
from features.stores.point_in_time import ENTITY_ROWS, Facts, Feature, Key, historical_sql, latest_sql, quote
from features.stores.release import exports_of, open_release
from features.stores.source import LakeSource
from features.stores.writing import write_batch
from lake.connection import quoted_text

SQL_TYPES = {
    types.Bool: "BOOLEAN",
    types.Int32: "INTEGER",
    types.Int64: "BIGINT",
    types.Float32: "FLOAT",
    types.Float64: "DOUBLE",
    types.String: "VARCHAR",
    types.Bytes: "BLOB",
    types.UnixTimestamp: "TIMESTAMP",
}


class LakeOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The `offline_store` block of feature_store.yaml. Relative paths start at the repository, `features/`."""

    type: Literal["features.stores.lake.LakeOfflineStore"] = "features.stores.lake.LakeOfflineStore"
    company: str
    """Whose lake it is; company.yaml says where that stands."""
    home: str
    """The folder below which companies keep what runs make (STOCKLAKE_HOME)."""
    snapshot_id: int | None = None
    """The snapshot of the release to read; None is the newest release, looked up at each reading."""
    memory_limit_mb: int = 1500
    """Of DuckDB while it reads; what does not fit goes to files in the lake's `spill` folder."""


class LakeOfflineStore(OfflineStore):  # type: ignore[misc]
    """Historical features and newest values from one release of the lake."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(  # noqa: PLR0913  Feast's signature
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = True,
    ) -> RetrievalJob:
        """Return the features of each entity row as known at its `event_timestamp` (naive is UTC).

        `entity_df` is a dataframe, an Arrow table, or a SQL query on the release. Rows keep their number and order,
        other columns are kept, unknown or null keys get nulls. Raises ValueError when a key column is missing.
        """
        if entity_df is None:
            raise ValueError(
                "The lake's offline store does not read by a time range: pass entity_df, rows of keys and an event_timestamp."
            )
        on_demand = _get_requested_on_demand_feature_views(feature_refs, project, registry)
        requested, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand)
        facts = merge([_facts(view, names, full_feature_names) for view, names in requested.items()])
        entity_rows = _entity_rows(config, entity_df)
        moments = _moments(entity_rows)
        _check_columns(entity_rows, facts)
        bounds = pc.min_max(moments).as_py()
        first, last = bounds["min"] or datetime.max, bounds["max"] or datetime.min
        keys = {key.entity_column for fact in facts for key in fact.keys}

        return LakeRetrievalJob(
            lambda: _join(config, facts, entity_rows, moments, first, last),
            exports_of(config),
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=sorted(keys),
                min_event_timestamp=bounds["min"],
                max_event_timestamp=bounds["max"],
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return the newest row of each key with `start_date` <= event <= `end_date`, as known at `end_date`."""
        fact = _pull(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        sql = latest_sql(fact, _naive_utc(start_date), _naive_utc(end_date), newest_only=True)
        return LakeRetrievalJob(lambda: _query(config, sql), exports_of(config))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return all rows with `start_date` <= event <= `end_date`, as known at `end_date`.

        `data_source` is a LakeSource, or the Parquet file of a saved dataset, in its order.
        """
        fact = _pull(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        sql = latest_sql(fact, _naive_utc(start_date), _naive_utc(end_date), newest_only=False)
        return LakeRetrievalJob(lambda: _query(config, sql), exports_of(config))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append rows to the table of the view's source, all or none; see `writing.write_batch`."""
        write_batch(config, feature_view, table)
        if progress is not None:
            progress(len(table))


def merge(facts: list[Facts]) -> list[Facts]:
    """Unite readings of one table by the same keys: views over one mart cost one join."""
    merged: dict[tuple[Any, ...], Facts] = {}
    for fact in facts:
        key = (fact.table, fact.keys, fact.event, fact.created)
        before = merged[key].features if key in merged else ()
        merged[key] = replace(fact, features=before + fact.features)
    return list(merged.values())


def _facts(view: FeatureView, names: list[str], full_feature_names: bool) -> Facts:
    source = view.batch_source
    if not isinstance(source, LakeSource):
        raise ValueError(f"Feature view {view.name!r} does not read the lake: give it a LakeSource.")
    column = {feature: name for name, feature in source.field_mapping.items()}
    renamed = view.projection.join_key_map
    dtypes = {field.name: field.dtype for field in view.features}
    prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
    return Facts(
        table=source.get_table_query_string(),
        keys=tuple(
            Key(
                fact_column=column.get(key.name, key.name),
                entity_column=renamed.get(key.name, key.name),
                sql_type=SQL_TYPES.get(key.dtype, "VARCHAR"),
            )
            for key in view.entity_columns
        ),
        event=str(column.get(source.timestamp_field, source.timestamp_field)),
        created=str(column.get(source.created_timestamp_column, source.created_timestamp_column)),
        features=tuple(
            Feature(column.get(name, name), prefix + name, SQL_TYPES.get(dtypes[name]), view.ttl or None)
            for name in names
        ),
        in_order=source.known_in_order,
    )


def _pull(
    config: RepoConfig,
    source: DataSource,
    keys: list[str],
    features: list[str],
    event: str,
    created: str | None,
) -> Facts:
    if isinstance(source, FileSource):
        path = str(exports_of(config) / source.path)
        table = f"read_parquet({quoted_text(path)})"
    elif isinstance(source, LakeSource):
        table = source.get_table_query_string()
    else:
        raise ValueError(f"Data source {source.name!r} is not in the lake: it has to be a LakeSource.")
    return Facts(
        table=table,
        keys=tuple(Key(name, name, "VARCHAR") for name in keys),
        event=event,
        created=created or "",
        features=tuple(Feature(name, name, None, None) for name in features),
    )


def _entity_rows(config: RepoConfig, entity_df: pd.DataFrame | pa.Table | str) -> pa.Table:
    if isinstance(entity_df, str):
        return pa.concat_tables(_query(config, entity_df))
    if isinstance(entity_df, pa.Table):
        return entity_df
    return pa.Table.from_pandas(entity_df, preserve_index=False)


def _moments(entity_rows: pa.Table) -> pa.Array:
    """Return the entity rows' moments as naive UTC microseconds, rounded down: a moment never sees beyond itself."""
    at = infer_event_timestamp_from_entity_df(
        {field.name: field.type.to_pandas_dtype() for field in entity_rows.schema}
    )
    column = entity_rows.column(at).combine_chunks()
    if pa.types.is_date(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.timestamp("us"))
    if not pa.types.is_timestamp(column.type):
        raise ValueError(f"The entity rows' {at} is {column.type}: make it a datetime column (naive is UTC).")
    if column.type.unit == "ns":
        column = pc.floor_temporal(column, unit="microsecond")
    column = column.cast(pa.timestamp("us", column.type.tz))
    return column.cast(pa.int64()).cast(pa.timestamp("us"))


def _check_columns(entity_rows: pa.Table, facts: list[Facts]) -> None:
    wanted = {key.entity_column for fact in facts for key in fact.keys}
    if missing := sorted(wanted - set(entity_rows.column_names)):
        raise ValueError(
            f"The entity rows have no column {', '.join(missing)}: add it; "
            f"the features asked for are keyed by {', '.join(sorted(wanted))}."
        )
    named = [feature.output for fact in facts for feature in fact.features]
    if twice := sorted(set(named) & set(entity_rows.column_names)):
        raise ValueError(
            f"The entity rows already have a column {', '.join(twice)}: rename it, or ask for full feature names."
        )


def _join(
    config: RepoConfig,
    facts: list[Facts],
    entity_rows: pa.Table,
    moments: pa.Array,
    first: datetime,
    last: datetime,
) -> Iterator[pa.Table]:
    """Yield the entity rows with their features, in their order."""
    keys = list(dict.fromkeys(key.entity_column for fact in facts for key in fact.keys))
    rows = entity_rows.select(keys)
    rows = rows.append_column("_row", pa.array(np.arange(len(rows))))
    rows = rows.append_column("_at", moments)
    with open_release(config) as connection:
        connection.register(ENTITY_ROWS, rows)
        done = 0
        for features in _tables(connection.execute(historical_sql(facts, first, last))):
            piece = entity_rows.slice(done, len(features))
            for name in features.column_names:
                piece = piece.append_column(name, features.column(name))
            done += len(features)
            yield piece


def _query(config: RepoConfig, sql: str) -> Iterator[pa.Table]:
    """Run a query on the release; DECIMAL and HUGEINT, which Feast has no word for, leave as DOUBLE and BIGINT."""
    with open_release(config) as connection:
        columns = connection.execute(f"DESCRIBE {sql}").fetchall()
        casts = [_plain(name, duckdb_type) for name, duckdb_type, *_ in columns]
        yield from _tables(connection.execute(f"SELECT {', '.join(casts)} FROM ({sql})"))


def _tables(result: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
    """Yield a result in pieces, at least one, as DuckDB makes them."""
    reader = result.to_arrow_reader(PIECE_ROWS)
    nothing = True
    for batch in reader:
        nothing = False
        yield pa.Table.from_batches([batch])
    if nothing:
        yield reader.schema.empty_table()


def _plain(name: str, duckdb_type: str) -> str:
    if duckdb_type.startswith("DECIMAL"):
        return f"CAST({quote(name)} AS DOUBLE) AS {quote(name)}"
    if duckdb_type == "HUGEINT":
        return f"CAST({quote(name)} AS BIGINT) AS {quote(name)}"
    return quote(name)


def _naive_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
