"""Serial systems: stages in a row, each supplied by the next one upstream, customers at stage 1.

Belongs here: echelon base-stock levels, exact (Clark & Scarf) and by newsvendor bounds (Shang & Song), for Poisson and
normal demand. Not here: trees under guaranteed service (`guaranteed_service.py`), simulation (`models.twin`).

Stages are listed downstream first. Echelon holding cost h_j is what a unit costs more at stage j than at j + 1; a unit
in transit to stage j is counted at stage j + 1's cost. Echelon stock of j is all at j and below it, less backorders.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal, special

from models.inventory.arguments import Floats, above_zero, not_negative
from models.inventory.distributions import demand_quantile, poisson_probabilities

_MOST_STEPS = 1_000_000


class SerialPlan(NamedTuple):
    """Echelon base-stock levels (units, downstream first), and the expected cost per period."""

    echelon_base_stock_units: Floats
    cost_per_period: float


class SerialBounds(NamedTuple):
    """Lower and upper bounds of the levels and their mean, in units (downstream first)."""

    lower_units: Floats
    upper_units: Floats
    approximate_units: Floats


@dataclass(frozen=True)
class SerialSystem:
    """A serial system. Raises `ValueError` for costs that are not above 0, or lists of different length."""

    echelon_holding_costs: ArrayLike
    """h_j, cost per unit and period, downstream first."""
    lead_times_periods: ArrayLike
    """L_j, from the stage upstream (or the outside supplier, who never runs out), downstream first."""
    backorder_cost: float
    """p, cost per unit and period that a customer waits."""
    demand_mean_units: float
    """Of one period."""
    demand_std_units: float | None = None
    """Of one period: demand is normal. None: it is Poisson."""

    def __post_init__(self) -> None:
        """Refuse what is no system of this kind."""
        costs = np.atleast_1d(above_zero(echelon_holding_costs=self.echelon_holding_costs)[0])
        times = np.atleast_1d(not_negative(lead_times_periods=self.lead_times_periods)[0])
        if costs.ndim != 1 or costs.shape != times.shape or costs.size == 0:
            raise ValueError(
                f"each stage needs an echelon holding cost and a lead time, and there are {costs.size} and {times.size}"
            )
        above_zero(backorder_cost=self.backorder_cost, demand_mean_units=self.demand_mean_units)
        if self.demand_std_units is not None:
            above_zero(demand_std_units=self.demand_std_units)

    @property
    def holding(self) -> Floats:
        """Echelon holding costs as an array."""
        return np.atleast_1d(np.asarray(self.echelon_holding_costs, dtype=np.float64))

    @property
    def lead_times(self) -> Floats:
        """Lead times as an array."""
        return np.atleast_1d(np.asarray(self.lead_times_periods, dtype=np.float64))


def clark_scarf(system: SerialSystem, step_std: float = 0.005) -> SerialPlan:
    """Return the optimal echelon base-stock levels and their cost, by the exact recursion from the customer up.

    With D_j the demand over L_j: C^_1(x) = h_1 x + (p + sum h) max(-x, 0), C_j(y) = E[C^_j(y - D_j)], S_j its
    minimiser, C^_{j+1}(x) = h_{j+1} x + C_j(min(S_j, x)); the cost is C_N(S_N). Poisson demand is exact over whole
    units. Normal demand (cut at 0) is put on a grid of `step_std` standard deviations of the shortest lead time's
    demand, rounded to its middle; half and double the default change the cost of ex. 6.1 by less than 1e-4.
    Source: Clark & Scarf 1960; Chen & Zheng 1994; Snyder & Shen, sec. 6.2.2 (ex. 6.1).

    >>> plan = clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, demand_mean_units=5))
    >>> plan.echelon_base_stock_units.tolist(), round(plan.cost_per_period, 4)
    ([9.0, 15.0, 26.0], 72.0467)
    """
    grid, demands = _grid(system, step_std)
    holding, positions = system.holding, grid.positions
    before = holding[0] * positions + (system.backorder_cost + holding.sum()) * np.maximum(-positions, 0)
    levels, cost = np.zeros(len(holding)), np.inf
    for stage, chances in enumerate(demands):
        expected = grid.after(before, chances)
        best = int(np.argmin(expected))
        levels[stage], cost = positions[best], float(expected[best])
        if stage + 1 < len(holding):
            before = holding[stage + 1] * positions + expected[np.minimum(np.arange(len(positions)), best)]
    return SerialPlan(levels, cost)


def shang_song(system: SerialSystem) -> SerialBounds:
    """Return newsvendor bounds of the optimal echelon levels, and the mean of both as an approximation.

    With B_j the demand over L_1 + ... + L_j: S_j lies between the quantiles of B_j at (p + sum_{i>j} h_i) / (p + sum of
    all h) and (p + sum_{i>j} h_i) / (p + sum_{i>=j} h_i). Means of Poisson levels are cut to whole units.
    Source: Shang & Song 2003; Snyder & Shen, sec. 6.2.3.

    >>> bounds = shang_song(SerialSystem([0.25] * 4, [0.25] * 4, 9, demand_mean_units=16))
    >>> bounds.approximate_units.tolist()
    [8.0, 13.0, 18.0, 22.0]
    """
    holding, total = system.holding, np.cumsum(system.lead_times)
    from_here_up = np.cumsum(holding[::-1])[::-1]
    saved = system.backorder_cost + from_here_up - holding
    low, high = (
        saved / (system.backorder_cost + holding.sum()),
        saved / (system.backorder_cost + from_here_up),
    )
    mean, is_normal = system.demand_mean_units * total, system.demand_std_units is not None
    law: Literal["normal", "poisson"] = "normal" if is_normal else "poisson"
    std = (system.demand_std_units or 0.0) * np.sqrt(total)
    lower, upper = demand_quantile(low, mean, std, law), demand_quantile(high, mean, std, law)
    middle = (lower + upper) / 2
    return SerialBounds(lower, upper, middle if is_normal else np.floor(middle))


def serial_cost(system: SerialSystem, echelon_base_stock_units: ArrayLike, step_std: float = 0.005) -> float:
    """Return the exact cost per period of any echelon base-stock levels; method, units and source as `clark_scarf`.

    >>> system = SerialSystem([3, 2, 2], [1, 1, 2], 37.12, demand_mean_units=5)
    >>> round(serial_cost(system, [9, 15, 26]), 4)
    72.0467
    """
    levels = np.atleast_1d(np.asarray(echelon_base_stock_units, dtype=np.float64))
    holding = system.holding
    if levels.shape != holding.shape:
        raise ValueError(f"each of the {len(holding)} stages needs a level, and there are {levels.size}")
    grid, demands = _grid(system, step_std, float(np.abs(levels).max()))
    positions = grid.positions
    before = holding[0] * positions + (system.backorder_cost + holding.sum()) * np.maximum(-positions, 0)
    cost = np.inf
    for stage, chances in enumerate(demands):
        expected = grid.after(before, chances)
        cost = float(np.interp(levels[stage], positions, expected))
        if stage + 1 < len(holding):
            reached = np.interp(np.minimum(positions, levels[stage]), positions, expected)
            before = holding[stage + 1] * positions + reached
    return cost


@dataclass(frozen=True)
class _Grid:
    """Echelon stock in steps, far enough below 0 that costs are a line there."""

    positions: Floats

    def after(self, cost: Floats, chances: Floats) -> Floats:
        """E[cost(y - D)] for every y of the grid; the line at its lower end is drawn on."""
        slope = cost[1] - cost[0]
        below = cost[0] + slope * np.arange(-(len(chances) - 1), 0)
        return np.asarray(signal.fftconvolve(np.concatenate([below, cost]), chances, mode="valid"))


def _grid(system: SerialSystem, step_std: float, highest: float = 0.0) -> tuple[_Grid, list[Floats]]:
    """The positions, and the demand over each lead time in their steps."""
    times = system.lead_times
    mean, total = system.demand_mean_units, float(times.sum())
    if system.demand_std_units is None:
        demands = [poisson_probabilities(mean * time) for time in times]
        step, far = 1.0, float(sum(len(chances) for chances in demands) + 10)
    else:
        std = system.demand_std_units
        shortest = float(times[times > 0].min()) if total > 0 else 1.0
        far = mean * total + 8 * std * np.sqrt(total) + 1
        step = max(step_std * std * np.sqrt(shortest), far / _MOST_STEPS)
        demands = [_normal_steps(mean * time, std * np.sqrt(time), step) for time in times]
    last = int(np.ceil(max(far, highest + step) / step))
    # Below -far the customer-side cost is a line: stage 1 is surely short there, and so is every stage above it.
    first = -int(np.ceil(far / step))
    return _Grid(np.arange(first, last + 1, dtype=np.float64) * step), demands


def _normal_steps(mean: float, std: float, step: float) -> Floats:
    """Normal demand in steps: P((i - 1/2) step < D <= (i + 1/2) step); what is below 0 counts as 0."""
    if std == 0:
        return np.ones(1)
    last = int(np.ceil((mean + 9 * std) / step))
    edges = (np.arange(last) + 0.5) * step
    return np.diff(special.ndtr((edges - mean) / std), prepend=0.0, append=1.0)
