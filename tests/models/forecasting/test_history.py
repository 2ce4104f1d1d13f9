from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from lake.errors import InputError
from models.forecasting.history import read_history
from tests.models.forecasting.panels import future_of, panel_of, shop

PANEL = shop(series=4, days=60)
AS_OF = PANEL["day"].max()
FUTURE = future_of(PANEL)


def test_arrays_hold_the_panel_whatever_the_order_of_its_rows():
    history = read_history(PANEL.sample(fraction=1, shuffle=True, seed=1), FUTURE, AS_OF)
    assert history.days == 60
    assert history.day(history.origin) == AS_OF
    for row in PANEL.sample(40, seed=2).iter_rows(named=True):
        series = history.series.with_row_index().filter(
            item_id=row["item_id"], location_id=row["location_id"]
        )["index"][0]
        assert history.demand[(row["day"] - history.first_day).days, series] == row["demand_units"]


def test_stockouts_and_missing_days_are_unknown():
    day = AS_OF - timedelta(days=3)
    first = (pl.col("item_id") == "I0") & (pl.col("location_id") == "S0")
    holed = PANEL.filter(~(first & (pl.col("day") == day))).with_columns(
        is_stockout=first & (pl.col("day") == AS_OF)
    )
    demand = read_history(holed, FUTURE, AS_OF).demand
    assert np.isnan(demand[-4, 0])
    assert np.isnan(demand[-1, 0])
    assert np.isnan(demand).sum() == 2


def test_prices_hold_on_where_the_plan_is_silent():
    history = read_history(PANEL, FUTURE.clear(), AS_OF)
    assert (history.unit_price[-28:] == 2.5).all()
    assert (history.is_promoted[-28:] == 0).all()


def test_rows_after_as_of_are_left_out():
    earlier = AS_OF - timedelta(days=10)
    assert read_history(PANEL, FUTURE, earlier).days == 50


def test_types_as_the_lake_gives_them_are_read():
    lake = PANEL.with_columns(
        pl.col("demand_units").cast(pl.Decimal(18, 0)), pl.col("unit_price").cast(pl.Decimal(18, 4))
    )
    history = read_history(lake, FUTURE.with_columns(pl.col("unit_price").cast(pl.Decimal(18, 4))), AS_OF)
    assert history.demand.dtype == np.float32
    assert (history.unit_price == 2.5).all()


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (PANEL.clear(), "has no rows"),
        (PANEL.drop("is_stockout"), "lacks is_stockout"),
        (pl.concat([PANEL, PANEL.head(2)]), "more than once (2 repeated rows)"),
    ],
)
def test_a_panel_that_cannot_be_used_is_named(panel, said):
    with pytest.raises(InputError) as error:
        read_history(panel, FUTURE, AS_OF)
    assert said in str(error.value)


def test_one_day_of_one_series_is_enough_to_read():
    panel = panel_of({("I", "S"): np.array([3])}, AS_OF)
    assert read_history(panel, FUTURE.clear(), AS_OF).demand.tolist() == [[3.0]]
