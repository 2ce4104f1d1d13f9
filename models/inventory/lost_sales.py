"""Lost sales with a lead time: the exact optimum, and the exact cost of any policy.

Belongs here: one item, demand in whole units, unmet demand lost; base-stock, capped base-stock and myopic policies
tuned by exact evaluation. Not here: backlogged demand (`newsvendor.py`, `s_s.py`), two suppliers (`dual_sourcing.py`),
learned policies (`models.learning`).

A state is (on hand after today's arrival, orders under way, the next to arrive first): L whole numbers. Sequence of a
period: an order arrives, the next is placed (before demand is seen), demand d, cost h (x - d)+ + p (d - x)+; the order
arrives L periods later.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, Integers, above_zero, probabilities, whole
from models.inventory.markov_chains import long_run

Policy = Callable[[Integers], Integers]
"""From states (one per row) to orders in whole units."""

_TOLERANCE = 1e-9
_MOST_STATES = 5_000_000


@dataclass(frozen=True)
class LostSales:
    """The problem. Raises `ValueError` for costs that are not above 0, no lead time, or demand that is none."""

    holding_cost_per_unit_period: float
    lost_sale_cost_per_unit: float
    lead_time_periods: int
    demand_probabilities: ArrayLike = field(repr=False)
    """Of 0, 1, 2, ... units in a period, e.g. `distributions.poisson_probabilities`."""

    def __post_init__(self) -> None:
        """Refuse what is no problem of this kind."""
        above_zero(
            holding_cost_per_unit_period=self.holding_cost_per_unit_period,
            lost_sale_cost_per_unit=self.lost_sale_cost_per_unit,
        )
        whole("lead_time_periods", self.lead_time_periods, 1)
        if self.chances[0] >= 1:
            raise ValueError("demand_probabilities has no demand at all: there is nothing to order")

    @property
    def chances(self) -> Floats:
        """Demand probabilities as an array that sums to 1."""
        return probabilities("demand_probabilities", self.demand_probabilities)

    def period_cost(self, on_hand_units: Integers) -> Floats:
        """Return the expected cost of a period that begins with these units on hand."""
        chances, on_hand = self.chances, np.arange(int(on_hand_units.max()) + 1)
        left = np.maximum(on_hand[:, None] - np.arange(len(chances)), 0) @ chances
        mean = np.arange(len(chances)) @ chances
        costs = self.holding_cost_per_unit_period * left + self.lost_sale_cost_per_unit * (
            left - on_hand + mean
        )
        return np.asarray(costs[on_hand_units])

    def leftover_chances(self, most_on_hand: int) -> Floats:
        """Return P[x, z], the probability that z units are left of x: lost sales never make it negative."""
        chances = np.zeros(most_on_hand + 1)
        known = self.chances[: most_on_hand + 1]
        chances[: len(known)] = known
        on_hand, left = np.indices((most_on_hand + 1, most_on_hand + 1))
        table = np.where(left <= on_hand, chances[np.maximum(on_hand - left, 0)], 0.0)
        table[:, 0] = 1 - table[:, 1:].sum(axis=1)
        return np.asarray(table)

    def quantile(self, periods: int) -> int:
        """Return the newsvendor level of the demand of some periods: least y with P(D <= y) >= p / (p + h)."""
        demand = self.chances
        for _ in range(periods - 1):
            demand = np.convolve(demand, self.chances)
        ratio = self.lost_sale_cost_per_unit / (
            self.lost_sale_cost_per_unit + self.holding_cost_per_unit_period
        )
        return int(np.searchsorted(np.cumsum(demand), ratio - 1e-12))


class TunedPolicy(NamedTuple):
    """A policy, its parameters by name (units), and its exact average cost per period."""

    policy: Policy
    parameters: dict[str, int]
    cost_per_period: float


def optimal_cost(problem: LostSales) -> float:
    """Return the least average cost per period, by relative value iteration to 1e-9 of it.

    No optimal order exceeds the newsvendor level of one period's demand, no position that of L + 1 periods' (Morton
    1969; Zipkin 2008), which bounds the states. Source: Zipkin 2008, Old and new methods for lost-sales inventory
    systems; his values are reproduced in the tests.

    >>> from models.inventory.distributions import poisson_probabilities
    >>> round(optimal_cost(LostSales(1, 4, 1, poisson_probabilities(5))), 3)
    4.041
    """
    lead, most, largest = (
        problem.lead_time_periods,
        problem.quantile(problem.lead_time_periods + 1),
        problem.quantile(1),
    )
    shape = (most + 1, *[largest + 1] * (lead - 1))
    if math.prod(shape) * (largest + 1) > _MOST_STATES:
        raise ValueError(
            f"{math.prod(shape):,} states are too many for the exact optimum: shorten lead_time_periods, or count demand in larger units"
        )
    left, now = problem.leftover_chances(most), problem.period_cost(np.arange(most + 1))
    now = now.reshape(-1, *[1] * (lead - 1))
    # Value after demand: leftover z plus the next arrival. Beyond the largest position no state is ever reached.
    arrived = np.minimum(np.arange(most + 1)[:, None] + np.arange(largest + 1), most)
    position = np.indices((*shape, largest + 1)).sum(axis=0)
    too_much = (position > most) & (np.indices((*shape, largest + 1))[-1] > 0)
    value = np.zeros(shape)
    for _ in range(10_000):
        following = value[arrived]  # (z, q1, q2, ..., q_L-1, a), or (z, a) with a lead time of 1
        expected = np.tensordot(left, following, axes=1)
        expected[too_much] = np.inf
        new = now + expected.min(axis=-1)
        change = new - value
        low, high = float(change.min()), float(change.max())
        value = new - new.flat[0]
        if high - low <= _TOLERANCE * high:
            return (low + high) / 2
    raise ValueError("the optimum was not found in 10,000 iterations: is there hardly any demand?")


def average_cost(problem: LostSales, policy: Policy) -> float:
    """Return the exact average cost per period of a policy, over the states that it reaches from an empty system.

    `policy` maps states, one per row (units on hand, then orders under way), to orders. Raises `ValueError` for a policy
    that orders less than 0 or no whole units, or reaches more states than fit in memory.

    >>> from models.inventory.distributions import poisson_probabilities
    >>> problem = LostSales(1, 4, 1, poisson_probabilities(5))
    >>> round(average_cost(problem, base_stock(11)), 3)
    4.21
    """

    def step(states: Integers) -> tuple[Integers, Integers, Floats]:
        table = problem.leftover_chances(int(states[:, 0].max()))[states[:, 0]]
        origin, remaining = np.nonzero(table)
        pipeline = np.concatenate([states[:, 1:], _orders(policy, states)[:, None]], axis=1)[origin]
        pipeline[:, 0] += remaining
        return pipeline, origin, table[origin, remaining]

    states, shares = long_run(np.zeros(problem.lead_time_periods, dtype=np.int64), step)
    return float(shares @ problem.period_cost(states[:, 0]))


def base_stock(level_units: int) -> Policy:
    """Return the policy that raises the stock position to a level."""
    return lambda states: np.maximum(level_units - states.sum(axis=1), 0)


def capped_base_stock(level_units: int, cap_units: int) -> Policy:
    """Return base stock that orders at most the cap. Source: Xin 2021."""
    return lambda states: np.clip(level_units - states.sum(axis=1), 0, cap_units)


def myopic(problem: LostSales) -> Policy:
    """Return the policy of least expected cost in the period in which the order arrives.

    The least order q with P(X + q >= D) >= p / (p + h), X the stock left just before it arrives and D the demand of that
    period: the exact convolution for each state. Source: Morton 1971; Zipkin 2008.
    """
    ratio = problem.lost_sale_cost_per_unit / (
        problem.lost_sale_cost_per_unit + problem.holding_cost_per_unit_period
    )

    def order(states: Integers) -> Integers:
        most, largest = int(states.sum(axis=1).max()), len(problem.chances) - 1
        left = problem.leftover_chances(most)
        stock = np.zeros((len(states), most + 1))
        stock[np.arange(len(states)), states[:, 0]] = 1.0
        for arriving in states[:, 1:].T:
            stock = _shifted(stock @ left, arriving)
        stock = stock @ left
        # lasts[x, q] = P(D <= x + q)
        lasts = np.cumsum(problem.chances)[
            np.minimum(np.add.outer(np.arange(most + 1), np.arange(largest + 1)), largest)
        ]
        return np.asarray(np.argmax(stock @ lasts >= ratio - 1e-12, axis=1), dtype=np.int64)

    return order


def tune_base_stock(problem: LostSales) -> TunedPolicy:
    """Return the base-stock policy of least exact cost; the cost is convex in the level (Janakiraman & Roundy 2004)."""
    level, cost = _lowest(
        lambda at: average_cost(problem, base_stock(at)), problem.quantile(problem.lead_time_periods + 1)
    )
    return TunedPolicy(base_stock(level), {"level_units": level}, cost)


def tune_capped_base_stock(problem: LostSales) -> TunedPolicy:
    """Return the capped base-stock policy of least exact cost: for each cap the best level, caps from the mean up."""
    mean = int(np.arange(len(problem.chances)) @ problem.chances)
    start, best = problem.quantile(problem.lead_time_periods + 1), TunedPolicy(base_stock(0), {}, np.inf)
    for cap in range(max(mean, 1), problem.quantile(1) + 1):
        start, cost = _lowest(partial(_capped_cost, problem, cap), start)
        if cost < best.cost_per_period:
            best = TunedPolicy(capped_base_stock(start, cap), {"level_units": start, "cap_units": cap}, cost)
    return best


def _capped_cost(problem: LostSales, cap_units: int, level_units: int) -> float:
    return average_cost(problem, capped_base_stock(level_units, cap_units))


def _lowest(cost: Callable[[int], float], start: int) -> tuple[int, float]:
    """Walk downhill over whole levels from `start`."""
    level, here = start, cost(start)
    for step in (-1, 1):
        while level + step >= 0 and (there := cost(level + step)) < here:
            level, here = level + step, there
    return level, here


def _orders(policy: Policy, states: Integers) -> Integers:
    orders = np.asarray(policy(states))
    if orders.shape != (len(states),) or not np.issubdtype(orders.dtype, np.integer) or (orders < 0).any():
        raise ValueError("a policy must return one whole order of at least 0 for each state (each row)")
    return orders.astype(np.int64)


def _shifted(stock: Floats, arriving: Integers) -> Floats:
    """Distributions of stock, one per row, after `arriving` units came."""
    width = stock.shape[1]
    before = np.arange(width) - arriving[:, None]
    return np.where(before >= 0, np.take_along_axis(stock, np.maximum(before, 0), axis=1), 0.0)
