"""Orders from a supplier that delivers another quantity than the one ordered.

Belongs here: EOQ and newsvendor where a random amount is added to the order, or a random share of it arrives;
vectorised over items. Not here: suppliers that deliver all or nothing (`disruptions.py`).
"""

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, above_zero, not_negative, refuse_where, series
from models.inventory.distributions import demand_probability, expected_shortage
from models.inventory.eoq import OrderPlan
from models.inventory.newsvendor import StockPlan, newsvendor_normal


def order_quantity_with_additive_yield(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
    yield_mean_units: ArrayLike,
    yield_std_units: ArrayLike,
) -> OrderPlan:
    """Return Q* = sqrt(2 K d / h + sigma_Y^2) - mu_Y where Q + Y arrives of an order of Q, and its yearly cost.

    Y is independent of Q; its mean mu_Y may be negative (what is lost). Cost: h (Q* + mu_Y), K, h, d as in
    `eoq.economic_order_quantity`. An order is never below 0: where the mean of Y alone exceeds the best quantity,
    nothing is ordered beyond it. Source: Snyder & Shen, sec. 9.3.1 (EOQ with additive yield uncertainty).

    >>> [float(part.round(4)) for part in order_quantity_with_additive_yield(18500, 0.06, 75000, -15000, 9000)]
    [230246.3705, 12914.7822]
    """
    fixed, holding, demand = above_zero(
        fixed_cost_per_order=fixed_cost_per_order,
        holding_cost_per_unit_year=holding_cost_per_unit_year,
        demand_units_per_year=demand_units_per_year,
    )
    (std,) = not_negative(yield_std_units=yield_std_units)
    mean = np.asarray(yield_mean_units, dtype=np.float64)
    arriving = np.maximum(np.sqrt(2 * fixed * demand / holding + std**2), mean)
    refuse_where(arriving <= 0, "yield_mean_units must leave something of an order")
    cost = fixed * demand / arriving + holding * (arriving**2 + std**2) / (2 * arriving)
    return OrderPlan(arriving - mean, cost)


def order_quantity_with_multiplicative_yield(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
    yield_mean_share: ArrayLike,
    yield_std_share: ArrayLike,
) -> OrderPlan:
    """Return Q* = sqrt(2 K d / (h (mu_Z^2 + sigma_Z^2))) where the share Z of an order of Q arrives, and its cost.

    Z has mean mu_Z and standard deviation sigma_Z. Cost: sqrt(2 K d h (mu_Z^2 + sigma_Z^2)) / mu_Z. With Z = 1 it is
    the EOQ. Source: Snyder & Shen, sec. 9.3.2 (EOQ with multiplicative yield uncertainty).

    >>> [float(part.round(4)) for part in order_quantity_with_multiplicative_yield(18500, 0.06, 75000, 0.8333, 0.1443)]
    [254295.4915, 13095.5259]
    """
    fixed, holding, demand, mean = above_zero(
        fixed_cost_per_order=fixed_cost_per_order,
        holding_cost_per_unit_year=holding_cost_per_unit_year,
        demand_units_per_year=demand_units_per_year,
        yield_mean_share=yield_mean_share,
    )
    (std,) = not_negative(yield_std_share=yield_std_share)
    square = mean**2 + std**2
    return OrderPlan(
        np.sqrt(2 * fixed * demand / (holding * square)),
        np.sqrt(2 * fixed * demand * holding * square) / mean,
    )


def newsvendor_with_additive_yield(
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike],
    supply: tuple[ArrayLike, ArrayLike],
) -> StockPlan:
    """Return the order S of least cost where S + Y arrives, D and Y normal and independent: a newsvendor on D - Y.

    `demand` and `supply` are (mean, std) in units. Source: Snyder & Shen, sec. 9.3.3 (newsvendor with additive yield).

    >>> [float(part.round(4)) for part in newsvendor_with_additive_yield(15, 75, (1.5e6, 0), (-2e5, 1e5))]
    [1796742.1566, 2248658.4655]
    """
    demand_mean, demand_std = not_negative(demand_mean_units=demand[0], demand_std_units=demand[1])
    (supply_std,) = not_negative(supply_std_units=supply[1])
    supply_mean = np.asarray(supply[0], dtype=np.float64)
    return newsvendor_normal(
        holding_cost_per_unit_period,
        shortage_cost_per_unit_period,
        demand_mean - supply_mean,
        np.hypot(demand_std, supply_std),
    )


def newsvendor_with_multiplicative_yield(
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike, ArrayLike],
    yield_shares: ArrayLike,
    yield_probabilities: ArrayLike,
) -> StockPlan:
    """Return the order Q of least cost where the share Z of it arrives: E[Z F(Z Q)] = E[Z] p / (p + h).

    `demand` is (mean, std, distribution) as in `distributions`; Z takes `yield_shares` with `yield_probabilities`
    (last axis). With Z = 1 it is the newsvendor. Source: Henig & Gerchak 1990; Yano & Lee 1995.

    >>> plan = newsvendor_with_multiplicative_yield(0.18, 0.7, (50, 8, "normal"), [0.8, 1.0], [0.5, 0.5])
    >>> [float(part.round(3)) for part in plan]
    [64.582, 2.578]
    """
    holding, shortage = above_zero(
        holding_cost_per_unit_period=holding_cost_per_unit_period,
        shortage_cost_per_unit_period=shortage_cost_per_unit_period,
    )
    mean, std = not_negative(demand_mean_units=demand[0], demand_std_units=demand[1])
    arriving = series("yield_shares", yield_shares)
    weights = series("yield_probabilities", yield_probabilities)
    refuse_where(np.abs(weights.sum(axis=-1) - 1) > 1e-6, "yield_probabilities must sum to 1")
    refuse_where((arriving * weights).sum(axis=-1) <= 0, "yield_shares must leave something of an order")
    law = np.asarray(demand[2])
    target = (arriving * weights).sum(axis=-1) * shortage / (shortage + holding)

    def marginal(quantity: Floats) -> Floats:
        lasts = demand_probability(
            arriving * quantity[..., None], mean[..., None], std[..., None], law[..., None]
        )
        return np.asarray((weights * arriving * lasts).sum(axis=-1))

    low = np.zeros(np.broadcast_shapes(np.shape(target), np.shape(mean), np.shape(law)))
    high = low + (mean + 10 * std + 1)
    while (marginal(high) < target).any():
        high = np.where(marginal(high) < target, 2 * high, high)
    for _ in range(80):
        middle = (low + high) / 2
        enough = marginal(middle) >= target
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    got = arriving * high[..., None]
    short = expected_shortage(got, mean[..., None], std[..., None], law[..., None])
    each = holding[..., None] * (got - mean[..., None]) + (holding + shortage)[..., None] * short
    return StockPlan(high, np.asarray((weights * each).sum(axis=-1)))
