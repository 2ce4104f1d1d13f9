"""Training sets: entity rows x 3 views with ttl, by our offline store, by hand, and by stock Feast on DuckDB.

Three tables of 3,000 series x 540 days (1.62 million facts, four features each), each a view with a ttl of 7 days, keyed by
item and location. Ours is Feast's `get_historical_features`, whole, values known too late left out. By hand is what an
analyst writes, three ASOF joins with ttl on the same snapshot, without that care. Both read the entity rows from Parquet
and give Arrow, the large set Parquet; both give the same values, which is checked. Stock Feast reads the same facts as
Parquet files. `unordered` is ours without the promise of the marts that facts become known in the order of their days.
"""

import argparse
import math
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import feast
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.types import Float64, String

from benchmarks.peers import Measured, run_ours, run_peer
from features.stores.source import LakeSource
from lake.company import load_company
from lake.connection import Lake

SERIES, DAYS = 3_000, 540
VIEWS = ("first", "second", "third")
FEATURES = ("a", "b", "c", "d")
ME = "benchmarks.features_offline"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lake_of(home)  # the schemas are made once
        make_facts(home)
        for rows in {options.rows, 100_000}:
            make_entity_rows(home, rows)
        rows = options.rows
        ours = best(folder, "historical", rows, True)
        unordered = best(folder, "historical", rows, False)
        hand = best(folder, "by_hand", rows)
        same(ours, unordered, hand)
        figures = {
            "rows": rows,
            "facts": 3 * SERIES * DAYS,
            "historical_cpu_s": round(ours.cpu_s, 2),
            "historical_unordered_cpu_s": round(unordered.cpu_s, 2),
            "by_hand_cpu_s": round(hand.cpu_s, 2),
            "ratio_to_asof": round(ours.cpu_s / hand.cpu_s, 2),
            "ratio_to_asof_unordered": round(unordered.cpu_s / hand.cpu_s, 2),
            "historical_peak_mb": round(ours.peak_mb),
        }
        if not options.no_peer:
            small = best(folder, "historical", 100_000, True)
            for count, own in ((100_000, small), (rows, ours)):
                peer = run_peer("benchmarks.peer_feast", "historical", folder, count)
                same(own, peer)
                suffix = "" if count == rows else "_100k"
                figures[f"feast_cpu_s{suffix}"] = round(peer.cpu_s, 2)
                figures[f"feast_peak_mb{suffix}"] = round(peer.peak_mb)
                figures[f"speedup_vs_feast{suffix}"] = round(peer.cpu_s / own.cpu_s, 1)
        if options.large:
            make_entity_rows(home, options.large)
            large = run_ours(ME, "historical_to_parquet", folder, options.large)
            figures |= {
                "large_rows": options.large,
                "large_cpu_s": round(large.cpu_s, 1),
                "large_peak_mb": round(large.peak_mb),
            }
    return figures


def best(folder: str, function: str, *arguments: Any) -> Measured:
    """The better of two runs: what else the machine does makes either longer."""
    runs = [run_ours(ME, function, folder, *arguments) for _ in range(2)]
    return min(runs, key=lambda run: run.cpu_s)


def same(*sides: Measured) -> None:
    for side in sides[1:]:
        if not all(
            math.isclose(one, two, rel_tol=1e-9)
            for one, two in zip(sides[0].result, side.result, strict=True)
        ):
            raise SystemExit(f"The sides disagree: {sides[0].result} and {side.result}")


def checks(table: pa.Table) -> list[float]:
    """What equal results have in common: of each feature its sum and its nulls, in the order of the rows."""
    position = pa.array(np.arange(len(table), dtype=np.float64))
    found = []
    for view in VIEWS:
        for name in FEATURES:
            values = table.column(f"{view}__{name}")
            found += [
                pc.sum(pc.multiply(values.combine_chunks(), position)).as_py(),
                float(values.null_count),
            ]
    return found


def lake_of(home: Path) -> Lake:
    company = load_company("example", home=home / "home")
    company.prepare()
    lake = Lake.of(company)
    lake.ensure()
    return lake


def make_facts(home: Path) -> None:
    """The same facts as tables of the lake and as Parquet files."""
    with lake_of(home).write() as connection:
        connection.execute("SELECT setseed(0.5)")
        for view in VIEWS:
            values = ", ".join(f"100 * random() AS {name}" for name in FEATURES)
            connection.execute(
                f"""CREATE TABLE lake.marts.{view} AS SELECT 'ITEM' || lpad(CAST(s % 250 AS VARCHAR), 5, '0') AS item_id,
                'LOC' || lpad(CAST(s // 250 AS VARCHAR), 2, '0') AS location_id,
                TIMESTAMP '2025-01-02' + INTERVAL (d) DAY AS as_of_ts,
                as_of_ts + INTERVAL 6 HOUR AS known_at, {values}
                FROM range({DAYS}) AS days (d), range({SERIES}) AS series (s)"""
            )
            connection.execute(f"COPY lake.marts.{view} TO '{home / view}.parquet'")


