"""What a policy does on average: stock held, units waiting, share of demand served.

Belongs here: the performance of levels that somebody has set, vectorised over items, so that policies can be compared
under the same demand. Not here: the choice of levels (all other modules), single paths (`models.twin`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, above_zero, not_negative, refuse_where
from models.inventory.distributions import distribution_for, expected_shortage

_AT, _WEIGHTS = (np.asarray(part, dtype=np.float64) for part in np.polynomial.legendre.leggauss(4))
_AT, _WEIGHTS = (_AT + 1) / 2, _WEIGHTS / 2


class Performance(NamedTuple):
    """Average units on hand and waiting, and the type-2 service: the share of demand served from stock."""

    on_hand_units: Floats
    waiting_units: Floats
    fill_rate: Floats


def expected_performance(
    lowest_position_units: ArrayLike,
    highest_position_units: ArrayLike,
    review_period_days: ArrayLike,
    daily_demand: tuple[ArrayLike, ArrayLike],
    lead_time_days: tuple[ArrayLike, ArrayLike],
) -> Performance:
    """Return the performance of a policy whose position after a look lies evenly between two levels.

    (R, S): S and S; (r, Q) watched daily: r, r + Q and R = 1; (R, s, S): about s + mu R / 2 and S. `daily_demand` is (mean, variance) of
    a day in units, `lead_time_days` (mean, std). With n_t(y) the units that position y is short of demand over t (mean
    and variance as in `safety_stock.protection_period`, law by `distribution_for`): waiting = mean of n_t(y) over
    t in L .. L + R, on hand = y - mu t + n_t(y), fill rate = 1 - (n_{L+R}(y) - n_L(y)) / (mu R), all averaged over y
    (Gauss-Legendre, 4 points each way). Demand that is not met waits. For whole units the positions r + 1 .. r + Q lie
    between r + 1/2 and r + Q + 1/2. Within .5 points of fill rate in simulations of normal and of sparse negative
    binomial demand; where demand comes in lots of its own (always by fives) it may be off by some points.
    Source: Hadley & Whitin 1963, ch. 4, 5; Silver, Pyke & Thomas 2017, ch. 6.

    >>> usual = expected_performance(110, 150, 7, (10, 9), (7, 1))
    >>> [float(part.round(3)) for part in usual]
    [27.692, 2.692, 0.805]
    """
    mean, variance = not_negative(
        demand_mean_units_per_day=daily_demand[0], demand_variance_per_day=daily_demand[1]
    )
    lead, lead_std = not_negative(lead_time_mean_days=lead_time_days[0], lead_time_std_days=lead_time_days[1])
    (review,) = above_zero(review_period_days=review_period_days)
    low, high = (
        np.asarray(part, dtype=np.float64) for part in (lowest_position_units, highest_position_units)
    )
    refuse_where(high < low, "highest_position_units must not lie below lowest_position_units")
    low, high, mean, variance, lead, lead_std, review = np.broadcast_arrays(
        low, high, mean, variance, lead, lead_std, review
    )
    waiting, short = np.zeros(low.shape), np.zeros(low.shape)
    for at_position, share in zip(_AT, _WEIGHTS, strict=True):
        position = low + at_position * (high - low)

        def short_after(days: Floats, position: Floats = position) -> Floats:
            std = np.sqrt(days * variance + (mean * lead_std) ** 2)
            return expected_shortage(position, days * mean, std, distribution_for(days * mean, std))

        short += share * (short_after(lead + review) - short_after(lead))
        for at_time, part in zip(_AT, _WEIGHTS, strict=True):
            waiting += share * part * short_after(lead + at_time * review)
    demand = mean * review
    fill = np.where(demand > 0, 1 - short / np.where(demand > 0, demand, 1.0), 1.0)
    on_hand = (low + high) / 2 - mean * (lead + review / 2) + waiting
    return Performance(on_hand, waiting, np.clip(fill, 0.0, 1.0))
