"""OnlineReader: today's features of one service, for one entity or for thousands, as columns.

What the service asks for is looked up once; each reading then goes to the online store alone. Feast's own
`get_online_features` reads the same values, one protobuf message at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView, ValueType
from feast.protos.feast.types.Value_pb2 import Value

from features.stores.online_format import decode_values, encode_keys


@dataclass(frozen=True)
class Answer:
    """One feature of all entities that were asked for."""

    name: str
    view: str
    value_type: ValueType
    cells: Sequence[bytes | None]
    """Serialised values: None where the entity is not there, empty for null."""
    moments: Sequence[datetime | None]
    """When the values were true, naive UTC; None where the entity is not there."""

    def to_arrow(self) -> pa.Array:
        """Return the values as one column."""
        return decode_values(pa.array(self.cells, pa.binary()), self.value_type)

    def to_list(self) -> list[Any]:
        """Return the values one by one, which is quicker for a few."""
        return [_value(cell) for cell in self.cells]


@dataclass
class _Group:
    """Views that share their keys, and so one reading."""

    keys: list[tuple[str, str, ValueType]]
    """Join key, the column that it is given in, type."""
    features: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[tuple[str, ValueType]]] = field(default_factory=dict)


class OnlineReader:
    """Reads a feature service. Make one and keep it: making it costs milliseconds, reading through it microseconds."""

    def __init__(self, store: FeatureStore, service: str, *, full_feature_names: bool = False) -> None:
        """Look the service up. Raises Feast's own error when there is none, ValueError for a feature asked for twice."""
        self._store = store
        self._groups: dict[tuple[Any, ...], _Group] = {}
        views = {view.name: view for view in store.list_feature_views()}
        for projection in store.get_feature_service(service).feature_view_projections:
            self._add(views[projection.name], projection, full_feature_names)
        names = self.feature_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Service {service!r} has {', '.join(twice)} twice: ask for full feature names.")

    @property
    def entity_columns(self) -> dict[str, ValueType]:
        """The columns that entity rows have to have."""
        return {column: kind for group in self._groups.values() for _, column, kind in group.keys}

    @property
    def feature_names(self) -> list[str]:
        """The features in the order in which they are answered."""
        return [
            name for group in self._groups.values() for names in group.names.values() for name, _ in names
        ]

    def read(self, entity_rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with the service's features beside them, in their order; other columns are kept.

        An entity that is not there, or whose key is null, gets nulls. Raises ValueError for a missing key column.
        """
        columns = {
            name: entity_rows[name].to_arrow() for name in self.entity_columns if name in entity_rows.columns
        }
        answers = self.ask(columns)
        return entity_rows.hstack([pl.Series(a.name, pl.from_arrow(a.to_arrow())) for a in answers])

    def ask(self, columns: Mapping[str, Sequence[Any] | pa.Array]) -> list[Answer]:
        """Return an answer for each feature; `columns` are the key columns, all of one length."""
        if missing := sorted(self.entity_columns.keys() - columns.keys()):
            raise ValueError(
                f"The entity rows have no column {', '.join(missing)}: add it; the features are keyed by "
                f"{', '.join(sorted(self.entity_columns))}."
            )
        online_store, config = self._store.provider.online_store, self._store.config
        answers = []
        for group in self._groups.values():
            keys = _keys(group, columns)
            for view, (moments, cells) in online_store.fetch(config, group.features, keys).items():
                pairs = zip(group.names[view], cells, strict=True)
                answers += [Answer(name, view, kind, column, moments) for (name, kind), column in pairs]
        return answers

    def _add(self, view: FeatureView, projection: Any, full_feature_names: bool) -> None:
        keys = [
            (key.name, projection.join_key_map.get(key.name, key.name), key.dtype.to_value_type())
            for key in view.entity_columns
        ]
        group = self._groups.setdefault(tuple(keys), _Group(keys))
        prefix = f"{projection.name_to_use()}__" if full_feature_names else ""
        group.features[view.name] = [feature.name for feature in projection.features]
        group.names[view.name] = [(prefix + f.name, f.dtype.to_value_type()) for f in projection.features]


def _keys(group: _Group, columns: Mapping[str, Sequence[Any] | pa.Array]) -> pa.Array:
    """Return the entity keys; one that is null in part becomes empty, which no entity is."""
    given, there = {}, None
    for join_key, column, kind in group.keys:
        values = columns[column]
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values)
        if values.null_count:
            valid = values.is_valid()
            there = valid if there is None else pc.and_(there, valid)
            kind_of = pa.string() if pa.types.is_null(values.type) else values.type
            filler = "" if pa.types.is_string(kind_of) or pa.types.is_large_string(kind_of) else 0
            values = values.cast(kind_of).fill_null(pa.scalar(filler).cast(kind_of))
        given[join_key] = (values, kind)
    keys = encode_keys(given)
    return keys if there is None else pc.if_else(there, keys, pa.scalar(b"", pa.binary()))


def _value(cell: bytes | None) -> Any:
    if not cell:
        return None
    value = Value.FromString(cell)
    return getattr(value, value.WhichOneof("val"))
