"""(s, S): where ordering has a fixed cost, order up to S whenever the stock position is at or below s.

Belongs here: the exact policy by Zheng & Federgruen and the power approximation, for demand counted in whole units and
a position looked at every period. Not here: (r, Q) (`r_q.py`), the plan's order-up-to rule (`policies.py`).

Sequence of a period: look, order, demand, cost; an order placed now arrives before the demand of `lead_time_periods`
later. Demand that is not met waits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal, special

from models.inventory.arguments import Floats, above_zero, not_negative, probabilities, refuse_where, whole
from models.inventory.distributions import poisson_probabilities

_WIDEST_UNITS = 20_000


class MinMaxPlan(NamedTuple):
    """s and S (units), and the expected cost per period."""

    reorder_point_units: Floats
    order_up_to_units: Floats
    cost_per_period: Floats


def s_s_exact(
    holding_cost_per_unit_period: float,
    backorder_cost_per_unit_period: float,
    fixed_cost_per_order: float,
    demand_probabilities: ArrayLike,
    lead_time_periods: int = 0,
) -> MinMaxPlan:
    """Return the (s, S) of least long-run cost for demand that is d units with probability `demand_probabilities[d]`.

    h, p per unit left over and short at the end of a period, K per order. With G(y) the expected cost of a period whose
    position is y, m the renewal density of demand and M its sums, c(s, S) = (K + sum_{j < S - s} m(j) G(S - j)) /
    M(S - s); s falls until G(s) reaches c, S rises while G(S) may still win. Without a fixed cost it is base stock:
    s = S - 1. Source: Zheng & Federgruen 1991; Snyder & Shen, sec. 4.4.4 (ex. 4.7).

    >>> [float(part) for part in s_s_exact(1, 4, 5, poisson_probabilities(6))]  # doctest: +ELLIPSIS
    [4.0, 10.0, 8.03411156...]
    """
    holding, backorder = _costs(holding_cost_per_unit_period, backorder_cost_per_unit_period)
    (fixed,) = not_negative(fixed_cost_per_order=fixed_cost_per_order)
    chances = probabilities("demand_probabilities", demand_probabilities)
    if chances[0] >= 1:
        raise ValueError("demand_probabilities has no demand at all: there is nothing to order")
    covered = chances
    for _ in range(whole("lead_time_periods", lead_time_periods)):
        covered = np.convolve(covered, chances)
    return _zheng_federgruen(_Costs(float(holding), float(backorder), covered), float(fixed), chances)


def s_s_poisson(
    holding_cost_per_unit_period: ArrayLike,
    backorder_cost_per_unit_period: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_mean_units: ArrayLike,
    lead_time_periods: int = 0,
) -> MinMaxPlan:
    """Return `s_s_exact` of Poisson demand for arrays of items that broadcast.

    >>> plan = s_s_poisson(1, 9, 64, [10, 64])
    >>> plan.reorder_point_units.tolist(), plan.order_up_to_units.tolist(), plan.cost_per_period.round(3).tolist()
    ([6.0, 55.0], [40.0, 74.0], [35.022, 78.402])
    """
    holding, backorder = _costs(holding_cost_per_unit_period, backorder_cost_per_unit_period)
    (fixed,) = not_negative(fixed_cost_per_order=fixed_cost_per_order)
    (mean,) = above_zero(demand_mean_units=demand_mean_units)
    periods = 1 + whole("lead_time_periods", lead_time_periods)
    items = np.broadcast_arrays(holding, backorder, fixed, mean)
    plans = [
        _zheng_federgruen(
            _Costs(one_holding, one_backorder, poisson_probabilities(one_mean * periods)),
            one_fixed,
            poisson_probabilities(one_mean),
        )
        for one_holding, one_backorder, one_fixed, one_mean in zip(
            *(part.flat for part in items), strict=True
        )
    ]
    columns = np.array(plans, dtype=np.float64).reshape(-1, 3).T
    return MinMaxPlan(*(column.reshape(items[0].shape) for column in columns))


def s_s_cost(
    reorder_point_units: int,
    order_up_to_units: int,
    holding_cost_per_unit_period: float,
    backorder_cost_per_unit_period: float,
    fixed_cost_per_order: float,
    demand_probabilities: ArrayLike,
    lead_time_periods: int = 0,
) -> float:
    """Return c(s, S), the exact cost per period of any (s, S) with s < S. Arguments and source as in `s_s_exact`.

    >>> round(s_s_cost(4, 10, 1, 4, 5, poisson_probabilities(6)), 6)
    8.034112
    """
    holding, backorder = _costs(holding_cost_per_unit_period, backorder_cost_per_unit_period)
    (fixed,) = not_negative(fixed_cost_per_order=fixed_cost_per_order)
    chances = probabilities("demand_probabilities", demand_probabilities)
    if order_up_to_units <= reorder_point_units:
        raise ValueError(
            f"order_up_to_units must exceed reorder_point_units, and they are {order_up_to_units} and {reorder_point_units}"
        )
    covered = chances
    for _ in range(whole("lead_time_periods", lead_time_periods)):
        covered = np.convolve(covered, chances)
    costs = _Costs(float(holding), float(backorder), covered)
    return _cost(
        reorder_point_units,
        order_up_to_units,
        costs,
        float(fixed),
        _renewals(chances, order_up_to_units - reorder_point_units),
    )


def s_s_power_approximation(
    holding_cost_per_unit_period: ArrayLike,
    backorder_cost_per_unit_period: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand_mean_units: ArrayLike,
    demand_std_units: ArrayLike,
    lead_time_periods: ArrayLike = 0,
) -> tuple[Floats, Floats]:
    """Return s and S (units, not rounded) by formulas fitted to optimal policies; good for p / h of 4 to 99.

    Q = 1.30 mu^.494 (K / h)^.506 (1 + sigma_L^2 / mu^2)^.116, z = sqrt(Q h / (p sigma_L)), s = .973 mu_L +
    sigma_L (.183 / z + 1.063 - 2.192 z), S = s + Q, with mu_L and sigma_L of the demand of L + 1 periods; where Q is
    at most 1.5 mu, neither exceeds the base-stock level mu_L + sigma_L Phi^-1(p / (p + h)). Raises `ValueError` where
    p does not exceed h: the fit says nothing there.
    Source: Ehrhardt 1979; Ehrhardt & Mosier 1984; Snyder & Shen, sec. 4.4.5.

    >>> [float(part.round(4)) for part in s_s_power_approximation(0.18, 0.7, 2.5, 50, 8)]
    [40.1946, 56.604]
    """
    holding, backorder, fixed, mean, std = above_zero(
        holding_cost_per_unit_period=holding_cost_per_unit_period,
        backorder_cost_per_unit_period=backorder_cost_per_unit_period,
        fixed_cost_per_order=fixed_cost_per_order,
        demand_mean_units=demand_mean_units,
        demand_std_units=demand_std_units,
    )
    refuse_where(
        backorder <= holding,
        "backorder_cost_per_unit_period must exceed holding_cost_per_unit_period: the power approximation is fitted for that",
    )
    periods = 1 + not_negative(lead_time_periods=lead_time_periods)[0]
    covered_mean, covered_std = mean * periods, std * np.sqrt(periods)
    quantity = 1.30 * mean**0.494 * (fixed / holding) ** 0.506 * (1 + (covered_std / mean) ** 2) ** 0.116
    z = np.sqrt(quantity * holding / (backorder * covered_std))
    point = 0.973 * covered_mean + covered_std * (0.183 / z + 1.063 - 2.192 * z)
    base_stock = covered_mean + covered_std * special.ndtri(backorder / (backorder + holding))
    small = quantity <= 1.5 * mean
    level = np.where(small, np.minimum(point + quantity, base_stock), point + quantity)
    return np.asarray(np.where(small, np.minimum(point, base_stock), point)), np.asarray(level)


class _Costs:
    """G(y) = h E[(y - D)+] + p E[(D - y)+] for whole y, D the demand of the lead time and one period more."""

    def __init__(self, holding: float, backorder: float, covered: Floats) -> None:
        self._holding, self._backorder = holding, backorder
        self._mean = float(np.arange(len(covered)) @ covered)
        below = np.cumsum(covered)
        # E[(y - D)+] for y = 0 .. largest demand, as sums of P(D <= y).
        self._left = np.concatenate([[0.0], np.cumsum(below[:-1])])
        ratio = backorder / (backorder + holding)
        self.best = int(np.searchsorted(below, ratio - 1e-12))

    def room(self, fixed: float) -> float:
        """The EOQ with backorders of a period's demand, which S - s is near to (demand of the lead time counts too)."""
        return float(np.sqrt(2 * fixed * self._mean / self._holding * (1 + self._holding / self._backorder)))

    def __call__(self, first: int, last: int) -> Floats:
        """G of first, first + 1, ..., last."""
        positions = np.arange(first, last + 1)
        inside = np.clip(positions, 0, len(self._left) - 1)
        left = self._left[inside] + np.maximum(positions - inside, 0)
        return np.asarray(
            (self._holding + self._backorder) * left - self._backorder * (positions - self._mean)
        )


