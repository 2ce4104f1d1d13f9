"""Rows that are pushed into the lake: features that no dbt model makes, because they arrive as events.

What dbt builds (staging, core, marts) is never written here: the next build would replace it.
"""

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig

from features.stores.release import lake_of
from features.stores.source import LakeSource
from lake.connection import quoted_name, table_exists

BUILT_BY_DBT = ("staging", "core", "marts")


def write_batch(config: RepoConfig, view: FeatureView, rows: pa.Table) -> None:
    """Append rows to the table of a view's source, all or none; the table is made by the first batch.

    Columns go by name. Raises ValueError when the source is no table of the lake, is built by dbt, or when columns are
    missing or unknown. A batch sent twice stands twice: the join takes the one known last, and equal rows are the same.
    """
    source = view.batch_source
    if not isinstance(source, LakeSource):
        raise ValueError(f"Feature view {view.name!r} does not read the lake: give it a LakeSource.")
    schema, table = source.table.split(".")
    if schema in BUILT_BY_DBT:
        raise ValueError(
            f"{source.table} is built by dbt from what is loaded: load the rows through a contract, or give the view "
            f"{view.name!r} a source in the schema features."
        )
    wanted = _columns(view, source)
    if missing := sorted(wanted - set(rows.column_names)):
        raise ValueError(f"The rows for {source.table} lack {', '.join(missing)}: add the columns.")
    if unknown := sorted(set(rows.column_names) - wanted):
        raise ValueError(f"{source.table} has no column {', '.join(unknown)}: leave them out.")
    name = source.get_table_query_string()
    with lake_of(config).write() as connection:
        connection.register("arriving", rows)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted_name(schema)}")
        if not table_exists(connection, schema, table):
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving WHERE false")
        connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM arriving")


def _columns(view: FeatureView, source: LakeSource) -> set[str]:
    column = {feature: name for name, feature in source.field_mapping.items()}
    names = [field.name for field in (*view.entity_columns, *view.features)]
    names += [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    return {column.get(name, name) for name in names}
