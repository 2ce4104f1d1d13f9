"""The plan again, row by row in plain Python, written from its description and sharing no code with it."""

import math
from decimal import ROUND_HALF_UP, Decimal
from statistics import NormalDist
from typing import Any

import polars as pl
from scipy import stats

from lake.company import Replenishment


def daily(forecast: pl.DataFrame, bought_at: dict[str, str], item: str, place: str, factor: float) -> Any:
    """Return functions day (0-based) -> mean and variance of item at the purchasing location, for any day."""
    mean, variance = [0.0] * 28, [0.0] * 28
    for row in forecast.iter_rows(named=True):
        if row["item_id"] == item and bought_at[row["location_id"]] == place:
            day = row["horizon_days"] - 1
            mean[day] += row["mean"]
            variance[day] += max(((row["p90"] - row["p10"]) / 2.563) ** 2, row["mean"]) * factor

    def at(values: list[float], day: int) -> float:
        if day < 28:
            return values[day]
        same = [values[other] for other in range(28) if other % 7 == day % 7]
        return sum(same) / len(same)

    return (lambda day: at(mean, day)), (lambda day: at(variance, day))


def total(of_day: Any, days: float) -> float:
    whole = math.floor(days)
    return sum(of_day(day) for day in range(whole)) + (days - whole) * of_day(whole)


def quantile(probability: float, mean: float, std: float) -> tuple[str, float]:
    if mean < 10:
        if mean == 0:
            return "negative_binomial", 0.0
        if std**2 <= mean * (1 + 1e-9):
            return "negative_binomial", float(stats.poisson.ppf(probability, mean))
        return "negative_binomial", float(
            stats.nbinom.ppf(probability, mean**2 / (std**2 - mean), mean / std**2)
        )
    if std > 0.5 * mean:
        return "gamma", float(stats.gamma.ppf(probability, (mean / std) ** 2, scale=std**2 / mean))
    return "normal", NormalDist(mean, std).inv_cdf(probability) if std else mean


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def plan_option(
    option: dict[str, Any],
    mean_of: Any,
    variance_of: Any,
    position: int,
    setting: Replenishment,
    level: float,
) -> dict[str, Any]:
    realised = option["lead_time_mean_days"]
    lead = float(option["lead_time_days"] if realised is None else realised)
    lead_std = 0.0 if realised is None else float(option["lead_time_std_days"] or 0)
    review = setting.review_period_days
    days = lead + review
    mean = total(mean_of, days)
    std = math.sqrt(total(variance_of, days) + (mean / days) ** 2 * lead_std**2)
    law, target = quantile(level, mean, std)
    point = mean + max(target - mean, 0.0)
    price, freight = Decimal(str(option["unit_price"])), Decimal(str(option["freight_cost_per_unit"] or 0))
    horizon_mean = option["mean_per_day"]
    economic = math.sqrt(
        2 * setting.order_cost * horizon_mean * 365 / (setting.holding_cost_rate_per_year * float(price))
    )
    up_to = point + max(economic - total(mean_of, review), 0.0)
    pack, minimum = option["pack_size_units"] or 1, option["minimum_order_units"] or 1
    wanted = 0
    if round(position - point, 6) <= 0 and round(up_to - position, 6) > 0:
        while round(up_to - position - wanted, 6) > 0 or wanted < minimum:
            wanted += pack
    smallest = math.ceil(minimum / pack) * pack
    quantity = wanted
    while quantity and not fits(quantity, price, freight, position, mean_of, setting):
        quantity -= pack
    quantity = quantity if quantity >= smallest else 0
    holding = setting.holding_cost_rate_per_year * (
        quantity / (2 * max(horizon_mean * 365, 1e-9)) if quantity else 0
    )
    return {
        "supplier_id": option["supplier_id"],
        "is_preferred": option["is_preferred"],
        "policy": f"order_up_to_{law}",
        "lead": lead,
        "demand_mean_units": mean,
        "demand_std_units": std,
        "safety_stock_units": point - mean,
        "reorder_point_units": point,
        "order_up_to_units": up_to,
        "eoq_units": economic,
        "order_quantity_units": quantity,
        "wanted": wanted,
        "goods_cost": cents(price * quantity),
        "freight_cost": cents(freight * quantity),
        "comparable": float(price + freight) * (1 + holding),
    }


def fits(
    quantity: int, price: Decimal, freight: Decimal, position: int, mean_of: Any, setting: Replenishment
) -> bool:
    if round(position + quantity - total(mean_of, setting.maximum_cover_days), 6) > 0:
        return False
    if setting.maximum_order_value is None:
        return True
    # The plan leaves a cent for the two roundings.
    return (price + freight) * quantity <= Decimal(str(setting.maximum_order_value)) - Decimal("0.01")


def choose(planned: list[dict[str, Any]], review: int) -> dict[str, Any]:
    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["comparable"], row["lead"], row["supplier_id"]

    preferred = [row for row in planned if row["is_preferred"]] or planned
    usual = min(preferred, key=order)
    able = [row for row in planned if row["order_quantity_units"] > 0]
    if usual["wanted"] > 0 and usual["order_quantity_units"] == 0:
        return min(able, key=order) if able else usual
    cheaper = [
        row
        for row in able
        if row["comparable"] <= usual["comparable"] * 0.95 and row["lead"] <= usual["lead"] + review
    ]
    return min(cheaper, key=order) if cheaper else usual
