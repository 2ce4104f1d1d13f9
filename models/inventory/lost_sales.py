"""Lost sales with a lead time: the exact optimum, and the exact cost of any policy.

Belongs here: one item, demand in whole units, unmet demand lost; base-stock, capped base-stock and myopic policies
tuned by exact evaluation. Not here: backlogged demand (`newsvendor.py`, `s_s.py`), two suppliers (`dual_sourcing.py`),
learned policies (`models.learning`).

A state is (on hand after today's arrival, orders under way, the next to arrive first): L whole numbers. Sequence of a
period: an order arrives, the next is placed (before demand is seen), demand d, cost h (x - d)+ + p (d - x)+; the order
arrives L periods later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from models.inventory.arguments import Floats, Integers, above_zero, probabilities, whole

Policy = Callable[[Integers], Integers]
"""From states (one per row) to orders in whole units."""

_TOLERANCE = 1e-9
_MOST_STATES = 20_000_000


@dataclass(frozen=True)
class LostSales:
    """The problem. Raises `ValueError` for costs that are not above 0, no lead time, or demand that is none."""

    holding_cost_per_unit_period: float
    lost_sale_cost_per_unit: float
    lead_time_periods: int
    demand_probabilities: ArrayLike = field(repr=False)
    """Of 0, 1, 2, ... units in a period, e.g. `distributions.poisson_probabilities`."""

    def __post_init__(self) -> None:
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
        costs = self.holding_cost_per_unit_period * left + self.lost_sale_cost_per_unit * (left - on_hand + mean)
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
        ratio = self.lost_sale_cost_per_unit / (self.lost_sale_cost_per_unit + self.holding_cost_per_unit_period)
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
    lead, most, largest = problem.lead_time_periods, problem.quantile(problem.lead_time_periods + 1), problem.quantile(1)
    shape = (most + 1, *[largest + 1] * (lead - 1))
    if np.prod(shape) * (largest + 1) > _MOST_STATES:
        raise ValueError(
            f"{int(np.prod(shape)):,} states are too many for the exact optimum: shorten lead_time_periods, or count demand in larger units"
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

    `policy` maps states, one per row (units on hand, then orders under way), to orders. The long-run distribution is
    iterated until the cost stands to 1e-9. Raises `ValueError` for a policy that orders less than 0, or reaches more
    states than fit in memory.

    >>> from models.inventory.distributions import poisson_probabilities
    >>> problem = LostSales(1, 4, 1, poisson_probabilities(5))
    >>> round(average_cost(problem, base_stock(11)), 3)
    0
    """
    states, orders = _reachable(problem, policy)
    following = _transitions(problem, states, orders)
    cost = problem.period_cost(states[:, 0])
    chances = np.full(len(states), 1 / len(states))
    before = np.inf
    for _ in range(100_000):
        # Mean of two periods: chains that go round in a circle settle as well.
        chances = 0.25 * chances + 0.75 * (following @ chances)
        average = float(chances @ cost)
        if abs(average - before) <= _TOLERANCE * average * 0.1:
            return average
        before = average
    return average


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
    ratio = problem.lost_sale_cost_per_unit / (problem.lost_sale_cost_per_unit + problem.holding_cost_per_unit_period)

    def order(states: Integers) -> Integers:
        most, largest = int(states.sum(axis=1).max()), len(problem.chances) - 1
        left = problem.leftover_chances(most)
        stock = np.zeros((len(states), most + 1))
        stock[np.arange(len(states)), states[:, 0]] = 1.0
        for arriving in states[:, 1:].T:
            stock = _shifted(stock @ left, arriving)
        stock = stock @ left
        # lasts[x, q] = P(D <= x + q)
        lasts = np.cumsum(problem.chances)[np.minimum(np.add.outer(np.arange(most + 1), np.arange(largest + 1)), largest)]
        return np.asarray(np.argmax(stock @ lasts >= ratio - 1e-12, axis=1), dtype=np.int64)

    return order


def tune_base_stock(problem: LostSales) -> TunedPolicy:
    """Return the base-stock policy of least exact cost; the cost is convex in the level (Janakiraman & Roundy 2004)."""
    level, cost = _lowest(lambda at: average_cost(problem, base_stock(at)), problem.quantile(problem.lead_time_periods + 1))
    return TunedPolicy(base_stock(level), {"level_units": level}, cost)


