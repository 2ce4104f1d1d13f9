"""Dual sourcing: a cheap supplier that is slow beside a dear one that is quick; demand that is not met waits.

Belongs here: the exact optimum for demand in whole units, and single-index, dual-index, capped dual-index and tailored
base-surge policies tuned by exact evaluation. Not here: lost sales (`lost_sales.py`), learned policies
(`models.learning`).

A state is (express position, regular orders beyond it, the next to come within reach first). The express position is
stock less backorders plus all that arrives within the express lead time. Sequence of a period: what is due arrives,
both orders are placed, demand, cost of the stock or backlog left plus what was bought.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, Integers, above_zero, not_negative, probabilities, whole
from models.inventory.markov_chains import long_run

Policy = Callable[[Integers], tuple[Integers, Integers]]
"""From states (one per row) to express and regular orders in whole units."""

_TOLERANCE = 1e-9
_MOST_STATES = 5_000_000
_HIGHEST_DEMANDS = 100
"""Where the stock that a policy may pile up is cut, in largest demands of a period."""


@dataclass(frozen=True)
class DualSourcing:
    """The problem. Raises `ValueError` unless express is quicker and dearer, and costs are above 0."""

    holding_cost_per_unit_period: float
    backorder_cost_per_unit_period: float
    regular_price: float
    express_price: float
    regular_lead_time_periods: int
    demand_probabilities: ArrayLike = field(repr=False)
    """Of 0, 1, 2, ... units in a period."""
    express_lead_time_periods: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no problem of this kind."""
        above_zero(
            holding_cost_per_unit_period=self.holding_cost_per_unit_period,
            backorder_cost_per_unit_period=self.backorder_cost_per_unit_period,
        )
        not_negative(regular_price=self.regular_price)
        whole("express_lead_time_periods", self.express_lead_time_periods)
        whole("regular_lead_time_periods", self.regular_lead_time_periods, self.express_lead_time_periods + 1)
        if self.express_price <= self.regular_price:
            raise ValueError(
                f"express_price must exceed regular_price, and they are {self.express_price} and {self.regular_price}: "
                "buy everything express"
            )
        if self.chances[0] >= 1:
            raise ValueError("demand_probabilities has no demand at all: there is nothing to order")

    @property
    def chances(self) -> Floats:
        """Demand probabilities as an array that sums to 1."""
        return probabilities("demand_probabilities", self.demand_probabilities)

    @property
    def slower_periods(self) -> int:
        """How much longer a regular order takes."""
        return self.regular_lead_time_periods - self.express_lead_time_periods

    def stock_cost(self, positions: Integers) -> Floats:
        """Return G(y): expected holding and backorder cost of express positions y, when they have become stock."""
        demand = self.chances
        for _ in range(self.express_lead_time_periods):
            demand = np.convolve(demand, self.chances)
        left = positions[..., None] - np.arange(len(demand))
        cost = self.holding_cost_per_unit_period * np.maximum(left, 0)
        return np.asarray((cost + self.backorder_cost_per_unit_period * np.maximum(-left, 0)) @ demand)


class TunedPolicy(NamedTuple):
    """A policy, its parameters by name (units), and its exact average cost per period."""

    policy: Policy
    parameters: dict[str, int]
    cost_per_period: float


