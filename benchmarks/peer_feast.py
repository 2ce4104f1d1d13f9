"""Stock Feast on its DuckDB offline store: the same facts, the same rows, in the peers' venv. Imports nothing of Stocklake."""

import math
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, String

VIEWS = ("first", "second", "third")
FEATURES = ("a", "b", "c", "d")


def historical(folder: str, count: int) -> list[float]:
    home = Path(folder)
    keys = [
        Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING)
        for name in ("item", "location")
    ]
    views = [
        FeatureView(
            name=view,
            entities=keys,
            ttl=timedelta(days=7),
            source=FileSource(name=view, path=str(home / f"{view}.parquet"), timestamp_field="as_of_ts"),
            schema=[
                *(Field(name=f"{key.name}_id", dtype=String) for key in keys),
                *(Field(name=name, dtype=Float64) for name in FEATURES),
            ],
        )
        for view in VIEWS
    ]
    config = {
        "project": "peer",
        "provider": "local",
        "registry": str(home / "peer_registry.db"),
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": str(home / "peer_online.db")},
        "entity_key_serialization_version": 3,
    }
    store = FeatureStore(config=RepoConfig(**config))
    store.apply([*keys, *views])
    rows = pd.read_parquet(home / f"rows_{count}.parquet")
    rows["n"] = range(count)
    job = store.get_historical_features(
        entity_df=rows,
        features=[f"{view}:{name}" for view in VIEWS for name in FEATURES],
        full_feature_names=True,
    )
    frame = job.to_df().sort_values("n")  # its order is its own
    found = []
    for view in VIEWS:
        for name in FEATURES:
            values = frame[f"{view}__{name}"]
            found += [math.fsum((values * frame["n"]).dropna()), float(values.isna().sum())]
    return found
