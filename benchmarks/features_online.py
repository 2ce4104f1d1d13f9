"""Online features beside stock Feast, in one run on one machine: writing, and reading 1 to 30,490 entities.

    python -m benchmarks.features_online [--json] [--no-million]

One view of 20 doubles, keyed by item and location, on a real Redis and on SQLite. Writing begins with the Arrow table that
an offline store pulls: stock Feast makes messages of it and passes them to its store, as `feast materialize` does; ours is
what `features.repository.materialize` does. A million entities are written as well, over those (stock Feast is not asked to).
Reading is `OnlineReader` (a frame in, a frame out; one entity: a list), stock Feast's `get_online_features(...).to_dict()`,
and the same fields by HMGET in a pipeline of the Redis client, without making values of the bytes. CPU is that of this
process, user and system; what Redis itself spends meanwhile stands in `..._server_cpu_s`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.online_stores.helpers import _mmh3
from feast.types import Float64, String
from feast.utils import _convert_arrow_to_proto

import features  # noqa: F401 (before Feast: it makes that import quick)
from features.online import WRITE_ROWS
from features.stores.online_format import batch_of_table, encode_keys
from features.stores.online_reader import OnlineReader
from tests.features.stores.online_kit import redis_server

ENTITIES, FEATURES, MILLION = 30_490, 20, 1_000_000
NAMES = [f"mean_{n}" for n in range(FEATURES)]
KEYS = ["item_id", "location_id"]
OURS = {
    "redis": "features.stores.online_redis.LakeRedisOnlineStore",
    "sqlite": "features.stores.online_sqlite.LakeSqliteOnlineStore",
}


def table(count: int, at: datetime) -> pa.Table:
    random = np.random.default_rng(count)
    moments = pa.array([at], pa.timestamp("us")).take(pa.array(np.zeros(count, int)))
    return pa.table(
        {
            "item_id": [f"FOODS_3_{n:07d}" for n in range(count)],
            "location_id": [f"CA_{n % 10}" for n in range(count)],
            "at": moments,
            "known_at": moments,
            **{name: 100 * random.random(count) for name in NAMES},
        }
    )


def open_feast(folder: Path, online_store: dict[str, Any]) -> FeatureStore:
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry={"path": str(folder / "registry.db"), "cache_ttl_seconds": 600},
        online_store=online_store,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entities = [Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in KEYS]
    source = FileSource(
        name="file",
        path=str(folder / "none.parquet"),
        timestamp_field="at",
        created_timestamp_column="known_at",
    )
    fields = [
        *(Field(name=key, dtype=String) for key in KEYS),
        *(Field(name=n, dtype=Float64) for n in NAMES),
    ]
    view = FeatureView(name="demand", entities=entities, source=source, ttl=timedelta(days=7), schema=fields)
    store.apply([*entities, view, FeatureService(name="v1", features=[view])])
    return store


def cpu_s(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def write_ours(store: FeatureStore, rows: pa.Table) -> None:
    view = store.get_feature_view("demand")
    for start in range(0, len(rows), WRITE_ROWS):
        part = batch_of_table(view, rows.slice(start, WRITE_ROWS))
        store.provider.online_store.put(store.config, view, part)


def write_stock(store: FeatureStore, rows: pa.Table) -> None:
    view = store.get_feature_view("demand")
    types = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
    data = _convert_arrow_to_proto(rows, view, types)
    store.provider.online_store.online_write_batch(store.config, view, data, lambda _: None)


def writing(folder: Path, url: str, million: bool) -> dict[str, float]:
    """Write with each store; CPU of Redis' own process stands beside ours."""
    where: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "redis": (
            {"type": OURS["redis"], "connection_string": url},
            {"type": "redis", "connection_string": url.removeprefix("redis://").replace("/0", ",db=1")},
        ),
        "sqlite": (
            {"type": OURS["sqlite"], "path": str(folder / "ours.db")},
            {"type": "sqlite", "path": str(folder / "stock.db")},
        ),
    }
    figures = {}
    for kind, (ours, stock) in where.items():
        (folder / kind).mkdir()
        stores = open_feast(folder / kind, ours), open_feast(folder / kind, stock)
        figures |= writing_to(kind, *stores, url, million)
    return figures


