"""Small frames as the lake holds them, for the plan's tests."""

from datetime import date, timedelta
from typing import Any

import polars as pl

from lake.company import Replenishment

AS_OF = date(2026, 6, 30)


def forecast(daily: dict[tuple[str, str], list[tuple[float, float, float]]]) -> pl.DataFrame:
    """(item, location) -> (p10, mean, p90) of each day ahead."""
    rows = [
        {
            "item_id": item,
            "location_id": location,
            "forecast_date": AS_OF + timedelta(days=day + 1),
            "horizon_days": day + 1,
            "model": "xgboost",
            "p10": p10,
            "p50": mean,
            "p90": p90,
            "mean": mean,
        }
        for (item, location), days in daily.items()
        for day, (p10, mean, p90) in enumerate(days)
    ]
    schema = {
        "item_id": pl.String,
        "location_id": pl.String,
        "forecast_date": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "p10": pl.Float64,
        "p50": pl.Float64,
        "p90": pl.Float64,
        "mean": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema)


def steady(mean: float, spread: float = 0.0, days: int = 28) -> list[tuple[float, float, float]]:
    """The same day `days` times; the spread is p90 - p10."""
    return [(max(mean - spread / 2, 0), mean, max(mean - spread / 2, 0) + spread)] * days


def locations(**bought_at: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"location_id": list(bought_at), "purchasing_location_id": list(bought_at.values())},
        schema={"location_id": pl.String, "purchasing_location_id": pl.String},
    )


def position(*rows: tuple[str, str, int, int, int]) -> pl.DataFrame:
    names = ["item_id", "location_id", "on_hand_units", "in_transit_units", "on_order_units"]
    schema = dict(zip(names, [pl.String, pl.String, pl.Int64, pl.Int64, pl.Int64], strict=True))
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(pl.lit(False).alias("is_assumed"))


OPTION_SCHEMA = {
    "item_id": pl.String,
    "location_id": pl.String,
    "supplier_id": pl.String,
    "lead_time_days": pl.Int64,
    "lead_time_mean_days": pl.Float64,
    "lead_time_std_days": pl.Float64,
    "minimum_order_units": pl.Int64,
    "pack_size_units": pl.Int64,
    "unit_price": pl.Float64,
    "freight_cost_per_unit": pl.Float64,
    "freight_mode": pl.String,
    "is_preferred": pl.Boolean,
    "is_assumed": pl.Boolean,
}


def option(item: str = "A", location: str = "DC", supplier: str = "S1", **changes: Any) -> dict[str, Any]:
    usual = {
        "item_id": item,
        "location_id": location,
        "supplier_id": supplier,
        "lead_time_days": 7,
        "lead_time_mean_days": None,
        "lead_time_std_days": None,
        "minimum_order_units": 1,
        "pack_size_units": 1,
        "unit_price": 10.0,
        "freight_cost_per_unit": 0.5,
        "freight_mode": "road",
        "is_preferred": True,
        "is_assumed": False,
    }
    return usual | changes


def options(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=OPTION_SCHEMA)


def settings(**changes: Any) -> Replenishment:
    return Replenishment.model_validate({"order_cost": 0.0, **changes})
