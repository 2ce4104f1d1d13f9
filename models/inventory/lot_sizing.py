"""Lot sizes for known demand that changes from period to period, without a limit on what can be ordered.

Belongs here: Wagner-Whitin, vectorised over items. Not here: steady demand (`eoq.py`), uncertain demand (`s_s.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, not_negative, series


class LotPlan(NamedTuple):
    """Orders (units, a period after the other on the last axis) and the cost of the whole horizon."""

    order_units: Floats
    total_cost: Floats


def wagner_whitin(
    fixed_cost_per_order: ArrayLike,
    holding_cost_per_unit_period: ArrayLike,
    demand_units: ArrayLike,
    purchase_cost_per_unit: ArrayLike = 0,
) -> LotPlan:
    """Return the orders of least cost that meet all demand on time.

    `demand_units` has a period after the other on its last axis; the costs have that axis too (they may change over
    time) or are single numbers. A unit kept from one period to the next costs h of the period that it is kept in;
    orders arrive at once. theta_t = K_t + min over s > t of [cost of covering t .. s - 1] + theta_s, in
    O(periods^2) for all items together; among equal plans the later next order is taken.
    Source: Wagner & Whitin 1958; Snyder & Shen, sec. 3.7 (ex. 3.9).

    >>> plan = wagner_whitin(500, 2, [90, 120, 80, 70])
    >>> plan.order_units.tolist(), float(plan.total_cost)
    ([210.0, 0.0, 150.0, 0.0], 1380.0)
    """
    demand = series("demand_units", demand_units)
    demand, fixed, holding, price = np.broadcast_arrays(
        demand,
        *not_negative(
            fixed_cost_per_order=fixed_cost_per_order,
            holding_cost_per_unit_period=holding_cost_per_unit_period,
            purchase_cost_per_unit=purchase_cost_per_unit,
        ),
    )
    periods = demand.shape[-1]
    to_go = np.zeros((*demand.shape[:-1], periods + 1))
    following = np.full(demand.shape, periods)
    for start in reversed(range(periods)):
        keep = np.concatenate(
            [np.zeros_like(holding[..., :1]), np.cumsum(holding[..., start:-1], axis=-1)], axis=-1
        )
        units = demand[..., start:]
        covered = np.cumsum(units * (price[..., start : start + 1] + keep), axis=-1)
        is_ordered = np.cumsum(units, axis=-1) > 0  # a lot of nothing needs no order
        costs = covered + fixed[..., start : start + 1] * is_ordered + to_go[..., start + 1 :]
        best = costs.shape[-1] - 1 - np.argmin(costs[..., ::-1], axis=-1)
        to_go[..., start] = np.take_along_axis(costs, best[..., None], axis=-1)[..., 0]
        following[..., start] = start + 1 + best
    return LotPlan(_orders(demand, following), to_go[..., 0])


def _orders(demand: Floats, following: np.ndarray) -> Floats:
    """Follow the plan from the first period: where an order is due, it covers demand until the next one."""
    total = np.concatenate([np.zeros_like(demand[..., :1]), np.cumsum(demand, axis=-1)], axis=-1)
    orders, due = np.zeros_like(demand), np.zeros(demand.shape[:-1], dtype=np.int64)
    for period in range(demand.shape[-1]):
        now, until = due == period, following[..., period]
        covered = np.take_along_axis(total, until[..., None], axis=-1)[..., 0] - total[..., period]
        orders[..., period] = np.where(now, covered, 0.0)
        due = np.where(now, until, due)
    return orders