def _zheng_federgruen(costs: _Costs, fixed: float, chances: Floats) -> MinMaxPlan:
    width = costs.room(fixed)
    if width > _WIDEST_UNITS:
        raise ValueError(
            f"S - s would be some {width:,.0f} units, beyond {_WIDEST_UNITS:,}: count demand in larger units"
        )
    best_level = costs.best
    room = 64
    renewals = _renewals(chances, room)
    point = best_level - 1
    while (cost := _cost(point, best_level, costs, fixed, renewals)) > costs(point, point)[0]:
        point -= 1
        if best_level - point > room:
            room *= 2
            renewals = _renewals(chances, room)
    level = best_level + 1
    while costs(level, level)[0] <= cost:
        if level - point > room:
            room *= 2
            renewals = _renewals(chances, room)
        challenger = _cost(point, level, costs, fixed, renewals)
        if challenger < cost:
            best_level, cost = level, challenger
            while point + 1 < best_level and cost <= costs(point + 1, point + 1)[0]:
                point += 1
                cost = _cost(point, best_level, costs, fixed, renewals)
        level += 1
    return MinMaxPlan(np.asarray(float(point)), np.asarray(float(best_level)), np.asarray(cost))


def _renewals(chances: Floats, count: int) -> Floats:
    """m(0) .. m(count - 1): how often demand since an order passes through j units, m = 1 + chances * m."""
    denominator = -chances
    denominator[0] = 1 - chances[0]
    impulse = np.zeros(count)
    impulse[0] = 1.0
    return np.asarray(signal.lfilter([1.0], denominator, impulse), dtype=np.float64)


def _cost(point: int, level: int, costs: _Costs, fixed: float, renewals: Floats) -> float:
    density = renewals[: level - point]
    return float((fixed + density @ costs(point + 1, level)[::-1]) / density.sum())


def _costs(holding: ArrayLike, backorder: ArrayLike) -> tuple[Floats, ...]:
    return above_zero(holding_cost_per_unit_period=holding, backorder_cost_per_unit_period=backorder)
