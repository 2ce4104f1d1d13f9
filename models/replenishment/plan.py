"""The plan: from forecast, stock and supplier terms to what to order, one row per item and purchasing location.

Periodic review with reorder point s and order-up-to level S. Every option to buy is worked out in full with its own
lead time, packs and minimum; then one of them takes the order (`suppliers.py`) and says why (`reasons.py`).
Not here: reading the lake, writing orders.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.company import Replenishment
from lake.errors import InputError
from models.inventory import distributions, eoq, policies, safety_stock
from models.replenishment import baselines, money
from models.replenishment.baselines import DAYS_PER_YEAR
from models.replenishment.demand import DemandAhead, demand_ahead
from models.replenishment.inputs import (
    LONGEST_PROTECTION_DAYS,
    check_forecast,
    check_options,
    check_position,
)
from models.replenishment.listing import listing
from models.replenishment.reasons import reason
from models.replenishment.suppliers import choose

COLUMNS = [
    "item_id",
    "location_id",
    "supplier_id",
    "as_of",
    "policy",
    "on_hand_units",
    "on_order_units",
    "inventory_position_units",
    "lead_time_mean_days",
    "lead_time_std_days",
    "review_period_days",
    "demand_mean_units",
    "demand_std_units",
    "cycle_service_level",
    "safety_stock_units",
    "reorder_point_units",
    "order_up_to_units",
    "order_quantity_units",
    "minimum_order_units",
    "pack_size_units",
    "days_of_cover_before",
    "days_of_cover_after",
    "unit_price",
    "goods_cost",
    "freight_cost",
    "total_cost",
    "need_date",
    "eoq_units",
    *baselines.COLUMNS,
    "limit_applied",
    "is_assumed",
    "reason",
]
"""The columns of `plan.replenishment`, without release_id."""

_NEED_A_SUPPLIER = [
    "policy",
    "lead_time_mean_days",
    "lead_time_std_days",
    "demand_mean_units",
    "demand_std_units",
    "safety_stock_units",
    "reorder_point_units",
    "order_up_to_units",
    "minimum_order_units",
    "pack_size_units",
    "unit_price",
    "need_date",
    "eoq_units",
]
_NEED_STOCK = ["inventory_position_units", "days_of_cover_before", "days_of_cover_after", "need_date"]

Column = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_] | NDArray[np.str_]


def plan(  # noqa: PLR0913 - ten frames are what a plan depends on, each by name
    demand_forecast: pl.DataFrame,
    calibration: pl.DataFrame | None,
    locations: pl.DataFrame,
    inventory_position: pl.DataFrame,
    supply_option: pl.DataFrame,
    *,
    settings: Replenishment,
    as_of: date,
    items: pl.DataFrame | None = None,
    planner_settings: pl.DataFrame | None = None,
    series_segment: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return `plan.replenishment` (docs/architecture.md, without release_id), sorted by item_id, location_id.

    Every item x purchasing location with a forecast or a stock record has a row; one that cannot be planned (no
    supplier, no stock record, discontinued) has order quantity 0 and says why. `on_order_units` counts what is on
    order and in transit. Days of cover are of the inventory position; null where no demand is expected.
    Frames are those of the lake: forecasts.demand_forecast, forecasts.calibration, core.dim_location,
    marts.inventory_position, marts.supply_option, core.dim_item, core.dim_planner_setting; `series_segment` has
    item_id, location_id, segment. Raises `InputError` naming the first row that is null, negative or doubled.
    """
    forecast = check_forecast(demand_forecast, as_of)
    position = check_position(inventory_position)
    options = check_options(supply_option)
    listed = listing(forecast, locations, position, items, planner_settings, settings)
    rows = listed.join(options, on=["item_id", "location_id"], how="left", suffix="_of_option").with_columns(
        (pl.col("is_assumed") | pl.col("is_assumed_of_option").fill_null(False)).alias("is_assumed")
    )
    keys = listed.select("item_id", "location_id")
    demand = demand_ahead(
        forecast, locations, calibration, series_segment, keys, _days_ahead(options, settings)
    )
    decided = _decide(rows, demand, settings, as_of)
    chosen = choose(decided)
    at = chosen["demand_row"].cast(pl.Int64).to_numpy()
    chosen = baselines.with_baselines(chosen, demand.mean_per_day[at], demand.variance_per_day[at], settings)
    limits = {
        "maximum_cover_days": settings.maximum_cover_days,
        "maximum_order_value": settings.maximum_order_value,
    }
    reasons = [reason(row | limits) for row in chosen.iter_rows(named=True)]
    return (
        chosen.with_columns(pl.Series("reason", reasons, dtype=pl.String))
        .select(COLUMNS)
        .sort("item_id", "location_id")
    )