def optimal_cost(problem: DualSourcing, largest_order_units: int | None = None) -> float:
    """Return the least average cost per period, by relative value iteration to 1e-9 of it.

    Regular orders are looked for up to `largest_order_units` (by default one more than the largest demand of a
    period), positions between what express orders always keep and what regular orders can reach.
    Source: Whittemore & Saunders 1977; Veeraraghavan & Scheller-Wolf 2008.

    >>> round(optimal_cost(DualSourcing(5, 495, 100, 105, 2, [0.2] * 5)), 3)
    216.77
    """
    chances, slower = problem.chances, problem.slower_periods
    dearest = len(chances) - 1
    most = (
        dearest + 1 if largest_order_units is None else whole("largest_order_units", largest_order_units, 1)
    )
    low = -dearest * (problem.express_lead_time_periods + 1)
    high = dearest * (problem.express_lead_time_periods + slower + 1)
    # After express: low .. high. Before it: down to a whole demand less.
    before, after = np.arange(low - dearest, high + 1), np.arange(low, high + 1)
    shape = (len(before), *[most + 1] * (slower - 1))
    if math.prod(shape) * (most + 1) > _MOST_STATES:
        raise ValueError(
            f"{math.prod(shape):,} states are too many for the exact optimum: count demand in larger units"
        )
    # Row of the state after demand d and the next regular order's arrival, from position y.
    arrived = np.clip(after[:, None] - before[0] + np.arange(most + 1), 0, len(before) - 1)
    bought = problem.regular_price * np.arange(most + 1)
    express = problem.express_price
    paid = (express * after + problem.stock_cost(after)).reshape(-1, *[1] * (slower - 1))
    value = np.zeros(shape)
    for _ in range(20_000):
        waiting = _expected(value, chances)[np.clip(arrived, dearest, None)]  # (y, q1, ..., a)
        ordered = paid + (waiting + bought).min(axis=-1)
        from_above = np.minimum.accumulate(ordered[::-1], axis=0)[::-1]
        reached = from_above[np.maximum(before - low, 0)]
        new = reached - (express * before).reshape(-1, *[1] * (slower - 1))
        change = new - value
        smallest, largest = float(change.min()), float(change.max())
        value = new - new.flat[0]
        if largest - smallest <= _TOLERANCE * abs(largest):
            return (smallest + largest) / 2
    raise ValueError("the optimum was not found in 20,000 iterations: is there hardly any demand?")


def average_cost(problem: DualSourcing, policy: Policy) -> float:
    """Return the exact average cost per period of a policy, over the states that it reaches from an empty system.

    `policy` maps states, one per row (express position, then regular orders), to express and regular orders. Raises
    `ValueError` for orders below 0 or not whole, and for a policy under which stock grows without end.

    >>> problem = DualSourcing(5, 495, 100, 105, 2, [0.2] * 5)
    >>> round(average_cost(problem, dual_index(4, 9)), 3)
    219.169
    """
    states, shares = _long_run(problem, policy)
    express, regular = _orders(policy, states)
    cost = problem.express_price * express + problem.regular_price * regular
    return float(shares @ (cost + problem.stock_cost(states[:, 0] + express)))


def single_index(express_level_units: int, regular_level_units: int) -> Policy:
    """Return the policy that raises the whole position by express to one level and by regular to a higher one.

    Source: Scheller-Wolf, Veeraraghavan & van Houtum 2007.
    """

    def order(states: Integers) -> tuple[Integers, Integers]:
        position = states.sum(axis=1)
        express = np.maximum(express_level_units - position, 0)
        return express, np.maximum(regular_level_units - position - express, 0)

    return order


def dual_index(express_level_units: int, regular_level_units: int) -> Policy:
    """Return the policy that raises the express position by express and the whole position by regular orders.

    Source: Veeraraghavan & Scheller-Wolf 2008.
    """
    return capped_dual_index(express_level_units, regular_level_units, None)


def capped_dual_index(express_level_units: int, regular_level_units: int, cap_units: int | None) -> Policy:
    """Return the dual-index policy whose regular orders do not exceed a cap. Source: Sun & Van Mieghem 2019."""

    def order(states: Integers) -> tuple[Integers, Integers]:
        express = np.maximum(express_level_units - states[:, 0], 0)
        return express, np.clip(regular_level_units - states.sum(axis=1) - express, 0, cap_units)

    return order


def tailored_base_surge(express_level_units: int, regular_order_units: int) -> Policy:
    """Return the policy that orders the same regularly in every period, and the rest express up to a level.

    Source: Allon & Van Mieghem 2010.
    """

    def order(states: Integers) -> tuple[Integers, Integers]:
        express = np.maximum(express_level_units - states[:, 0], 0)
        return express, np.full(len(states), regular_order_units, dtype=np.int64)

    return order


def tune_single_index(problem: DualSourcing) -> TunedPolicy:
    """Return the single-index policy of least exact cost."""
    return _tuned(
        problem, lambda level, gap: single_index(level, level + gap), ({"gap": gap} for gap in _gaps(problem))
    )


def tune_dual_index(problem: DualSourcing) -> TunedPolicy:
    """Return the dual-index policy of least exact cost."""
    return _tuned(
        problem, lambda level, gap: dual_index(level, level + gap), ({"gap": gap} for gap in _gaps(problem))
    )