def tune_capped_base_stock(problem: LostSales) -> TunedPolicy:
    """Return the capped base-stock policy of least exact cost: for each cap the best level, caps from the mean up."""
    mean = int(np.arange(len(problem.chances)) @ problem.chances)
    start, best = problem.quantile(problem.lead_time_periods + 1), TunedPolicy(base_stock(0), {}, np.inf)
    for cap in range(max(mean, 1), problem.quantile(1) + 1):
        start, cost = _lowest(lambda at, cap=cap: average_cost(problem, capped_base_stock(at, cap)), start)
        if cost < best.cost_per_period:
            best = TunedPolicy(capped_base_stock(start, cap), {"level_units": start, "cap_units": cap}, cost)
    return best


def _lowest(cost: Callable[[int], float], start: int) -> tuple[int, float]:
    """Walk downhill over whole levels from `start`."""
    level, here = start, cost(start)
    for step in (-1, 1):
        while level + step >= 0 and (there := cost(level + step)) < here:
            level, here = level + step, there
    return level, here


def _reachable(problem: LostSales, policy: Policy) -> tuple[Integers, Integers]:
    """States that follow from an empty system, one per row, and the order in each."""
    states = new = np.zeros((1, problem.lead_time_periods), dtype=np.int64)
    orders = new_orders = _orders(policy, new)
    while len(new):
        following, _, _ = _step(problem, new, new_orders)
        base = int(max(following.max(), states.max())) + 1
        if base ** problem.lead_time_periods >= 2**62:
            raise ValueError("the policy lets stock or orders grow beyond what can be evaluated exactly")
        codes = np.unique(_codes(following, base))
        new = _decoded(np.setdiff1d(codes, _codes(states, base), assume_unique=True), base, problem.lead_time_periods)
        if len(states) + len(new) > _MOST_STATES // 10:
            raise ValueError(f"the policy reaches more than {_MOST_STATES // 10:,} states: too many to evaluate exactly")
        new_orders = _orders(policy, new) if len(new) else orders[:0]
        states, orders = np.concatenate([states, new]), np.concatenate([orders, new_orders])
    return states, orders


def _orders(policy: Policy, states: Integers) -> Integers:
    orders = np.asarray(policy(states))
    if orders.shape != (len(states),) or not np.issubdtype(orders.dtype, np.integer) or (orders < 0).any():
        raise ValueError("a policy must return one whole order of at least 0 for each state (each row)")
    return orders.astype(np.int64)


def _step(problem: LostSales, states: Integers, orders: Integers) -> tuple[Integers, Integers, Floats]:
    """Every state that may follow, from which row, and how likely."""
    left = problem.leftover_chances(int(states[:, 0].max()))
    table = left[states[:, 0]]
    origin, remaining = np.nonzero(table)
    pipeline = np.concatenate([states[:, 1:], orders[:, None]], axis=1)[origin]
    pipeline[:, 0] += remaining
    return pipeline, origin, table[origin, remaining]


def _transitions(problem: LostSales, states: Integers, orders: Integers) -> sparse.csr_matrix:
    """The matrix that takes today's distribution over the states to tomorrow's."""
    following, origin, chances = _step(problem, states, orders)
    base = int(max(following.max(), states.max())) + 1
    codes = _codes(states, base)
    sorting = np.argsort(codes)
    target = sorting[np.searchsorted(codes, _codes(following, base), sorter=sorting)]
    return sparse.csr_matrix((chances, (target, origin)), shape=(len(states), len(states)))


def _codes(states: Integers, base: int) -> Integers:
    return np.asarray(states @ base ** np.arange(states.shape[1], dtype=np.int64))


def _decoded(codes: Integers, base: int, length: int) -> Integers:
    return codes[:, None] // base ** np.arange(length, dtype=np.int64) % base


def _shifted(stock: Floats, arriving: Integers) -> Floats:
    """Distributions of stock, one per row, after `arriving` units came."""
    width = stock.shape[1]
    before = np.arange(width) - arriving[:, None]
    return np.where(before >= 0, np.take_along_axis(stock, np.maximum(before, 0), axis=1), 0.0)
