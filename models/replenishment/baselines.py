"""The legacy policies beside the plan's own: what a textbook ERP would order, and what each policy costs in a year.

Belongs here: levels and quantities of EOQ with a fixed reorder point and of weekly review, and the same yardstick for all
three. Not here: the plan's own levels and orders, which nothing here changes.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.company import Replenishment
from models.inventory import distributions, policies
from models.inventory.performance import expected_performance
from models.replenishment import money

Floats = NDArray[np.float64]

DAYS_PER_YEAR = 365
WEEK_DAYS = 7

COLUMNS = [
    "legacy_reorder_point_units",
    "legacy_order_units",
    "legacy_cost_per_year",
    "legacy_fill_rate",
    "weekly_review_order_up_to_units",
    "weekly_review_order_units",
    "weekly_review_cost_per_year",
    "weekly_review_fill_rate",
    "policy_cost_per_year",
    "policy_fill_rate",
]
"""What is added to the plan; all of it needs a supplier."""


def with_baselines(
    rows: pl.DataFrame, mean_per_day: Floats, variance_per_day: Floats, settings: Replenishment
) -> pl.DataFrame:
    """Return the rows of a plan with `COLUMNS` beside its own levels; rows without a supplier have nulls.

    Both legacy policies take the contract's lead time L, normal demand (mean and variance of a day, over the forecast)
    and no risk of late delivery, no minimum and no limit. Fixed reorder point: EOQ in whole packs whenever the position
    is at or below mean L + z sigma sqrt(L). Weekly review: up to mean (L + 7) + z sigma sqrt(L + 7).
    Cost per year is that of orders and of holding stock, and stands beside the fill rate that it buys: both are those of
    the demand and the lead times that the plan expects, the same for all three policies.
    """
    known = rows["supplier_id"].is_not_null() & rows["demand_mean_units"].is_not_null()
    lead, z = _number(rows, "contract_days"), _z(rows)
    position, pack = (
        _number(rows, "inventory_position_units"),
        np.maximum(_number(rows, "pack_size_units", 1), 1),
    )
    point = mean_per_day * lead + z * np.sqrt(variance_per_day * lead)
    weekly = mean_per_day * (lead + WEEK_DAYS) + z * np.sqrt(variance_per_day * (lead + WEEK_DAYS))
    lot = policies.whole_packs_up(_number(rows, "eoq_units"), pack)
    own = _number(rows, "reorder_point_units"), _number(rows, "order_up_to_units")
    review = np.full(len(point), float(settings.review_period_days))
    per_day = _number(rows, "demand_mean_units") / (_number(rows, "lead_time_mean_days") + review)
    own_lot = _average_order(own[1] - own[0], per_day * review, _number(rows, "smallest_order_units"))
    # Stock is in whole units: the positions after a look are floor(r) + 1 .. floor(r) + Q, all alike.
    whole = np.floor(point) + 0.5
    # An order leaves S, so the positions after a look begin half a review's demand above s.
    above = np.minimum(own[0] + per_day * review / 2, own[1])
    yardstick = _Yardstick(rows, per_day, review, settings)
    columns = {
        "legacy_reorder_point_units": point,
        "legacy_order_units": np.where(position <= point, lot, 0),
        "weekly_review_order_up_to_units": weekly,
        "weekly_review_order_units": policies.whole_packs_up(weekly - position, pack),
    }
    performance = [
        *yardstick.of("legacy", whole, whole + lot, 1, lot),
        *yardstick.of("weekly_review", weekly, weekly, WEEK_DAYS, np.maximum(per_day * WEEK_DAYS, pack)),
        *yardstick.of("policy", above, own[1], settings.review_period_days, own_lot),
    ]
    added = rows.with_columns(*(pl.Series(name, values) for name, values in columns.items()), *performance)
    has_stock = {"legacy_order_units", "weekly_review_order_units"}
    return added.with_columns(
        pl.when(pl.lit(known) & (pl.col("on_hand_units").is_not_null() | (name not in has_stock)))
        .then(pl.col(name))
        .alias(name)
        for name in COLUMNS
    )


class _Yardstick:
    """Cost of orders and stock in a year, and the fill rate, of any levels under the plan's demand and lead times."""

    def __init__(self, rows: pl.DataFrame, per_day: Floats, review: Floats, settings: Replenishment) -> None:
        self._lead = _number(rows, "lead_time_mean_days"), _number(rows, "lead_time_std_days")
        late = per_day * self._lead[1]
        variance = np.maximum(_number(rows, "demand_std_units") ** 2 - late**2, 0.0) / (
            self._lead[0] + review
        )
        self._demand = per_day, variance
        self._holding = settings.holding_cost_rate_per_year * _number(rows, "unit_price")
        self._order_cost = settings.order_cost

    def of(
        self, name: str, low: Floats, high: Floats, review_days: int, lot: Floats | NDArray[np.int64]
    ) -> list[pl.Series]:
        held = expected_performance(low, high, review_days, self._demand, self._lead)
        yearly = self._demand[0] * DAYS_PER_YEAR
        orders = np.minimum(yearly / np.maximum(lot, 1e-9), DAYS_PER_YEAR / review_days)
        cost = self._order_cost * orders + self._holding * held.on_hand_units
        return [
            money.cents_as_decimal(
                f"{name}_cost_per_year", np.rint(np.minimum(cost, 1e15) * 100).astype(np.int64)
            ),
            pl.Series(f"{name}_fill_rate", held.fill_rate),
        ]


def _average_order(room: Floats, review_demand: Floats, smallest: Floats) -> Floats:
    """Mean order of (R, s, S): S - s and half the demand of a review, by which s is passed; at least the smallest."""
    return np.maximum(
        np.where(room > 0, np.maximum(room + review_demand / 2, review_demand), review_demand), smallest
    )


def _z(rows: pl.DataFrame) -> Floats:
    return distributions.demand_quantile(_number(rows, "cycle_service_level", 0.5), 1.0, 1.0, "normal") - 1


def _number(rows: pl.DataFrame, column: str, filler: float = 0) -> Floats:
    return rows[column].cast(pl.Float64).fill_null(filler).to_numpy()