def tune_capped_dual_index(problem: DualSourcing) -> TunedPolicy:
    """Return the capped dual-index policy of least exact cost."""
    caps = range(1, len(problem.chances))
    return _tuned(
        problem,
        lambda level, gap, cap_units: capped_dual_index(level, level + gap, cap_units),
        ({"gap": gap, "cap_units": cap} for gap in _gaps(problem) for cap in caps),
    )


def tune_tailored_base_surge(problem: DualSourcing) -> TunedPolicy:
    """Return the tailored base-surge policy of least exact cost; a regular order as large as mean demand has none."""
    mean = float(np.arange(len(problem.chances)) @ problem.chances)
    regular = range(int(np.ceil(mean - 1e-9)))
    return _tuned(
        problem,
        tailored_base_surge,
        ({"regular_order_units": units} for units in regular),
    )


def _tuned(
    problem: DualSourcing, make: Callable[..., Policy], choices: Iterable[dict[str, int]]
) -> TunedPolicy:
    """The best of a family, its express level chosen for each other choice.

    Backlogged demand makes everything the same but for a shift of the position: one chain tells the cost at all levels.
    """
    best: tuple[float, int, dict[str, int]] = (np.inf, 0, {})
    for others in choices:
        policy = make(0, **others)
        states, shares = _long_run(problem, policy)
        express, regular = _orders(policy, states)
        bought = float(shares @ (problem.express_price * express + problem.regular_price * regular))
        positions, where = np.unique(states[:, 0] + express, return_inverse=True)
        spread = np.bincount(where, weights=shares)
        reach = (len(problem.chances) - 1) * (problem.express_lead_time_periods + 1)
        levels = np.arange(-int(positions[-1]) - 1, reach - int(positions[0]) + 1)
        costs = bought + problem.stock_cost(levels[:, None] + positions) @ spread
        at = int(np.argmin(costs))
        if costs[at] < best[0]:
            best = float(costs[at]), int(levels[at]), others
    cost, level, others = best
    told = {name: units for name, units in others.items() if name != "gap"}
    if "gap" in others:
        told = {"regular_level_units": level + others["gap"], **told}
    return TunedPolicy(make(level, **others), {"express_level_units": level, **told}, cost)


def _gaps(problem: DualSourcing) -> range:
    """Regular level less express level: from none to all demand that the longer lead time can bring."""
    return range((len(problem.chances) - 1) * problem.slower_periods + 1)


def _long_run(problem: DualSourcing, policy: Policy) -> tuple[Integers, Floats]:
    chances = problem.chances
    demands = np.flatnonzero(chances)
    highest = _HIGHEST_DEMANDS * int(demands[-1])

    def step(states: Integers) -> tuple[Integers, Integers, Floats]:
        express, regular = _orders(policy, states)
        following = np.concatenate([states, regular[:, None]], axis=1)
        following[:, 1] += following[:, 0] + express
        origin = np.repeat(np.arange(len(states)), len(demands))
        following = following[origin, 1:]
        following[:, 0] = np.minimum(following[:, 0] - np.tile(demands, len(states)), highest)
        return following, origin, np.tile(chances[demands], len(states))

    states, shares = long_run(np.zeros(problem.slower_periods, dtype=np.int64), step)
    if shares[states[:, 0] == highest].sum() > 1e-9:
        raise ValueError("the policy buys more than demand takes: stock grows without end")
    return states, shares


def _orders(policy: Policy, states: Integers) -> tuple[Integers, Integers]:
    express, regular = (np.asarray(part) for part in policy(states))
    for part in (express, regular):
        if part.shape != (len(states),) or not np.issubdtype(part.dtype, np.integer) or (part < 0).any():
            raise ValueError("a policy must return two whole orders of at least 0 for each state (each row)")
    return express.astype(np.int64), regular.astype(np.int64)


def _expected(value: Floats, chances: Floats) -> Floats:
    """E[value at row i - D]; rows that demand could lead below the first are never asked for."""
    result = np.zeros_like(value)
    for demand, chance in enumerate(chances):
        result[demand:] += chance * value[: len(value) - demand]
    return result
