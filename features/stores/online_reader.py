"""OnlineReader: today's features of one service, for one entity or for thousands, as columns.

What the service asks for is looked up once; each reading then goes to the online store alone. Feast's own
`get_online_features` reads the same values, one protobuf message at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureService, FeatureStore, FeatureView, OnDemandFeatureView, RepoConfig, ValueType
from feast.protos.feast.types.Value_pb2 import Value

from features.stores.online_format import decode_values, encode_keys, encode_values


@dataclass(slots=True)
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
class _View:
    """What is read of one view."""

    features: dict[str, ValueType] = field(default_factory=dict)
    answers: list[tuple[str, str]] = field(default_factory=list)
    """The name in the answer, and the feature."""


@dataclass
class _Group:
    """Views that share their keys, and so one reading."""

    keys: list[tuple[str, str, ValueType]]
    """Join key, the column that it is given in, type."""
    views: dict[str, _View] = field(default_factory=dict)


@dataclass
class _Computed:
    """An on-demand view: what it is computed of, and which of its columns are answered under which names."""

    view: OnDemandFeatureView
    inputs: list[tuple[str, str]]
    answers: dict[str, str]
    types: dict[str, ValueType]


class OnlineReader:
    """Reads a feature service. Make one and keep it: making it costs milliseconds, reading through it microseconds."""

    def __init__(
        self,
        config: RepoConfig,
        online_store: Any,
        views: Mapping[str, FeatureView],
        service: FeatureService,
        on_demand: Mapping[str, OnDemandFeatureView],
        *,
        full_feature_names: bool = False,
    ) -> None:
        """Look up what `service` asks of `views`, and of those that are computed of them, `on_demand`.

        Raises ValueError for a feature that is there twice.
        """
        self._config, self._online_store = config, online_store
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._computed: list[_Computed] = []
        for projection in service.feature_view_projections:
            if projection.name in on_demand:
                self._compute(on_demand[projection.name], views, projection, full_feature_names)
            else:
                self._add(views[projection.name], projection, full_feature_names)
        names = self.feature_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"Service {service.name!r} has {', '.join(twice)} twice: ask for full feature names."
            )

    @classmethod
    def open(cls, store: FeatureStore, service: str, *, full_feature_names: bool = False) -> "OnlineReader":
        """Return the reader of a service that the registry holds; raises Feast's own error when there is none."""
        views = {view.name: view for view in store.list_feature_views()}
        wanted = store.get_feature_service(service)
        return cls(
            store.config,
            store.provider.online_store,
            views,
            wanted,
            {view.name: view for view in store.list_on_demand_feature_views()},
            full_feature_names=full_feature_names,
        )

    @property
    def entity_columns(self) -> dict[str, ValueType]:
        """The columns that entity rows have to have."""
        return {column: kind for group in self._groups.values() for _, column, kind in group.keys}

    @property
    def feature_names(self) -> list[str]:
        """The features in the order in which they are answered."""
        read = [
            name
            for group in self._groups.values()
            for view in group.views.values()
            for name, _ in view.answers
        ]
        return read + [name for computed in self._computed for name in computed.answers.values()]

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
        answers, read = [], {}
        for group in self._groups.values():
            features = {name: list(view.features) for name, view in group.views.items()}
            fetched = self._online_store.fetch(self._config, features, _keys(group, columns))
            for name, view in group.views.items():
                moments, cells = fetched[name]
                for feature, column in zip(features[name], cells, strict=True):
                    read[name, feature] = Answer(feature, name, view.features[feature], column, moments)
                for named, feature in view.answers:
                    answer = read[name, feature]
                    answers.append(answer if named == feature else replace(answer, name=named))
        for computed in self._computed:
            answers += _computed(computed, read)
        return answers

    def _add(self, view: FeatureView, projection: Any, full_feature_names: bool) -> None:
        found = self._view(view, projection)
        prefix = f"{projection.name_to_use()}__" if full_feature_names else ""
        for feature in projection.features:
            found.features[feature.name] = feature.dtype.to_value_type()
            found.answers.append((prefix + feature.name, feature.name))

    def _view(self, view: FeatureView, projection: Any) -> _View:
        keys = [
            (key.name, projection.join_key_map.get(key.name, key.name), key.dtype.to_value_type())
            for key in view.entity_columns
        ]
        return self._groups.setdefault(tuple(keys), _Group(keys)).views.setdefault(view.name, _View())

    def _compute(
        self,
        on_demand: OnDemandFeatureView,
        views: Mapping[str, FeatureView],
        projection: Any,
        full_feature_names: bool,
    ) -> None:
        inputs = []
        for source in on_demand.source_feature_view_projections.values():
            found = self._view(views[source.name], source)
            for feature in source.features:
                found.features[feature.name] = feature.dtype.to_value_type()
                inputs.append((source.name, feature.name))
        prefix = f"{projection.name_to_use()}__" if full_feature_names else ""
        answers = {feature.name: prefix + feature.name for feature in projection.features}
        types = {feature.name: feature.dtype.to_value_type() for feature in projection.features}
        self._computed.append(_Computed(on_demand, inputs, answers, types))


def _computed(computed: _Computed, read: Mapping[tuple[str, str], Answer]) -> list[Answer]:
    """Compute an on-demand view of whole columns; its moment is the oldest of what it is computed of."""
    table = pa.table({feature: read[view, feature].to_arrow() for view, feature in computed.inputs})
    made = computed.view.transform_arrow(table, full_feature_names=False)
    of = zip(*(read[key].moments for key in computed.inputs), strict=True)
    moments = [None if None in row else min(row) for row in of]
    answers = []
    for feature, name in computed.answers.items():
        values = made.column(feature).combine_chunks()
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        cells = encode_values(values, computed.types[feature]).to_pylist()
        answers.append(Answer(name, computed.view.name, computed.types[feature], cells, moments))
    return answers


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
