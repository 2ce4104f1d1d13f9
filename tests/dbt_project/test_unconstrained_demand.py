"""What was demanded on days without stock, against the truth of simulated worlds; the estimate never sees it."""

import io
import subprocess
import sys

import duckdb
import jinja2
import numpy as np
import polars as pl
import pytest

from lake.company import PROJECT_ROOT
from lake.dbt_files import SOURCE_PROJECT
from tests.dbt_project import dbt_stand_ins

SEEDS = (1, 2, 3, 4, 5)
# The generator's own demand and shelves, without the files that its program writes of them.
WORLD = """
import sys
from datetime import date
import numpy as np
from generator.demand import make_demand
from generator.simulation import simulate
from generator.world import Sizes, make_world
world = make_world(Sizes(int(sys.argv[1]), 250, 8, 3, 12, 365, 300_000, 0.0, 0.0, date(2026, 6, 30)))
demand = make_demand(world)
history = simulate(world, demand)
np.savez(sys.stdout.buffer, wanted=demand.units, sold=history.sales, shelf=history.closing[:, world.centres:],
         promoted=demand.discount_bp > 0, ended=world.discontinued < 365)
"""


def _world(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return item x location x day (wanted, sold, shelf, promoted), and the items."""
    made = subprocess.run(
        [sys.executable, "-c", WORLD, str(seed)],
        cwd=PROJECT_ROOT / "companies" / "example",
        capture_output=True,
        check=True,
    )
    with np.load(io.BytesIO(made.stdout)) as arrays:
        day, place, item = (index.ravel() for index in np.indices(arrays["sold"].shape, dtype=np.int32))
        names = ("wanted", "sold", "shelf", "promoted")
        days = pl.DataFrame(
            {"day": day, "place": place, "item": item} | {name: arrays[name].ravel() for name in names}
        )
        items = pl.DataFrame({"item": np.arange(len(arrays["ended"])), "ended": arrays["ended"]})
    return days, items


def _stockout_days(days: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Run the model's own SQL over what the world's systems would report."""
    files = ("macros/unconstrained_demand.sql", "models/marts/stockout_day.sql")
    sql = "".join((SOURCE_PROJECT / file).read_text(encoding="utf-8") for file in files)
    query = (
        jinja2.Environment()
        .from_string(sql)
        .render(ref=str, config=lambda **_: "", may_be_asked_of=dbt_stand_ins.may_be_asked_of)
    )
    keys = "format('I{:04}', item) AS item_id, format('S{}', place) AS location_id, date '2025-01-01' + day::int AS"
    with duckdb.connect() as connection:
        connection.register("days", days)
        connection.register("items", items)
        for name, select in {
            "fct_demand": f"{keys} demand_date, sold::bigint AS sold_units, 0::bigint AS returned_units"
            " FROM days WHERE sold > 0",
            "fct_inventory": f"{keys} snapshot_date, shelf::bigint AS on_hand_units, false AS is_assumed FROM days",
            "int_series_promotion_day": f"{keys} day FROM days WHERE promoted",
            "dim_item": "format('I{:04}', item) AS item_id, ended AS is_discontinued FROM items",
            "int_active_series": "item_id, location_id, min(demand_date) AS first_day FROM fct_demand GROUP BY ALL",
        }.items():
            connection.execute(f"CREATE TABLE {name} AS SELECT {select}")
        return connection.execute(
            f"""
            SELECT is_partial, method, sold_units, unconstrained_demand_units::double AS estimate, wanted
            FROM ({query}) JOIN (SELECT {keys} day, wanted FROM days) USING (item_id, location_id, day)
            """
        ).pl()


@pytest.fixture(scope="module")
def worlds() -> list[pl.DataFrame]:
    return [_stockout_days(*_world(seed)) for seed in SEEDS]


def _bias(rows: pl.DataFrame, column: str) -> float:
    return float(rows[column].sum() / rows["wanted"].sum() - 1)


def test_bias_is_under_3_percent_where_sales_alone_are_15_percent_or_more_too_low(
    worlds: list[pl.DataFrame],
) -> None:
    for seed, rows in zip(SEEDS, worlds, strict=True):
        assert rows.height > 5000
        assert _bias(rows, "sold_units") < -0.15
        assert abs(_bias(rows, "estimate")) < 0.03, seed
    together = pl.concat(worlds)
    for (is_partial,), part in together.partition_by("is_partial", as_dict=True).items():
        assert _bias(part, "sold_units") < -0.15
        assert abs(_bias(part, "estimate")) < 0.03, is_partial
        assert set(part["method"]) == {"product_limit" if is_partial else "expected"}


def test_error_of_a_day_is_smaller_than_that_of_its_sales(worlds: list[pl.DataFrame]) -> None:
    """A single day stays uncertain (customers come by chance): the absolute error is about .46 of what was wanted."""
    for rows in worlds:
        error = (rows["estimate"] - rows["wanted"]).abs().sum() / rows["wanted"].sum()
        assert error < 0.5 < (rows["wanted"] - rows["sold_units"]).sum() / rows["wanted"].sum()


def test_shelves_that_were_never_empty_have_no_stockout_days() -> None:
    days = pl.DataFrame({"day": range(60), "place": 0, "item": 0, "wanted": 2, "sold": 2, "shelf": 9})
    items = pl.DataFrame({"item": [0], "ended": [False]})
    assert _stockout_days(days.with_columns(pl.lit(False).alias("promoted")), items).is_empty()


def test_an_item_only_seen_on_a_day_when_nobody_buys_has_no_estimate_beyond_its_sales() -> None:
    """Sold first on a Saturday (which is no evidence), there on a Sunday, when nobody buys anything, and gone from Monday."""
    days = pl.DataFrame({"day": range(60), "place": 0, "item": 0, "shelf": 9})
    days = days.with_columns(pl.when(pl.col("day") % 7 == 4).then(0).otherwise(2).alias("sold"))
    fleeting = pl.DataFrame(
        {"day": range(3, 60), "place": 0, "item": 1, "shelf": [1, 1, *[0] * 55], "sold": [1, *[0] * 56]}
    )
    days = pl.concat([days, fleeting.select(days.columns)], how="vertical_relaxed")
    rows = _stockout_days(
        days.with_columns(pl.col("sold").alias("wanted"), pl.lit(False).alias("promoted")),
        pl.DataFrame({"item": [0, 1], "ended": [False, False]}),
    )
    assert rows.height > 0
    assert rows["estimate"].to_list() == [0.0] * rows.height


def test_the_excess_of_geometric_demand_is_the_same_whatever_was_sold() -> None:
    """Geometric demand has no memory: E[D - s | D >= s] = (1 - p) / p = 3 for every s (p = 1/4)."""
    chance = np.random.default_rng(3)
    day, item = (index.ravel() for index in np.indices((200, 40), dtype=np.int32))
    wanted = chance.geometric(0.25, day.size)
    stock = np.where(chance.random(day.size) < 0.2, chance.integers(1, 9, day.size), 99)
    sold = np.minimum(wanted, stock)
    days = pl.DataFrame({"day": day, "item": item, "wanted": wanted, "sold": sold, "shelf": stock - sold})
    days = days.with_columns(pl.lit(0).alias("place"), pl.lit(False).alias("promoted"))
    rows = _stockout_days(days, pl.DataFrame({"item": np.arange(40), "ended": False}))
    excess = (rows["estimate"] - rows["sold_units"]).to_numpy()
    sold = rows["sold_units"].to_numpy()
    assert rows.height > 600
    for least, most in ((1, 2), (3, 5), (6, 8)):
        assert excess[(sold >= least) & (sold <= most)].mean() == pytest.approx(3, rel=0.12)
