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
from models.inventory import eoq, policies, safety_stock
from models.replenishment import money
from models.replenishment.demand import DemandAhead, demand_ahead, purchasing_location
from models.replenishment.inputs import (
    LONGEST_PROTECTION_DAYS,
    check_forecast,
    check_options,
    check_position,
    refuse,
)
from models.replenishment.reasons import reason
from models.replenishment.suppliers import choose

DAYS_PER_YEAR = 365

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
    "legacy_reorder_point_units",
    "legacy_order_units",
    "weekly_review_order_units",
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
    "legacy_reorder_point_units",
    "legacy_order_units",
    "weekly_review_order_units",
]
_NEED_STOCK = ["inventory_position_units", "days_of_cover_before", "days_of_cover_after", "need_date"]

Column = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_] | NDArray[np.str_]


def plan(
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
    marts.inventory_position, marts.supply_option, core.dim_item, staging.stg_planner_setting; `series_segment` has
    item_id, location_id, segment. Raises `InputError` naming the first row that is null, negative or doubled.
    """
    forecast = check_forecast(demand_forecast, as_of)
    position = check_position(inventory_position)
    options = check_options(supply_option)
    listing = _listing(forecast, locations, position, items, _service_levels(planner_settings), settings)
    rows = listing.join(options, on=["item_id", "location_id"], how="left", suffix="_of_option").with_columns(
        (pl.col("is_assumed") | pl.col("is_assumed_of_option").fill_null(False)).alias("is_assumed")
    )
    keys = listing.select("item_id", "location_id")
    demand = demand_ahead(
        forecast, locations, calibration, series_segment, keys, _days_ahead(options, settings)
    )
    decided = _decide(rows, demand, settings, as_of)
    chosen = choose(decided)
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


def _listing(
    forecast: pl.DataFrame,
    locations: pl.DataFrame,
    position: pl.DataFrame,
    items: pl.DataFrame | None,
    planner_levels: pl.DataFrame,
    settings: Replenishment,
) -> pl.DataFrame:
    """Everything that needs a decision, with its stock, service level and the day-index of its demand."""
    key = ["item_id", "location_id"]
    bought_at = (
        forecast.select(key).unique().join(purchasing_location(locations), on="location_id", how="left")
    )
    forecast_keys = bought_at.select(
        "item_id", pl.coalesce("purchasing_location_id", "location_id").alias("location_id")
    )
    stock = position.select(
        *key,
        pl.col("on_hand_units").cast(pl.Int64),
        (pl.col("on_order_units").cast(pl.Int64) + pl.col("in_transit_units").cast(pl.Int64)).alias(
            "on_order_units"
        ),
        (pl.col("is_assumed") if "is_assumed" in position.columns else pl.lit(False)).alias("is_assumed"),
    )
    listing = (
        pl.concat([forecast_keys, position.select(key)])
        .unique()
        .sort(key)
        .with_row_index("demand_row")
        .join(stock, on=key, how="left")
        .join(_item_facts(items), on="item_id", how="left")
        .join(planner_levels, on="item_id", how="left")
    )
    by_category = settings.cycle_service_level.by_category
    of_category = (
        pl.col("category").replace_strict(by_category, default=None, return_dtype=pl.Float64)
        if by_category
        else pl.lit(None, dtype=pl.Float64)
    )
    return listing.with_columns(
        pl.coalesce("planner_level", of_category, pl.lit(settings.cycle_service_level.default)).alias(
            "cycle_service_level"
        ),
        pl.col("is_discontinued").fill_null(False),
        pl.col("is_assumed").fill_null(False),
        pl.lit(settings.review_period_days).alias("review_period_days"),
    )


def _item_facts(items: pl.DataFrame | None) -> pl.DataFrame:
    facts = {"category": pl.String, "is_discontinued": pl.Boolean}
    if items is None:
        return pl.DataFrame(schema={"item_id": pl.String, **facts})
    known = [
        pl.col(name).cast(kind) if name in items.columns else pl.lit(None, kind).alias(name)
        for name, kind in facts.items()
    ]
    return items.select("item_id", *known).unique("item_id", keep="first", maintain_order=True)


def _service_levels(planner_settings: pl.DataFrame | None) -> pl.DataFrame:
    """item_id, planner_level: what planners set per item, between 0.5 and 1."""
    if planner_settings is None or not planner_settings.height:
        return pl.DataFrame(schema={"item_id": pl.String, "planner_level": pl.Float64})
    if "_known_at" in planner_settings.columns:  # staging keeps every version: the newest speaks
        newest_last = planner_settings.sort("_known_at", "_file", "_line", nulls_last=False)
        planner_settings = newest_last.unique("item_id", keep="last", maintain_order=True)
    levels = planner_settings.select(
        "item_id", pl.col("cycle_service_level").cast(pl.Float64).alias("planner_level")
    ).drop_nulls()
    bad = levels.filter(~pl.col("planner_level").is_between(0.5, 1, closed="none"))
    if bad.height:
        raise InputError(
            f"planner_setting: item_id {bad['item_id'][0]} has a cycle_service_level of {bad['planner_level'][0]}: "
            "it has to lie between 0.5 and 1 (0.95 is 95 %), correct it in the planners' workbook."
        )
    refuse(levels, "planner_setting", ("item_id",))
    if levels["item_id"].is_duplicated().any():
        twice = levels.filter(pl.col("item_id").is_duplicated())["item_id"][0]
        raise InputError(
            f"planner_setting: item_id {twice} stands more than once; keep one row in the workbook."
        )
    return levels


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
    lead, lead_std = _number(rows, "lead_days"), _number(rows, "lead_std")
    review = float(settings.review_period_days)
    position = _number(rows, "on_hand_units") + _number(rows, "on_order_units")
    pack = _number(rows, "pack_size_units", 1).astype(np.int64)
    minimum = _number(rows, "minimum_order_units", 1).astype(np.int64)
    level = _number(rows, "cycle_service_level")

    window_mean, window_variance = demand.over(at, lead + review)
    mean, std = safety_stock.protection_period(
        window_mean / (lead + review), window_variance / (lead + review), lead, lead_std, review
    )
    law = safety_stock.distribution_for(mean, std)
    safety = np.maximum(safety_stock.demand_quantile(level, mean, std, law) - mean, 0.0)
    point = mean + safety
    per_day = demand.mean[at].mean(axis=1)
    price, freight = (
        money.micros(_number(rows, "unit_price")),
        money.micros(_number(rows, "freight_cost_per_unit")),
    )
    economic = _economic_quantity(per_day, price, settings)
    review_mean = demand.over(at, np.full(len(at), review))[0]
    up_to = policies.order_up_to_level(point, economic, review_mean)

    can_plan = (
        rows["supplier_id"].is_not_null() & rows["on_hand_units"].is_not_null() & ~rows["is_discontinued"]
    ).to_numpy()
    wanted = np.where(can_plan, policies.order_quantity(position, point, up_to, pack, minimum), 0)
    cap_cover = (
        demand.over(at, np.full(len(at), float(min(settings.maximum_cover_days, demand.days - 1))))[0]
        - position
    )
    cap_value = _affordable_units(price + freight, settings)
    quantity = policies.within_limit(wanted, np.minimum(cap_cover, cap_value), pack, minimum)
    limit = np.where(cap_cover <= cap_value, "maximum_cover_days", "maximum_order_value")
    goods, carriage = money.cost_cents(quantity, price), money.cost_cents(quantity, freight)

    need_day = demand.first_day_below(at, position, safety)
    need_day = np.where((need_day < 0) & (quantity > 0), np.ceil(lead + review), need_day)
    need_day = np.where(need_day < 0, -1, np.maximum(need_day, np.ceil(lead))).astype(np.int64)
    yearly = np.maximum(per_day * DAYS_PER_YEAR, 1e-9)
    holding_years = np.where(quantity > 0, quantity / (2 * yearly), 0.0)
    columns: dict[str, Column] = {
        "policy": np.char.add("order_up_to_", law),
        "inventory_position_units": position.astype(np.int64),
        "lead_time_mean_days": lead,
        "lead_time_std_days": lead_std,
        "demand_mean_units": mean,
        "demand_std_units": std,
        "safety_stock_units": safety,
        "reorder_point_units": point,
        "order_up_to_units": up_to,
        "order_quantity_units": quantity,
        "minimum_order_units": minimum,
        "pack_size_units": pack,
        "smallest_order_units": policies.whole_packs_up(minimum, pack),
        "is_due": wanted > 0,
        "days_of_cover_before": demand.days_covered(at, position),
        "days_of_cover_after": demand.days_covered(at, position + quantity),
        "eoq_units": economic,
        "comparable_cost": (price + freight) * (1 + settings.holding_cost_rate_per_year * holding_years),
        **_legacy(
            rows,
            per_day,
            demand.over(at, lead + review)[1] / (lead + review),
            position,
            economic,
            pack,
            level,
        ),
    }
    decided = rows.with_columns(
        *(pl.Series(name, values) for name, values in columns.items()),
        pl.Series("limit_applied", np.where(quantity < wanted, limit, ""), dtype=pl.String).replace("", None),
        money.micros_as_price("unit_price", price),
        money.cents_as_decimal("goods_cost", goods),
        money.cents_as_decimal("freight_cost", carriage),
        money.cents_as_decimal("total_cost", goods + carriage),
        rows["freight_cost_per_unit"].is_not_null().alias("freight_is_known"),
        pl.Series(
            "need_date", [as_of + timedelta(days=int(day)) if day >= 0 else None for day in need_day], pl.Date
        ),
        pl.lit(as_of).alias("as_of"),
    )
    return _unknown_is_null(decided)


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


def _legacy(
    rows: pl.DataFrame,
    per_day: NDArray[np.float64],
    variance_per_day: NDArray[np.float64],
    position: NDArray[np.float64],
    economic: NDArray[np.float64],
    pack: NDArray[np.int64],
    level: NDArray[np.float64],
) -> dict[str, Column]:
    """What a textbook ERP would do: contract lead time, normal demand, no lead-time risk; no minimum, no limits.

    Fixed reorder point with EOQ: r = mean L + z sigma sqrt(L). Weekly review: up to mean (L + 7) + z sigma sqrt(L + 7).
    """
    lead = _number(rows, "contract_days")
    z = safety_stock.demand_quantile(level, np.ones_like(level), np.ones_like(level), "normal") - 1
    sigma = np.sqrt(variance_per_day)
    point = per_day * lead + z * sigma * np.sqrt(lead)
    weekly = per_day * (lead + 7) + z * sigma * np.sqrt(lead + 7)
    return {
        "legacy_reorder_point_units": point,
        "legacy_order_units": np.where(position <= point, policies.whole_packs_up(economic, pack), 0),
        "weekly_review_order_units": policies.whole_packs_up(weekly - position, pack),
    }


def _unknown_is_null(decided: pl.DataFrame) -> pl.DataFrame:
    """Null what was computed from a filler: an unknown supplier or stock is not 0."""
    has_supplier, has_stock = pl.col("supplier_id").is_not_null(), pl.col("on_hand_units").is_not_null()
    needs = dict.fromkeys(_NEED_A_SUPPLIER, has_supplier)
    needs |= {name: has_stock & needs.get(name, pl.lit(True)) for name in _NEED_STOCK}
    orders = ("legacy_order_units", "weekly_review_order_units")
    needs |= dict.fromkeys(orders, has_supplier & has_stock)
    needs["days_of_cover_before"] &= pl.col("days_of_cover_before").is_finite()
    needs["days_of_cover_after"] &= pl.col("days_of_cover_after").is_finite()
    return decided.with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name, known in needs.items()
    ).with_columns(pl.col("policy").fill_null("none"))


def _number(rows: pl.DataFrame, column: str, filler: float = 0) -> NDArray[np.float64]:
    return rows[column].cast(pl.Float64).fill_null(filler).to_numpy()
