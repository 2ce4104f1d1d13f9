"""What the plan reads, checked once at the door: columns, nulls, signs, keys.

Belongs here: checks that name frame, column and row. Not here: any decision. After this no other module looks for
bad values.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from lake.errors import InputError

LONGEST_PROTECTION_DAYS = 730
"""Nobody plans a lead time + review beyond two years from a forecast of four weeks: it is a wrong unit."""

FORECAST = ("item_id", "location_id", "forecast_date", "horizon_days", "p10", "p90", "mean")
POSITION = ("item_id", "location_id", "on_hand_units", "in_transit_units", "on_order_units")
OPTION = (
    "item_id",
    "location_id",
    "supplier_id",
    "lead_time_days",
    "lead_time_mean_days",
    "lead_time_std_days",
    "minimum_order_units",
    "pack_size_units",
    "unit_price",
    "freight_cost_per_unit",
    "is_preferred",
)


def check_forecast(frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the forecast if every series has the same days from `as_of` + 1 on, without gap; else `InputError`."""
    name = "forecasts.demand_forecast"
    frame = _door(frame, name, FORECAST, ("item_id", "location_id", "forecast_date"))
    refuse(frame, name, FORECAST, negative=("p10", "p90", "mean"))
    _first(frame, name, pl.col("p10") > pl.col("p90") + 1e-6, "has a p10 above its p90")
    shifted = (pl.col("forecast_date") - pl.lit(as_of)).dt.total_days() != pl.col("horizon_days")
    _first(frame, name, shifted, f"is not `horizon_days` after {as_of}: the forecast is of another day")
    series = frame.group_by("item_id", "location_id").agg(pl.len().alias("days"), pl.max("horizon_days"))
    longest = int(str(series["horizon_days"].max())) if series.height else 0
    _first(
        series,
        name,
        (pl.col("days") != longest) | (pl.col("horizon_days") != longest),
        f"does not have each of the {longest} days that the others have",
    )
    if 0 < longest < 7:
        raise InputError(
            f"{name} has {longest} days a series: a weekly pattern needs at least 7, forecast more."
        )
    return frame


def check_position(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the inventory position, one row per item and purchasing location, nothing null or negative."""
    name = "marts.inventory_position"
    frame = _door(frame, name, POSITION, ("item_id", "location_id"))
    return refuse(frame, name, POSITION, negative=POSITION[2:])


def check_options(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the ways to buy with one lead time each: the realised mean and spread, else the contract's.

    A missing minimum or pack size sets no condition (1); a missing freight rate stays null and is said in the plan.
    """
    name = "marts.supply_option"
    frame = _door(frame, name, OPTION, ("item_id", "location_id", "supplier_id"))
    numbers = "lead_time_days lead_time_mean_days lead_time_std_days minimum_order_units unit_price freight_cost_per_unit"
    refuse(frame, name, ("item_id", "location_id", "supplier_id", "unit_price"), negative=numbers.split())
    realised, contract = pl.col("lead_time_mean_days"), pl.col("lead_time_days")
    _first(
        frame,
        name,
        realised.is_null() & contract.is_null(),
        "has neither a realised nor a contract lead time",
    )
    _first(frame, name, pl.col("pack_size_units") < 1, "has a pack size below 1")
    lead = pl.coalesce(realised, contract.cast(pl.Float64))
    _first(
        frame,
        name,
        lead > LONGEST_PROTECTION_DAYS,
        f"has a lead time above {LONGEST_PROTECTION_DAYS} days: correct its unit",
    )
    return frame.with_columns(
        lead.alias("lead_days"),
        pl.when(realised.is_null())
        .then(0.0)
        .otherwise(pl.col("lead_time_std_days").fill_null(0.0))
        .alias("lead_std"),
        contract.cast(pl.Float64).fill_null(lead).alias("contract_days"),
        pl.col("pack_size_units").cast(pl.Int64).fill_null(1),
        pl.col("minimum_order_units").cast(pl.Int64).fill_null(1),
        pl.col("is_preferred").fill_null(False),
        (pl.col("is_assumed") if "is_assumed" in frame.columns else pl.lit(False))
        .fill_null(False)
        .alias("is_assumed"),
    )


def refuse(
    frame: pl.DataFrame, name: str, required: Sequence[str], *, negative: Sequence[str] = ()
) -> pl.DataFrame:
    """Return `frame`, or raise `InputError` at the first null in `required` or negative or non-finite number."""
    for column in required:
        _first(frame, name, pl.col(column).is_null(), f"has no {column}")
    for column in negative:
        value = pl.col(column).cast(pl.Float64)
        _first(frame, name, value.is_nan() | value.is_infinite(), f"has a {column} that is not a number")
        _first(frame, name, value < 0, f"has a negative {column}")
    return frame


def _door(frame: pl.DataFrame, name: str, columns: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{name} lacks {', '.join(missing)}: build the release again and plan from it.")
    _first(
        frame, name, pl.struct(key).is_duplicated(), f"stands more than once ({', '.join(key)} is its key)"
    )
    return frame


def _first(frame: pl.DataFrame, name: str, is_bad: pl.Expr, what: str) -> None:
    bad = frame.filter(is_bad)
    if not bad.height:
        return
    row = bad.row(0, named=True)
    keys = ("item_id", "location_id", "supplier_id", "forecast_date")
    where = ", ".join(f"{key} {row[key]}" for key in keys if key in row)
    more = f" (and {bad.height - 1} more)" if bad.height > 1 else ""
    raise InputError(f"{name}: {where} {what}{more}; correct it at its source and run again.")
