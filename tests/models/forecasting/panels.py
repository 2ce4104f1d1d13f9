"""Small panels with a known pattern, and a feature reader that is a plain join: no Feast, no lake."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from models.forecasting.frame import FeatureReader

KEYS = ["item_id", "location_id"]
FIRST_DAY = date(2025, 1, 6)  # a Monday


def panel_of(demand: dict[tuple[str, str], np.ndarray], last_day: date) -> pl.DataFrame:
    """One row per series and day; every series ends on `last_day`."""
    parts = []
    for (item, location), units in demand.items():
        first = last_day - timedelta(days=len(units) - 1)
        days = [first + timedelta(days=index) for index in range(len(units))]
        parts.append(
            pl.DataFrame({"item_id": item, "location_id": location, "day": days, "demand_units": units})
        )
    return pl.concat(parts).with_columns(
        pl.col("demand_units").cast(pl.Int64),
        is_stockout=pl.lit(False),
        unit_price=pl.lit(2.5),
        discount_share=pl.lit(0.0),
        is_promoted=pl.lit(False),
    )


def future_of(panel: pl.DataFrame) -> pl.DataFrame:
    """The 28 days after the panel, as planned: nothing promoted, the last price."""
    as_of = panel["day"].max()
    days = pl.DataFrame({"day": [as_of + timedelta(days=ahead) for ahead in range(1, 29)]})
    return (
        panel.select(KEYS)
        .unique()
        .join(days, how="cross")
        .with_columns(unit_price=pl.lit(2.5), discount_share=pl.lit(0.0), is_promoted=pl.lit(False))
    )


def calendar_of(panel: pl.DataFrame) -> pl.DataFrame:
    first, last = panel["day"].min(), panel["day"].max() + timedelta(days=120)
    days = pl.date_range(first, last, eager=True).alias("calendar_date")
    return pl.DataFrame(days).with_columns(
        is_weekend=pl.col("calendar_date").dt.weekday() > 5, is_holiday=pl.lit(False)
    )


def locations_of(panel: pl.DataFrame) -> pl.DataFrame:
    return panel.select("location_id").unique().with_columns(purchasing_location_id=pl.lit("DC"))


def reader_of(panel: pl.DataFrame) -> FeatureReader:
    """The mart's columns computed from the panel, joined exactly on item, location and moment."""
    features = mart_of(panel).drop("day", "is_stockout")

    def read(entities: pl.DataFrame) -> pl.DataFrame:
        return entities.join(features, on=[*KEYS, "event_timestamp"], how="left", maintain_order="left")

    return read


def mart_of(panel: pl.DataFrame) -> pl.DataFrame:
    units = pl.col("demand_units").cast(pl.Float64)
    age = pl.int_range(pl.len())
    mart = panel.sort(*KEYS, "day").with_columns(
        event_timestamp=pl.col("day").cast(pl.Datetime("us")) + pl.duration(days=1),
        dow=pl.col("day").dt.weekday(),
        std_28=units.rolling_std(28, min_samples=2).over(KEYS),
        zero_share_28=(units == 0).cast(pl.Float64).rolling_mean(28, min_samples=1).over(KEYS),
        days_since_last_sale=(age - pl.when(units > 0).then(age).forward_fill()).over(KEYS),
        dow_mean=units.rolling_mean(4, min_samples=1).over([*KEYS, pl.col("day").dt.weekday()]),
        **{f"lag_{days}": units.shift(days).over(KEYS) for days in (7, 14, 28)},
        **{f"mean_{days}": units.rolling_mean(days, min_samples=1).over(KEYS) for days in (7, 28, 91)},
    )
    return mart.with_columns(
        pl.when(pl.col("dow") == day).then("dow_mean").forward_fill().over(KEYS).alias(f"dow_mean_{day}")
        for day in range(1, 8)
    ).drop("dow", "dow_mean")


def shop(series: int = 12, days: int = 300, seed: int = 1) -> pl.DataFrame:
    """Poisson demand whose level swings with the items' own months: a weekday pattern that two items share."""
    random = np.random.default_rng(seed)
    time = np.arange(days)
    weekday = np.array([0.6, 0.7, 0.8, 1.0, 1.3, 1.8, 0.8])[time % 7]
    demand = {}
    for index in range(series):
        level = random.uniform(3, 12)
        demand[f"I{index // 2}", f"S{index % 2}"] = random.poisson(level * weekday)
    return panel_of(demand, FIRST_DAY + timedelta(days=days - 1))