def make_entity_rows(home: Path, count: int) -> None:
    """Random series and days, some of them too late for the ttl, some of unknown items."""
    random = np.random.default_rng(count)
    series = pl.Series(random.integers(0, SERIES + 30, count))
    days = random.integers(28, DAYS + 9, count).astype("timedelta64[D]")
    frame = pl.DataFrame(
        {"series": series, "event_timestamp": np.datetime64("2025-01-02T07:00:00", "us") + days}
    )
    frame.select(
        pl.col("event_timestamp").dt.replace_time_zone("UTC"),
        item_id=pl.format("ITEM{}", (pl.col("series") % 250).cast(pl.String).str.zfill(5)),
        location_id=pl.format("LOC{}", (pl.col("series") // 250).cast(pl.String).str.zfill(2)),
    ).write_parquet(home / f"rows_{count}.parquet")


def open_store(home: Path, *, in_order: bool) -> feast.FeatureStore:
    keys = [
        feast.Entity(name=name, join_keys=[f"{name}_id"], value_type=feast.ValueType.STRING)
        for name in ("item", "location")
    ]
    views = [
        feast.FeatureView(
            name=view,
            entities=keys,
            ttl=timedelta(days=7),
            source=LakeSource(
                name=view,
                table=f"marts.{view}",
                timestamp_field="as_of_ts",
                created_timestamp_column="known_at",
                known_in_order=in_order,
            ),
            schema=[
                *(feast.Field(name=f"{key.name}_id", dtype=String) for key in keys),
                *(feast.Field(name=name, dtype=Float64) for name in FEATURES),
            ],
        )
        for view in VIEWS
    ]
    config = {
        "project": "benchmark",
        "registry": str(home / f"registry_{in_order}.db"),
        "offline_store": {
            "type": "features.stores.lake.LakeOfflineStore",
            "company": "example",
            "home": str(home / "home"),
            "snapshot_id": lake_of(home).snapshot(),
        },
        "online_store": {"type": "sqlite", "path": str(home / "online.db")},
        "entity_key_serialization_version": 3,
    }
    store = feast.FeatureStore(config=feast.RepoConfig(**config))
    store.apply([*keys, *views])
    return store


def job_of(home: Path, count: int, *, in_order: bool) -> Any:
    return open_store(home, in_order=in_order).get_historical_features(
        entity_df=pq.read_table(home / f"rows_{count}.parquet"),
        features=[f"{view}:{name}" for view in VIEWS for name in FEATURES],
        full_feature_names=True,
    )


def historical(folder: str, count: int, in_order: bool) -> list[float]:
    return checks(job_of(Path(folder), count, in_order=in_order).to_arrow())


def historical_to_parquet(folder: str, count: int) -> int:
    paths = job_of(Path(folder), count, in_order=True).to_remote_storage()
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    if rows != count:
        raise SystemExit(f"{rows} rows came out of {count}.")
    return rows


def by_hand(folder: str, count: int) -> list[float]:
    home = Path(folder)
    columns, joins = [], []
    for view in VIEWS:
        columns += [
            f"CASE WHEN e.event_timestamp - {view}.as_of_ts <= INTERVAL 7 DAY THEN {view}.{name} END AS {view}__{name}"
            for name in FEATURES
        ]
        joins.append(
            f"ASOF LEFT JOIN lake.marts.{view} AS {view} ON e.item_id = {view}.item_id"
            f" AND e.location_id = {view}.location_id AND e.event_timestamp >= {view}.as_of_ts"
        )
    lake = lake_of(home)
    with lake.read(lake.snapshot()) as connection:
        rows = f"(SELECT *, row_number() OVER () AS n FROM read_parquet('{home}/rows_{count}.parquet'))"
        rows = rows.replace("*,", "* REPLACE (CAST(event_timestamp AS TIMESTAMP) AS event_timestamp),")
        sql = f"SELECT e.item_id, e.location_id, e.event_timestamp, {', '.join(columns)} FROM {rows} AS e"
        return checks(connection.execute(f"{sql} {' '.join(joins)} ORDER BY e.n").to_arrow_table())