def _days_ahead(options: pl.DataFrame, settings: Replenishment) -> int:
    protection = float(str(options["lead_days"].max() or 0)) + settings.review_period_days
    if protection > LONGEST_PROTECTION_DAYS + 366:
        raise InputError(
            f"company.yaml, key 'replenishment.review_period_days': {settings.review_period_days} days is beyond a "
            "year; correct it there and run again."
        )
    return max(int(np.ceil(protection)) + 1, min(settings.maximum_cover_days, 3 * DAYS_PER_YEAR) + 1, 28)


def _decide(rows: pl.DataFrame, demand: DemandAhead, settings: Replenishment, as_of: date) -> pl.DataFrame:
    """Work out every option: levels, quantity, limits, costs, baselines; null where an input is not known."""
    at = rows["demand_row"].cast(pl.Int64).to_numpy()
    position = _number(rows, "on_hand_units") + _number(rows, "on_order_units")
    price, freight = (money.micros(_number(rows, name)) for name in ("unit_price", "freight_cost_per_unit"))
    levels = _levels(rows, demand, at, price, settings)
    pack = _number(rows, "pack_size_units", 1).astype(np.int64)
    minimum = _number(rows, "minimum_order_units", 1).astype(np.int64)

    can_plan = rows.select(
        pl.col("supplier_id").is_not_null()
        & pl.col("on_hand_units").is_not_null()
        & ~pl.col("is_discontinued")
    )
    wanted = policies.order_quantity(
        position, levels["reorder_point_units"], levels["order_up_to_units"], pack, minimum
    ) * can_plan.to_series().to_numpy().astype(np.int64)
    longest_cover = np.full(len(at), float(min(settings.maximum_cover_days, demand.days - 1)))
    cap_cover = demand.over(at, longest_cover)[0] - position
    cap_value = _affordable_units(price + freight, settings)
    quantity = policies.within_limit(wanted, np.minimum(cap_cover, cap_value), pack, minimum)
    limit = np.where(cap_cover <= cap_value, "maximum_cover_days", "maximum_order_value")

    goods, carriage = money.cost_cents(quantity, price), money.cost_cents(quantity, freight)
    columns: dict[str, Column] = levels | {
        "inventory_position_units": position.astype(np.int64),
        "order_quantity_units": quantity,
        "minimum_order_units": minimum,
        "pack_size_units": pack,
        "smallest_order_units": policies.whole_packs_up(minimum, pack),
        "is_due": wanted > 0,
        "days_of_cover_before": demand.days_covered(at, position),
        "days_of_cover_after": demand.days_covered(at, position + quantity),
        "comparable_cost": _comparable_cost(price + freight, quantity, demand.mean_per_day[at], settings),
    }
    need_dates = _need_dates(rows, demand, at, position, levels["safety_stock_units"], quantity, as_of)
    decided = rows.with_columns(
        *(pl.Series(name, values) for name, values in columns.items()),
        pl.Series("limit_applied", np.where(quantity < wanted, limit, ""), dtype=pl.String).replace("", None),
        pl.Series("need_date", need_dates, dtype=pl.Date),
        money.micros_as_price("unit_price", price),
        money.cents_as_decimal("goods_cost", goods),
        money.cents_as_decimal("freight_cost", carriage),
        money.cents_as_decimal("total_cost", goods + carriage),
        pl.col("freight_cost_per_unit").is_not_null().alias("freight_is_known"),
        pl.lit(as_of).alias("as_of"),
    )
    return _unknown_is_null(decided)


