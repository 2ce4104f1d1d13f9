"""(r, Q): stock is watched all the time, and Q is ordered whenever the position falls to r.

Belongs here: exact r and Q for normal and Poisson lead-time demand, and the approximations that textbooks and ERP
systems use; vectorised over items. Not here: periodic looks (`periodic_review.py`, `s_s.py`), service targets
(`safety_stock.py`). Demand that is not met waits. Two costs of it are in use and never mixed: `..._per_unit_year` for
the time that a unit waits, `..._per_unit` once for every unit that has to.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from models.inventory.arguments import Floats, above_zero, not_negative, refuse_where
from models.inventory.distributions import expected_shortage, normal_loss, normal_second_loss
from models.inventory.eoq import economic_order_quantity, economic_order_quantity_with_backorders
from models.inventory.newsvendor import newsvendor_cost, newsvendor_poisson


class ReorderPlan(NamedTuple):
    """r and Q (units), and the expected cost per year (by the approximation's own count, where it is one)."""

    reorder_point_units: Floats
    order_quantity_units: Floats
    cost_per_year: Floats


def r_q_cost(
    reorder_point_units: ArrayLike,
    order_quantity_units: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> Floats:
    """Return the exact yearly cost of (r, Q) for normal lead-time demand of (mean, std) units.

    g(r, Q) = (K d + integral over r .. r + Q of [h (y - mu) + (h + p) n(y)] dy) / Q: the position is uniform on
    (r, r + Q]. Source: Zheng 1992; Snyder & Shen, sec. 5.3.

    >>> float(r_q_cost(213.97, 318.59, 0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5)).round(4))
    92.2868
    """
    (quantity,) = above_zero(order_quantity_units=order_quantity_units)
    holding, backorder, fixed, demand = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    mean, std = _lead_time(lead_time_demand)
    point = np.asarray(reorder_point_units, dtype=np.float64)
    return _average_cost(point, point + quantity, holding, backorder, fixed * demand, mean, std)


def r_q_exact(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> ReorderPlan:
    """Return the (r, Q) of least `r_q_cost`, for normal lead-time demand of (mean, std) units.

    At the optimum G(r) = G(r + Q) = g(r, Q), G the cost rate of a position. The surplus (r + Q - r) G(r) - integral of
    G falls in r and equals K d there: it is bisected, and r + Q within it. Source: Zheng 1992.

    >>> plan = r_q_exact(0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5))
    >>> [float(part.round(3)) for part in plan]
    [126.867, 328.449, 78.071]
    """
    holding, backorder, fixed, demand = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    mean, std = _lead_time(lead_time_demand)
    costs = np.broadcast_arrays(holding, backorder, fixed * demand, mean, std)
    holding, backorder, per_order, mean, std = costs
    best = mean + std * special.ndtri(backorder / (backorder + holding))
    width = economic_order_quantity_with_backorders(fixed, holding, backorder, demand).order_quantity_units
    low, high = best - width - 10 * std, np.array(best)
    for _ in range(60):
        middle = (low + high) / 2
        top = _same_cost_above(middle, best, *costs)
        surplus = (top - middle) * (
            _cost_rate(middle, holding, backorder, mean, std)
            - _average_cost(middle, top, holding, backorder, 0 * mean, mean, std)
        )
        enough = surplus >= per_order
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    top = _same_cost_above(low, best, *costs)
    return ReorderPlan(low, top - low, _average_cost(low, top, *costs))


def r_q_poisson(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_years: ArrayLike,
) -> ReorderPlan:
    """Return the whole (r, Q) of least cost for Poisson demand: g = (K d + sum over r < y <= r + Q of G(y)) / Q.

    G is convex, so the Q cheapest positions are neighbours: sorted and added up, their best average is the optimum.
    Source: Federgruen & Zheng 1992; Snyder & Shen, sec. 5.4.

    >>> [float(part.round(4)) for part in r_q_poisson(20, 150, 100, 1.5, 2)]
    [3.0, 5.0, 107.9236]
    """
    holding, backorder, fixed, demand = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    (lead,) = above_zero(lead_time_years=lead_time_years)
    holding, backorder, per_order, mean = (
        part[..., None] for part in np.broadcast_arrays(holding, backorder, fixed * demand, demand * lead)
    )
    best = newsvendor_poisson(holding, backorder, mean).base_stock_units
    reach = 16
    while True:
        positions = best + np.arange(-reach, reach + 1)
        rates = newsvendor_cost(positions, holding, backorder, mean, np.sqrt(mean), "poisson")
        order = np.argsort(rates, axis=-1, kind="stable")
        averages = (per_order + np.cumsum(np.take_along_axis(rates, order, -1), -1)) / np.arange(
            1, 2 * reach + 2
        )
        count = np.argmin(averages, axis=-1)[..., None]
        cost = np.take_along_axis(averages, count, -1)
        if (rates[..., :1] > cost).all() and (rates[..., -1:] > cost).all():
            break
        reach *= 2
    chosen = np.where(np.arange(2 * reach + 1) <= count, np.take_along_axis(positions, order, -1), np.inf)
    return ReorderPlan(chosen.min(axis=-1) - 1, np.asarray(count[..., 0] + 1.0), cost[..., 0])


def r_q_expected_inventory_approximation(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> ReorderPlan:
    """Return r and Q by the expected-inventory-level (EIL) approximation, for normal lead-time demand of (mean, std).

    p is paid once for every unit that has to wait. Iterates Q = sqrt(2 d (K + p n(r)) / h) and F(r) = 1 - Q h / (p d)
    from the EOQ on; cost h (r - mu + Q / 2) + K d / Q + p d n(r) / Q. Raises `ValueError` where p d <= h Q: waiting is
    then so cheap that the approximation has no reorder point. Source: Whitin 1953; Hadley & Whitin 1963; Snyder & Shen,
    sec. 5.2.1 (ex. 5.1).

    >>> plan = r_q_expected_inventory_approximation(0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5))
    >>> [float(part.round(6)) for part in plan]
    [213.970442, 318.590181, 95.45114]
    """
    holding, backorder, fixed, demand = above_zero(
        holding_cost_per_unit_year=holding_cost_per_unit_year,
        backorder_cost_per_unit=backorder_cost_per_unit,
        fixed_cost_per_order=fixed_cost_per_order,
        demand_units_per_year=demand_units_per_year,
    )
    mean, std = _lead_time(lead_time_demand)
    quantity = economic_order_quantity(fixed, holding, demand)
    point, short = mean, 0 * mean
    for _ in range(500):
        share = quantity * holding / (backorder * demand)
        refuse_where(
            share >= 1,
            "backorder_cost_per_unit is too low for the EIL approximation: waiting costs no more than holding stock",
        )
        point = mean - std * special.ndtri(share)
        short = std * normal_loss((point - mean) / std)
        before, quantity = quantity, np.sqrt(2 * demand * (fixed + backorder * short) / holding)
        if (np.abs(quantity - before) <= 1e-12 * quantity).all():
            break
    cost = holding * (point - mean + quantity / 2) + (fixed + backorder * short) * demand / quantity
    return ReorderPlan(*np.broadcast_arrays(point, quantity, cost))


def r_q_eoq_with_safety_stock(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> ReorderPlan:
    """Return Q = EOQ with r = mu + sigma Phi^-1(p / (p + h)), and their exact cost: quantity and safety stock apart.

    Source: Snyder & Shen, sec. 5.2.3 (EOQ + SS).

    >>> plan = r_q_eoq_with_safety_stock(0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5))
    >>> [float(part.round(4)) for part in plan[:2]]
    [190.337, 304.0468]
    """
    given = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    holding, backorder, fixed, demand = given
    mean, std = _lead_time(lead_time_demand)
    quantity = economic_order_quantity(fixed, holding, demand)
    point = mean + std * special.ndtri(backorder / (backorder + holding))
    cost = _average_cost(point, point + quantity, holding, backorder, fixed * demand, mean, std)
    return ReorderPlan(*np.broadcast_arrays(point, quantity, cost))


def r_q_eoq_with_backorders(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> ReorderPlan:
    """Return Q of the EOQ with backorders and the best r for it, with their exact cost: at most 1/8 above the optimum.

    Source: Zheng 1992 (the bound); Snyder & Shen, sec. 5.2.2 (EOQB).

    >>> plan = r_q_eoq_with_backorders(0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5))
    >>> [float(part.round(4)) for part in plan[:2]]
    [128.6378, 308.5738]
    """
    holding, backorder, fixed, demand = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    mean, std = _lead_time(lead_time_demand)
    quantity = economic_order_quantity_with_backorders(fixed, holding, backorder, demand).order_quantity_units
    holding, backorder, per_order, mean, std, quantity = np.broadcast_arrays(
        holding, backorder, fixed * demand, mean, std, quantity
    )
    point = _best_point(quantity, holding, backorder, mean, std)
    return ReorderPlan(
        point, quantity, _average_cost(point, point + quantity, holding, backorder, per_order, mean, std)
    )


def r_q_loss_function_approximation(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_units_per_year: ArrayLike,
    lead_time_demand: tuple[ArrayLike, ArrayLike],
) -> ReorderPlan:
    """Return r and Q by leaving out the backorders at the top of the cycle, and their exact cost.

    Iterates Q = sqrt(2 (K d + (h + p) n2(r)) / h) and n(r) = h Q / (h + p), with n2 the second-order loss function.
    Source: Hadley & Whitin 1963, ch. 4; Snyder & Shen, sec. 5.2.4.

    >>> plan = r_q_loss_function_approximation(0.225, 7.5, 8, 1300, (1300 / 12, 150 / 12**0.5))
    >>> [float(part.round(4)) for part in plan[:2]]
    [126.8671, 328.4491]
    """
    holding, backorder, fixed, demand = _yearly(
        holding_cost_per_unit_year, backorder_cost_per_unit_year, fixed_cost_per_order, demand_units_per_year
    )
    mean, std = _lead_time(lead_time_demand)
    holding, backorder, per_order, mean, std = np.broadcast_arrays(
        holding, backorder, fixed * demand, mean, std
    )
    quantity = np.sqrt(2 * per_order / holding)
    for _ in range(200):
        point = _point_of_loss(holding * quantity / (holding + backorder), mean, std)
        second = std**2 * normal_second_loss((point - mean) / std)
        before, quantity = quantity, np.sqrt(2 * (per_order + (holding + backorder) * second) / holding)
        if (np.abs(quantity - before) <= 1e-11 * quantity).all():
            break
    return ReorderPlan(
        point, quantity, _average_cost(point, point + quantity, holding, backorder, per_order, mean, std)
    )


def _cost_rate(position: Floats, holding: Floats, backorder: Floats, mean: Floats, std: Floats) -> Floats:
    return np.asarray(
        holding * (position - mean) + (holding + backorder) * std * normal_loss((position - mean) / std)
    )


def _average_cost(
    point: Floats,
    top: Floats,
    holding: Floats,
    backorder: Floats,
    per_order: Floats,
    mean: Floats,
    std: Floats,
) -> Floats:
    """(K d + the integral of the cost rate from r to r + Q) / Q."""
    quantity = top - point
    waiting = std**2 * (normal_second_loss((point - mean) / std) - normal_second_loss((top - mean) / std))
    held = holding * ((point + top) / 2 - mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = held + (per_order + (holding + backorder) * waiting) / quantity
    return np.asarray(np.where(quantity > 0, average, np.inf))


def _same_cost_above(
    point: Floats, best: Floats, holding: Floats, backorder: Floats, _: Floats, mean: Floats, std: Floats
) -> Floats:
    """The position beyond the best that costs as much as `point` before it; Newton from where the cost is a line."""
    cost = _cost_rate(point, holding, backorder, mean, std)
    # G(y) >= h (y - mu), so its line meets the cost beyond the crossing; from there Newton falls onto it (G is convex).
    above = mean + cost / holding
    for _step in range(60):
        slope = holding - (holding + backorder) * special.ndtr((mean - above) / std)
        excess = _cost_rate(above, holding, backorder, mean, std) - cost
        step = np.where(slope > 0, excess / np.where(slope > 0, slope, 1.0), 0.0)
        above = np.maximum(above - step, best)
        if (np.abs(step) <= 1e-12 * (1 + np.abs(above))).all():
            break
    return np.asarray(above)


def _best_point(quantity: Floats, holding: Floats, backorder: Floats, mean: Floats, std: Floats) -> Floats:
    """The r with G(r) = G(r + Q), bisected."""
    best = mean + std * special.ndtri(backorder / (backorder + holding))
    low, high = best - quantity, np.array(best)
    for _ in range(80):
        middle = (low + high) / 2
        dearer = _cost_rate(middle, holding, backorder, mean, std) > _cost_rate(
            middle + quantity, holding, backorder, mean, std
        )
        low, high = np.where(dearer, middle, low), np.where(dearer, high, middle)
    return np.asarray((low + high) / 2)


def _point_of_loss(loss_units: Floats, mean: Floats, std: Floats) -> Floats:
    """The r with n(r) = `loss_units`, bisected."""
    low = mean - loss_units - 10 * std
    high = mean + 40 * std
    for _ in range(100):
        middle = (low + high) / 2
        more = expected_shortage(middle, mean, std, "normal") > loss_units
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(high)


def _yearly(
    holding: ArrayLike, backorder: ArrayLike, fixed: ArrayLike, demand: ArrayLike
) -> tuple[Floats, ...]:
    return above_zero(
        holding_cost_per_unit_year=holding,
        backorder_cost_per_unit_year=backorder,
        fixed_cost_per_order=fixed,
        demand_units_per_year=demand,
    )


def _lead_time(demand: tuple[ArrayLike, ArrayLike]) -> tuple[Floats, ...]:
    (mean,) = not_negative(lead_time_demand_mean_units=demand[0])
    (std,) = above_zero(lead_time_demand_std_units=demand[1])
    return mean, std
