"""LakeSource: a Feast data source that is one table of the lake, read at one release."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from features.stores.release import has_release, open_release

VALUE_TYPES = {
    "BOOLEAN": ValueType.BOOL,
    "TINYINT": ValueType.INT32,
    "SMALLINT": ValueType.INT32,
    "INTEGER": ValueType.INT32,
    "BIGINT": ValueType.INT64,
    "HUGEINT": ValueType.INT64,
    "FLOAT": ValueType.FLOAT,
    "DOUBLE": ValueType.DOUBLE,
    "VARCHAR": ValueType.STRING,
    "BLOB": ValueType.BYTES,
    "DATE": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP": ValueType.UNIX_TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": ValueType.UNIX_TIMESTAMP,
}


class LakeSource(DataSource):  # type: ignore[misc]
    """One table of the lake, `schema.table`.

    `timestamp_field` is when a row became true (naive is UTC), `created_timestamp_column` when it became known;
    a row without either is never used. `field_mapping` renames columns to features, as everywhere in Feast.
    `known_in_order` promises one row per key and event, each known after those about earlier events: the join then
    sorts nothing twice. A dbt test (`known_in_order`) of the table holds the promise.
    """

    def __init__(  # noqa: PLR0913  Feast's names, and the table's
        self,
        *,
        name: str,
        table: str,
        timestamp_field: str,
        created_timestamp_column: str = "",
        field_mapping: dict[str, str] | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
        known_in_order: bool = False,
    ) -> None:
        """Make the source; raise ValueError if `table` is not of the form `schema.table`."""
        if len([part for part in table.split(".") if part]) != 2:
            raise ValueError(f"LakeSource {name!r}: table {table!r} has to read 'schema.table'.")
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            field_mapping=field_mapping,
            description=description,
            tags=tags,
            owner=owner,
        )
        self.table = table
        self.known_in_order = known_in_order

    def __hash__(self) -> int:
        """Hash as Feast's sources do: by name."""
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        """Say whether both describe the same table in the same words."""
        return (
            isinstance(other, LakeSource)
            and bool(super().__eq__(other))
            and (self.table, self.known_in_order) == (other.table, other.known_in_order)
        )

    def source_type(self) -> Any:
        """Return Feast's type of sources that it does not know itself."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: Any) -> "LakeSource":
        """Read the source back from the registry."""
        written = json.loads(data_source.custom_options.configuration)
        return LakeSource(
            name=data_source.name,
            table=written["table"],
            known_in_order=written["known_in_order"],
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            field_mapping=dict(data_source.field_mapping),
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> Any:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{type(self).__module__}.{type(self).__name__}",
            custom_options=DataSourceProto.CustomSourceOptions(
                configuration=json.dumps(
                    {"table": self.table, "known_in_order": self.known_in_order}
                ).encode()
            ),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            field_mapping=self.field_mapping,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def get_table_query_string(self) -> str:
        """Return the table as SQL names it in an attached lake."""
        schema, table = self.table.split(".")
        return f'lake."{schema}"."{table}"'

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Return (name, DuckDB type) of every column at the release that `config` names."""
        with open_release(config) as connection:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {self.get_table_query_string()}").fetchall()
        return [(row[0], row[1]) for row in rows]

    def validate(self, config: RepoConfig) -> None:
        """Raise ValueError when the table lacks a column that the source names.

        Before the first release there is nothing to compare with: definitions may come before data.
        """
        if not has_release(config):
            return
        columns = {name for name, _ in self.get_table_column_names_and_types(config)}
        named = {self.timestamp_field, self.created_timestamp_column, *self.field_mapping} - {""}
        if missing := sorted(named - columns):
            raise ValueError(
                f"LakeSource {self.name!r}: {self.table} has no column {', '.join(missing)}: "
                "correct the source in features/views, or the mart."
            )

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Return the function from a DuckDB type to Feast's; DECIMAL becomes DOUBLE."""
        return lambda duckdb_type: (
            ValueType.DOUBLE if duckdb_type.startswith("DECIMAL") else VALUE_TYPES[duckdb_type]
        )
