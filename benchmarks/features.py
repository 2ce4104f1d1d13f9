"""Training sets at the speed of a hand-written join: 500,000 entity rows x 3 views against 1.6 million facts.

    python -m benchmarks.features [--json] [--rows N]

Ours is `features.repository.historical`, all of it: Feast, entity rows in and out, ttl, and values known too late left
out. Beside it, on the same snapshot, what an analyst writes by hand in DuckDB, with ttl but without the care for
when a value was known: `one_join` reads the three views' columns in one ASOF join, because they are one table;
`three_joins` has one ASOF join for each view. CPU seconds of the better of two runs; Feast's import is not counted.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.repository import apply, historical, open_store
from lake.company import load_company
from lake.connection import Lake
from lake.releases import Release

SERIES, DAYS = 3_000, 540
TABLE = "lake.marts.item_location_day"


def fill(lake: Lake, columns: dict[str, list[tuple[str, str]]]) -> None:
    values = ", ".join(
        f"CAST({'random() < .5' if dtype == 'Bool' else '100 * random()'} AS {'BOOLEAN' if dtype == 'Bool' else 'DOUBLE'}) AS {name}"
        for fields in columns.values()
        for name, dtype in fields
    )
    with lake.write() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"""CREATE TABLE {TABLE} AS SELECT 'ITEM' || lpad(CAST(s % 250 AS VARCHAR), 5, '0') AS item_id,
            'LOC' || lpad(CAST(s // 250 AS VARCHAR), 2, '0') AS location_id,
            TIMESTAMP '2025-01-02' + INTERVAL (d) DAY AS as_of_ts,
            as_of_ts + INTERVAL (CASE WHEN hash(s, d) % 100 = 0 THEN 120 ELSE 6 END) HOUR AS known_at, {values}
            FROM range({DAYS}) AS days (d), range({SERIES}) AS series (s)"""
        )


def entity_rows(count: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    series = random.integers(0, SERIES, count)
    moments = np.datetime64("2025-01-02T07:00:00", "us") + random.integers(28, DAYS, count).astype(
        "timedelta64[D]"
    )
    return pl.DataFrame({"series": series, "event_timestamp": moments}).select(
        "event_timestamp",
        item_id=pl.format("ITEM{}", (pl.col("series") % 250).cast(pl.String).str.zfill(5)),
        location_id=pl.format("LOC{}", (pl.col("series") // 250).cast(pl.String).str.zfill(2)),
    )


def by_hand(lake: Lake, snapshot: int, rows: pl.DataFrame, groups: list[list[str]]) -> pl.DataFrame:
    columns, joins = [], []
    for n, names in enumerate(groups):
        columns += [
            f"CASE WHEN e.event_timestamp - f{n}.as_of_ts <= INTERVAL 7 DAY THEN f{n}.{name} END AS {name}"
            for name in names
        ]
        joins.append(
            f"ASOF LEFT JOIN {TABLE} f{n} ON e.item_id = f{n}.item_id AND e.location_id = f{n}.location_id"
            f" AND e.event_timestamp >= f{n}.as_of_ts"
        )
    with lake.read(snapshot) as connection:
        connection.execute("SET asof_loop_join_threshold = 0")
        connection.register("e_rows", rows.with_row_index("row").to_arrow())
        sql = f"SELECT e.row, {', '.join(columns)} FROM e_rows e {' '.join(joins)} ORDER BY e.row"
        return pl.DataFrame(connection.execute(sql).to_arrow_table())


def cpu_s(work: Callable[[], Any]) -> float:
    taken = []
    for _ in range(2):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def measure(rows_count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        company = load_company("example", home=Path(folder))
        company.prepare()
        apply(company)
        views = {
            view.name: [(field.name, str(field.dtype)) for field in view.features]
            for view in open_store(company).list_feature_views()
            if view.batch_source.name == "item_location_day"
        }
        lake = Lake.of(company)
        fill(lake, views)
        release = Release("benchmark", lake.snapshot(), "", datetime(2026, 7, 1), date(2026, 6, 30))
        rows = entity_rows(rows_count)
        groups = [[name for name, _ in fields] for fields in views.values()]
        ours = cpu_s(lambda: historical(company, release, rows))
        one = cpu_s(
            lambda: by_hand(lake, release.snapshot_id, rows, [[name for names in groups for name in names]])
        )
        three = cpu_s(lambda: by_hand(lake, release.snapshot_id, rows, groups))
    return {
        "rows": rows_count,
        "facts": SERIES * DAYS,
        "historical_cpu_s": round(ours, 2),
        "one_join_cpu_s": round(one, 2),
        "three_joins_cpu_s": round(three, 2),
        "ratio_to_asof": round(ours / one, 2),
        "ratio_to_three_asof": round(ours / three, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=500_000)
    arguments = parser.parse_args()
    figures = measure(arguments.rows)
    print(
        json.dumps(figures)
        if arguments.json
        else "\n".join(f"{name:22} {value}" for name, value in figures.items())
    )


if __name__ == "__main__":
    main()
