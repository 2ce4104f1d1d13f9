"""(R, S): stock is looked at every R, and the position is raised to S each time.

Belongs here: the level and the review interval that weigh costs, vectorised over items. Not here: levels for a service
target (`safety_stock.py`), a fixed cost that makes an order wait for s (`s_s.py`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from models.inventory.arguments import Floats, above_zero, not_negative
from models.inventory.distributions import normal_loss

_NODES, _WEIGHTS = (np.asarray(part, dtype=np.float64) for part in np.polynomial.legendre.leggauss(16))
_TURN = (np.sqrt(5) - 1) / 2


class ReviewPlan(NamedTuple):
    """R (years), S (units) and the expected cost per year."""

    review_period_years: Floats
    order_up_to_units: Floats
    cost_per_year: Floats


def periodic_review_cost(
    review_period_years: ArrayLike,
    order_up_to_units: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike],
    lead_time_years: ArrayLike,
) -> Floats:
    """Return the yearly cost of (R, S): (K + integral over t in L .. L + R of G(S, t) dt) / R.

    G(S, t) = h (S - d t) + (h + p) n is the cost rate with normal demand over t, of mean d t and standard deviation
    sigma sqrt(t); `demand` is (d, sigma) of a year, in units. Every review orders, so K is paid (and may stand for the
    cost of the look as well). The integral is Gauss-Legendre's over 16 points. Source: Hadley & Whitin 1963, ch. 5;
    Rao 2003.

    >>> float(periodic_review_cost(0.25, 520, 0.225, 7.5, 8, (1300, 150), 1 / 12).round(4))
    93.5281
    """
    review, level, *rest = _arguments(
        review_period_years,
        order_up_to_units,
        holding_cost_per_unit_year,
        backorder_cost_per_unit_year,
        fixed_cost_per_order,
        demand,
        lead_time_years,
    )
    return _cost(review, level, *rest)


def periodic_review_level(
    review_period_years: ArrayLike,
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike],
    lead_time_years: ArrayLike,
) -> Floats:
    """Return the S of least `periodic_review_cost` for a given R: the mean of P(D_t <= S) over t is p / (p + h).

    Note what it is not: the level that covers L + R with that probability, which is too high. Bisected to a float.
    Source: Hadley & Whitin 1963, ch. 5; Rao 2003.

    >>> float(periodic_review_level(0.25, 0.225, 7.5, (1300, 150), 1 / 12).round(3))
    499.158
    """
    review, _, holding, backorder, _, mean, std, lead = _arguments(
        review_period_years,
        0,
        holding_cost_per_unit_year,
        backorder_cost_per_unit_year,
        1,
        demand,
        lead_time_years,
    )
    return _level(review, holding, backorder, mean, std, lead)


def periodic_review_optimum(
    holding_cost_per_unit_year: ArrayLike,
    backorder_cost_per_unit_year: ArrayLike,
    fixed_cost_per_order: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike],
    lead_time_years: ArrayLike,
) -> ReviewPlan:
    """Return the R and S of least `periodic_review_cost`.

    With S chosen for each R the cost has one minimum in R, found by golden section among intervals up to twice that of
    the EOQ with backorders. Source: Rao 2003.

    >>> plan = periodic_review_optimum(0.225, 7.5, 8, (1300, 150), 1 / 12)
    >>> [float(part.round(3)) for part in plan]
    [0.222, 462.864, 92.121]
    """
    _, _, holding, backorder, fixed, mean, std, lead = _arguments(
        1,
        0,
        holding_cost_per_unit_year,
        backorder_cost_per_unit_year,
        fixed_cost_per_order,
        demand,
        lead_time_years,
    )

    def best(review: Floats) -> tuple[Floats, Floats]:
        level = _level(review, holding, backorder, mean, std, lead)
        return level, _cost(review, level, holding, backorder, fixed, mean, std, lead)

    high = 2 * np.sqrt(2 * fixed * (holding + backorder) / (mean * holding * backorder))
    low = high * 1e-3
    for _ in range(45):
        left, right = high - _TURN * (high - low), low + _TURN * (high - low)
        falls = best(left)[1] > best(right)[1]
        low, high = np.where(falls, left, low), np.where(falls, high, right)
    review = (low + high) / 2
    return ReviewPlan(review, *best(review))


def _cost(
    review: Floats,
    level: Floats,
    holding: Floats,
    backorder: Floats,
    fixed: Floats,
    mean: Floats,
    std: Floats,
    lead: Floats,
) -> Floats:
    years = lead[..., None] + review[..., None] * (_NODES + 1) / 2
    spread, net = std[..., None] * np.sqrt(years), level[..., None] - mean[..., None] * years
    rate = holding[..., None] * net + (holding + backorder)[..., None] * spread * normal_loss(net / spread)
    return np.asarray((rate * _WEIGHTS / 2).sum(axis=-1) + fixed / review)


def _level(
    review: Floats, holding: Floats, backorder: Floats, mean: Floats, std: Floats, lead: Floats
) -> Floats:
    years = lead[..., None] + review[..., None] * (_NODES + 1) / 2
    demand, spread = mean[..., None] * years, std[..., None] * np.sqrt(years)
    target = backorder / (backorder + holding)
    z = special.ndtri(target)[..., None]
    low, high = (demand + z * spread).min(axis=-1), (demand + z * spread).max(axis=-1)
    for _ in range(60):
        middle = (low + high) / 2
        lasts = (special.ndtr((middle[..., None] - demand) / spread) * _WEIGHTS / 2).sum(axis=-1)
        low, high = np.where(lasts < target, middle, low), np.where(lasts < target, high, middle)
    return np.asarray(high)


def _arguments(
    review: ArrayLike,
    level: ArrayLike,
    holding: ArrayLike,
    backorder: ArrayLike,
    fixed: ArrayLike,
    demand: tuple[ArrayLike, ArrayLike],
    lead: ArrayLike,
) -> tuple[Floats, ...]:
    reviews, holdings, backorders, means, stds = above_zero(
        review_period_years=review,
        holding_cost_per_unit_year=holding,
        backorder_cost_per_unit_year=backorder,
        demand_units_per_year=demand[0],
        demand_std_units_per_year=demand[1],
    )
    fixeds, leads = not_negative(fixed_cost_per_order=fixed, lead_time_years=lead)
    return tuple(
        np.broadcast_arrays(
            reviews, np.asarray(level, dtype=np.float64), holdings, backorders, fixeds, means, stds, leads
        )
    )