def _levels(
    rows: pl.DataFrame,
    demand: DemandAhead,
    at: NDArray[np.int64],
    price: NDArray[np.int64],
    settings: Replenishment,
) -> dict[str, Column]:
    """Demand over lead time + review, safety stock, reorder point and order-up-to level of every option."""
    lead, lead_std = _number(rows, "lead_days"), _number(rows, "lead_std")
    days = lead + settings.review_period_days
    window_mean, window_variance = demand.over(at, days)
    mean, std = safety_stock.protection_period(
        window_mean / days, window_variance / days, lead, lead_std, settings.review_period_days
    )
    law = distributions.distribution_for(mean, std)
    target = distributions.demand_quantile(_number(rows, "cycle_service_level"), mean, std, law)
    safety = np.maximum(target - mean, 0.0)
    economic = _economic_quantity(demand.mean_per_day[at], price, settings)
    review_mean, _ = demand.over(at, np.full(len(at), float(settings.review_period_days)))
    return {
        "policy": np.char.add("order_up_to_", law),
        "lead_time_mean_days": lead,
        "lead_time_std_days": lead_std,
        "demand_mean_units": mean,
        "demand_std_units": std,
        "safety_stock_units": safety,
        "reorder_point_units": mean + safety,
        "order_up_to_units": policies.order_up_to_level(mean + safety, economic, review_mean),
        "eoq_units": economic,
    }


def _need_dates(
    rows: pl.DataFrame,
    demand: DemandAhead,
    at: NDArray[np.int64],
    position: NDArray[np.float64],
    safety: Column,
    quantity: NDArray[np.int64],
    as_of: date,
) -> list[date | None]:
    """When projected stock falls below safety stock; not before an order placed now arrives. None: not in sight."""
    lead = np.ceil(_number(rows, "lead_days"))
    day = demand.first_day_below(at, position, np.asarray(safety, dtype=np.float64))
    day = np.where((day < 0) & (quantity > 0), lead, day)
    day = np.where(day < 0, -1, np.maximum(day, lead)).astype(np.int64)
    return [as_of + timedelta(days=int(each)) if each >= 0 else None for each in day]


def _comparable_cost(
    landed_micros: NDArray[np.int64],
    quantity: NDArray[np.int64],
    per_day: NDArray[np.float64],
    settings: Replenishment,
) -> NDArray[np.float64]:
    """Landed cost of a unit plus what holding it costs while half the order, on average, waits to be sold."""
    years = np.where(quantity > 0, quantity / (2 * np.maximum(per_day * DAYS_PER_YEAR, 1e-9)), 0.0)
    return np.asarray(landed_micros * (1 + settings.holding_cost_rate_per_year * years))


def _economic_quantity(
    per_day: NDArray[np.float64], price: NDArray[np.int64], settings: Replenishment
) -> NDArray[np.float64]:
    holding = settings.holding_cost_rate_per_year * price / 1e6
    economic = eoq.economic_order_quantity(settings.order_cost, holding, per_day * DAYS_PER_YEAR)
    # A price of 0 makes holding free and the economic quantity infinite: a year's demand is enough then.
    return np.where(np.isfinite(economic), economic, per_day * DAYS_PER_YEAR)


def _affordable_units(landed_micros: NDArray[np.int64], settings: Replenishment) -> NDArray[np.float64]:
    """Largest whole quantity whose cost, each part rounded up to the cent, stays within the maximum order value."""
    if settings.maximum_order_value is None:
        return np.full(len(landed_micros), np.inf)
    available = round(settings.maximum_order_value * 1e6) - 10_000  # half a cent for each of two roundings
    with np.errstate(divide="ignore"):
        return np.where(landed_micros > 0, np.floor(available / landed_micros), np.inf)


def _unknown_is_null(decided: pl.DataFrame) -> pl.DataFrame:
    """Null what was computed from a filler: an unknown supplier or stock is not 0."""
    has_supplier, has_stock = pl.col("supplier_id").is_not_null(), pl.col("on_hand_units").is_not_null()
    needs = dict.fromkeys(_NEED_A_SUPPLIER, has_supplier)
    needs |= {name: has_stock & needs.get(name, pl.lit(True)) for name in _NEED_STOCK}
    needs["days_of_cover_before"] &= pl.col("days_of_cover_before").is_finite()
    needs["days_of_cover_after"] &= pl.col("days_of_cover_after").is_finite()
    return decided.with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name, known in needs.items()
    ).with_columns(pl.col("policy").fill_null("none"))


def _number(rows: pl.DataFrame, column: str, filler: float = 0) -> NDArray[np.float64]:
    return rows[column].cast(pl.Float64).fill_null(filler).to_numpy()