def writing_to(
    kind: str, ours: FeatureStore, stock: FeatureStore, url: str, million: bool
) -> dict[str, float]:
    first, second = (table(ENTITIES, datetime(2026, 3, day)) for day in (1, 2))
    works: dict[str, tuple[Callable[[], None], int]] = {
        f"materialize_{kind}": (lambda: write_ours(ours, first), ENTITIES),
        f"rewrite_{kind}": (lambda: write_ours(ours, second), ENTITIES),
        f"stock_{kind}": (lambda: write_stock(stock, first), ENTITIES),
    }
    if million:
        many = table(MILLION, datetime(2026, 3, 3))
        works[f"million_{kind}"] = (lambda: write_ours(ours, many), MILLION)
    figures = {}
    for name, (work, count) in works.items():
        before = server_cpu_s(url)
        figures[f"{name}_per_cpu_s"] = round(count / cpu_s(work))
        if kind == "redis":
            figures[f"{name}_server_cpu_s"] = round(server_cpu_s(url) - before, 2)
    return figures


def server_cpu_s(url: str) -> float:
    import redis

    with redis.Redis.from_url(url) as server:
        info = server.info("cpu")
    return float(info["used_cpu_sys"] + info["used_cpu_user"])


def reading(folder: Path, url: str) -> dict[str, float]:
    import redis

    mine = open_feast(folder / "redis", {"type": OURS["redis"], "connection_string": url})
    stock = open_feast(
        folder / "redis",
        {"type": "redis", "connection_string": url.removeprefix("redis://").replace("/0", "")},
    )
    rows = pl.DataFrame(table(ENTITIES, datetime(2026, 3, 1)).select(KEYS))
    keys = encode_keys({name: (rows[name].to_arrow(), ValueType.STRING) for name in KEYS}).to_pylist()
    fields = [*(_mmh3(f"demand:{name}") for name in NAMES), "_ts:demand"]
    reader, service = OnlineReader.open(mine, "v1"), stock.get_feature_service("v1")
    client = redis.Redis.from_url(url)

    def raw(count: int) -> None:
        with client.pipeline(transaction=False) as pipe:
            for key in keys[:count]:
                pipe.hmget(key + b"benchmark", fields)
            pipe.execute()

    def one(_: int) -> None:
        for answer in reader.ask({"item_id": ["FOODS_3_0000007"], "location_id": ["CA_7"]}):
            answer.to_list()

    def many(count: int) -> None:
        reader.read(rows.head(count))

    def stocks(count: int) -> None:
        stock.get_online_features(
            features=service, entity_rows=rows.head(count).to_dict(as_series=False)
        ).to_dict()

    figures: dict[str, float] = {}
    for count, times in ((1, 300), (100, 100), (1_000, 30), (ENTITIES, 3)):
        ways: dict[str, Callable[[int], Any]] = {
            "": one if count == 1 else many,
            "raw_": raw,
            "stock_": stocks,
        }
        spent_by = {}
        for name, way in ways.items():
            way(count)
            taken, repeats = [], max(1, times // 10) if name == "stock_" else times
            start = time.process_time()
            for _ in range(repeats):
                begin = time.perf_counter()
                way(count)
                taken.append(1000 * (time.perf_counter() - begin))
            spent = (time.process_time() - start) / repeats
            unit = ("cpu_s", spent) if count == ENTITIES else ("cpu_ms", 1000 * spent)
            figures[f"{name}read_{count}_{unit[0]}"] = round(unit[1], 3)
            figures[f"{name}read_{count}_p50_ms"], figures[f"{name}read_{count}_p99_ms"] = (
                round(float(np.quantile(taken, q)), 2) for q in (0.5, 0.99)
            )
            spent_by[name] = spent
        if count >= 1_000:
            figures[f"read_{count}_ratio_to_raw"] = round(spent_by[""] / spent_by["raw_"], 2)
    client.close()
    return figures


def measure(million: bool = True) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as url:
        return writing(Path(name), url, million) | reading(Path(name), url)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--million", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    figures = measure(arguments.million)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{n:32} {v:,}" for n, v in figures.items()))


if __name__ == "__main__":
    main()
