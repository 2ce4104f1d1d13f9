"""Economic order quantity and its family: how much to order or make at once when demand is steady and known.

Belongs here: EOQ, with planned backorders, with a production rate, with discounts on all units or on those beyond a
break; vectorised over items. Not here: when to order (`policies.py`), several items ordered together
(`joint_replenishment.py`), demand that changes (`lot_sizing.py`), suppliers that fail (`disruptions.py`) or deliver
another quantity (`random_yield.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, Integers, above_zero, not_negative, refuse_where, series


class OrderPlan(NamedTuple):
    """An order quantity (units) and what it costs in a year: orders, stock and, where there are any, backorders."""

    order_quantity_units: Floats
    cost_per_year: Floats


class BackorderPlan(NamedTuple):
    """An order quantity (units), the share of demand that waits for the next order, and the yearly cost of both."""

    order_quantity_units: Floats
    backordered_share: Floats
    cost_per_year: Floats


class DiscountPlan(NamedTuple):
    """An order quantity (units), the position of the price it is bought at, and the yearly cost with the goods."""

    order_quantity_units: Floats
    price_position: Integers
    cost_per_year: Floats


def economic_order_quantity(
    fixed_cost_per_order: ArrayLike, holding_cost_per_unit_year: ArrayLike, demand_units_per_year: ArrayLike
) -> Floats:
    """Return Q* = sqrt(2 K d / h), the order quantity of least yearly cost, in units.

    K fixed cost of one order (currency), h cost of holding a unit for a year (currency), d demand (units per year);
    any shapes that broadcast. Without demand it is 0. Where holding is free (h = 0) it is infinite.
    Source: Harris 1913; Snyder & Shen, Fundamentals of Supply Chain Theory, sec. 3.2 (ex. 3.1).

    >>> float(economic_order_quantity(8, 0.225, 1300).round(10))
    304.0467800264
    """
    fixed, holding, demand = _eoq_arguments(
        fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        quantity = np.sqrt(2 * fixed * demand / holding)
    return np.where(fixed * demand == 0, 0.0, quantity)


def annual_order_and_holding_cost(
    order_quantity_units: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
) -> Floats:
    """Return g(Q) = K d / Q + h Q / 2, currency per year, for order quantities Q > 0.

    Symbols as in `economic_order_quantity`. Source: Snyder & Shen, sec. 3.2 (ex. 3.1).

    >>> float(annual_order_and_holding_cost(250, 8, 0.225, 1300).round(6))
    69.725
    """
    (quantity,) = above_zero(order_quantity_units=order_quantity_units)
    fixed, holding, demand = _eoq_arguments(
        fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year
    )
    return np.asarray(fixed * demand / quantity + holding * quantity / 2)


def economic_order_quantity_with_backorders(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
) -> BackorderPlan:
    """Return Q* = sqrt(2 K d (h + p) / (h p)), the share x* = h / (h + p) of demand that waits, and their cost.

    p is the cost of one unit waiting for a year; the others as in `economic_order_quantity`. The most that waits at
    once is x* Q*. Cost: sqrt(2 K d h p / (h + p)). As p grows this becomes the EOQ without backorders.
    Source: Snyder & Shen, sec. 3.5 (ex. 3.8).

    >>> [float(part.round(6)) for part in economic_order_quantity_with_backorders(8, 0.225, 5, 1300)]
    [310.812555, 0.043062, 66.921364]
    """
    fixed, holding, demand = _eoq_arguments(
        fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year
    )
    (backorder,) = above_zero(backorder_cost_per_unit_year=backorder_cost_per_unit_year)
    share = holding / (holding + backorder)
    quantity = economic_order_quantity(fixed, holding * (1 - share), demand)
    return BackorderPlan(quantity, share, np.sqrt(2 * fixed * demand * holding * (1 - share)))


def economic_production_quantity(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
    production_units_per_year: ArrayLike,
) -> OrderPlan:
    """Return Q* = sqrt(2 K d / (h (1 - d / m))) and its cost, where a lot arrives at the rate m as it is made.

    Raises `ValueError` unless the rate exceeds demand. As m grows this becomes the EOQ.
    Source: Taft 1918; Snyder & Shen, sec. 3.6 (EPQ).

    >>> [float(part.round(6)) for part in economic_production_quantity(8, 0.225, 1300, 2000)]
    [513.93286, 40.472213]
    """
    fixed, holding, demand = _eoq_arguments(
        fixed_cost_per_order, holding_cost_per_unit_year, demand_units_per_year
    )
    (rate,) = above_zero(production_units_per_year=production_units_per_year)
    refuse_where(rate <= demand, "production_units_per_year must exceed demand, or no stock is ever built up")
    slowed = holding * (1 - demand / rate)
    return OrderPlan(economic_order_quantity(fixed, slowed, demand), np.sqrt(2 * fixed * demand * slowed))


def order_quantity_with_all_units_discount(
    fixed_cost_per_order: ArrayLike,
    holding_rate_per_year: ArrayLike,
    demand_units_per_year: ArrayLike,
    break_units: ArrayLike,
    unit_prices: ArrayLike,
) -> DiscountPlan:
    """Return the best order quantity where an order of `break_units[j]` or more buys every unit at `unit_prices[j]`.

    g_j(Q) = c_j d + K d / Q + i c_j Q / 2, with i the cost of holding one unit of money in stock for a year. Breaks
    stand on the last axis, rise, and begin with 0; prices fall or stay. The other axes are items.
    Source: Snyder & Shen, sec. 3.4.1 (all-units discounts).

    >>> plan = order_quantity_with_all_units_discount(8, 0.3, 1300, [0, 400, 800], [0.75, 0.72, 0.68])
    >>> float(plan.order_quantity_units), int(plan.price_position), round(float(plan.cost_per_year), 3)
    (800.0, 2, 978.6)
    """
    fixed, rate, demand, breaks, prices = _discount_arguments(
        fixed_cost_per_order, holding_rate_per_year, demand_units_per_year, break_units, unit_prices
    )
    quantity = np.maximum(economic_order_quantity(fixed, rate * prices, demand), breaks)
    quantity = np.where(np.isfinite(quantity) & (quantity > 0), quantity, 1e-300)
    cost = prices * demand + fixed * demand / quantity + rate * prices * quantity / 2
    # A quantity beyond the next break is cheaper still at that break's price, so it never wins: no need to exclude it.
    return _cheapest(quantity, cost)


def order_quantity_with_incremental_discount(
    fixed_cost_per_order: ArrayLike,
    holding_rate_per_year: ArrayLike,
    demand_units_per_year: ArrayLike,
    break_units: ArrayLike,
    unit_prices: ArrayLike,
) -> DiscountPlan:
    """Return the best order quantity where only the units beyond `break_units[j]` are bought at `unit_prices[j]`.

    An order of Q in interval j costs C_j + c_j Q, with C_j what the dearer units before the break add, so that
    Q_j = sqrt(2 (K + C_j) d / (i c_j)). Arguments as in `order_quantity_with_all_units_discount`.
    Source: Snyder & Shen, sec. 3.4.2 (incremental discounts).

    >>> plan = order_quantity_with_incremental_discount(8, 0.3, 1300, [0, 100, 200], [0.75, 0.72, 0.68])
    >>> round(float(plan.order_quantity_units), 3), int(plan.price_position), round(float(plan.cost_per_year), 3)
    (492.094, 2, 986.037)
    """
    fixed, rate, demand, breaks, prices = _discount_arguments(
        fixed_cost_per_order, holding_rate_per_year, demand_units_per_year, break_units, unit_prices
    )
    steps = (prices[..., :-1] - prices[..., 1:]) * breaks[..., 1:]
    extra = np.concatenate([np.zeros_like(prices[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)
    quantity = economic_order_quantity(fixed + extra, rate * prices, demand)
    quantity = np.where(np.isfinite(quantity) & (quantity > 0), quantity, 1e-300)
    cost = prices * demand + (fixed + extra) * demand / quantity + rate * (extra + prices * quantity) / 2
    # The purchase cost is the least of these lines at every Q, so the lowest minimum lies in its own interval.
    return _cheapest(quantity, cost)


def _eoq_arguments(fixed: ArrayLike, holding: ArrayLike, demand: ArrayLike) -> tuple[Floats, ...]:
    return not_negative(
        fixed_cost_per_order=fixed, holding_cost_per_unit_year=holding, demand_units_per_year=demand
    )


def _discount_arguments(
    fixed: ArrayLike, rate: ArrayLike, demand: ArrayLike, break_units: ArrayLike, unit_prices: ArrayLike
) -> tuple[Floats, ...]:
    (per_order, demands) = above_zero(fixed_cost_per_order=fixed, demand_units_per_year=demand)
    (rates,) = above_zero(holding_rate_per_year=rate)
    breaks = series("break_units", break_units)
    (prices,) = above_zero(unit_prices=series("unit_prices", unit_prices))
    if breaks.shape[-1] != prices.shape[-1]:
        raise ValueError(
            f"each of the {breaks.shape[-1]} break_units needs one of unit_prices, and there are {prices.shape[-1]}"
        )
    refuse_where(breaks[..., :1] != 0, "break_units must begin with 0, the price of a small order")
    refuse_where(np.diff(breaks, axis=-1) <= 0, "break_units must rise")
    refuse_where(np.diff(prices, axis=-1) > 0, "unit_prices must not rise with the quantity")
    return per_order[..., None], rates[..., None], demands[..., None], breaks, prices


def _cheapest(quantity: Floats, cost: Floats) -> DiscountPlan:
    quantity, cost = np.broadcast_arrays(quantity, cost)
    best = np.argmin(cost, axis=-1)
    at = best[..., None]
    return DiscountPlan(
        np.take_along_axis(quantity, at, -1)[..., 0], best, np.take_along_axis(cost, at, -1)[..., 0]
    )
