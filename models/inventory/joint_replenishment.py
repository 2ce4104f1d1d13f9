"""Joint replenishment: items that share the cost of an order, at steady and known demand.

Belongs here: the exact cyclic policy for one family of items. Not here: one item alone (`eoq.py`), packs and minimums
(`policies.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, Integers, above_zero, not_negative

_MOST_MULTIPLES = 100_000


class JointPlan(NamedTuple):
    """The time between orders (years), in which of them each item takes part (every k-th), its quantity, and the cost."""

    order_interval_years: float
    multiples: Integers
    order_quantity_units: Floats
    cost_per_year: float


def joint_replenishment(
    fixed_cost_per_joint_order: float,
    fixed_cost_per_item_order: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    demand_units_per_year: ArrayLike,
) -> JointPlan:
    """Return the cyclic policy of least cost: an order every T years, item i in every m_i-th, m_i d_i T units of it.

    g = (K + sum k_i / m_i) / T + T / 2 sum h_i m_i d_i, with K paid for every order (at least one item is in each) and
    k_i for each item in it; the items stand on one axis. Exact: for a given T the best m_i is the least whole m with
    m (m + 1) >= 2 k_i / (h_i d_i T^2), which changes at known T only; between two of these all m_i stand and g has one
    minimum. All of them in the range that can hold the optimum are tried.
    Source: Goyal 1974; van Eijs 1993; Snyder & Shen, sec. 3.8 (Silver's heuristic finds no less).

    >>> plan = joint_replenishment(600, [120, 840, 300], [160, 20, 50], [1, 1, 1])
    >>> plan.multiples.tolist(), round(plan.order_interval_years, 4), round(plan.cost_per_year, 4)
    ([1, 3, 1], 3.1032, 837.8544)
    """
    (major,) = above_zero(fixed_cost_per_joint_order=fixed_cost_per_joint_order)
    (minor,) = not_negative(fixed_cost_per_item_order=fixed_cost_per_item_order)
    holding, demand = above_zero(
        holding_cost_per_unit_year=holding_cost_per_unit_year, demand_units_per_year=demand_units_per_year
    )
    minor, rate, demand = (
        np.atleast_1d(part) for part in np.broadcast_arrays(minor, holding * demand, demand)
    )
    if minor.ndim > 1 or minor.size == 0:
        raise ValueError(
            f"joint_replenishment takes one family, a list of items, and the shape is {minor.shape}"
        )
    together = np.sqrt(2 * (major + minor.sum()) / rate.sum())
    most = float(major + minor.sum()) / together + together * rate.sum() / 2
    best_ever = np.inf, together, np.ones(len(minor), dtype=np.int64)
    for interval in _intervals(minor, rate, shortest=float(major) / most, longest=float(together)):
        multiples = _best_multiples(minor, rate, interval)
        years = np.sqrt(2 * (major + (minor / multiples).sum()) / (rate * multiples).sum())
        cost = np.sqrt(2 * (major + (minor / multiples).sum()) * (rate * multiples).sum())
        if cost < best_ever[0]:
            best_ever = float(cost), years, multiples
    cost, years, multiples = best_ever
    return JointPlan(float(years), multiples, multiples * demand * years, cost)


def _intervals(minor: Floats, rate: Floats, shortest: float, longest: float) -> Floats:
    """One T in each stretch between the T at which some m_i changes: 2 k_i / (h_i d_i T^2) = m (m + 1)."""
    changes = [np.array([shortest, longest])]
    for one_minor, one_rate in zip(minor, rate, strict=True):
        last = int(_best_multiples(np.array([one_minor]), np.array([one_rate]), shortest)[0])
        if last > _MOST_MULTIPLES:
            raise ValueError(
                "fixed_cost_per_joint_order is too small beside fixed_cost_per_item_order to plan orders together: use the EOQ of each item"
            )
        steps = np.arange(1, last + 1)
        changes.append(np.sqrt(2 * one_minor / (one_rate * steps * (steps + 1))))
    edges = np.unique(np.concatenate(changes))
    edges = edges[(edges >= shortest) & (edges <= longest)]
    return np.asarray(np.append((edges[:-1] + edges[1:]) / 2, longest))


def _best_multiples(minor: Floats, rate: Floats, interval: float) -> Integers:
    ratio = 2 * minor / (rate * interval**2)
    return np.maximum(np.ceil((np.sqrt(1 + 4 * ratio) - 1) / 2 - 1e-12), 1).astype(np.int64)
