"""Newsvendor and base stock: the level that weighs the cost of a unit left over against that of a unit short.

Belongs here: normal, Poisson and observed demand, for one period or for a base-stock policy with a lead time;
vectorised over items. Not here: levels for a service target (`safety_stock.py`), a fixed cost of ordering (`s_s.py`).

With a lead time of L periods and orders placed before demand in every period, the stock left at the end of a period is
the level less the demand of L + 1 periods: the same formulas hold with that demand (Snyder & Shen, sec. 4.3.4).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.inventory.arguments import Floats, above_zero, not_negative, series, whole
from models.inventory.distributions import Distribution, demand_quantile, expected_shortage


class StockPlan(NamedTuple):
    """The level of least cost (units), and its expected cost per period."""

    base_stock_units: Floats
    cost_per_period: Floats


def newsvendor_cost(
    base_stock_units: ArrayLike,
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand_mean_units: ArrayLike,
    demand_std_units: ArrayLike,
    distribution: ArrayLike,
) -> Floats:
    """Return g(S) = h E[(S - D)+] + p E[(D - S)+] = h (S - mu) + (h + p) n(S), n the loss function of D.

    `distribution` as in `distributions.expected_shortage`. Source: Snyder & Shen, sec. 4.3 (ex. 4.3).

    >>> float(newsvendor_cost(40, 0.18, 0.70, 50, 8, "normal").round(4))
    7.3561
    """
    holding, shortage = _costs(holding_cost_per_unit_period, shortage_cost_per_unit_period)
    mean, std = not_negative(demand_mean_units=demand_mean_units, demand_std_units=demand_std_units)
    level = np.asarray(base_stock_units, dtype=np.float64)
    short = expected_shortage(level, mean, std, distribution)
    return np.asarray(holding * (level - mean) + (holding + shortage) * short)


def newsvendor_normal(
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand_mean_units: ArrayLike,
    demand_std_units: ArrayLike,
    lead_time_periods: ArrayLike = 0,
) -> StockPlan:
    """Return S* = mu + sigma Phi^-1(p / (p + h)) and its cost (h + p) sigma phi(z), of normal demand.

    h cost of a unit left over and p of a unit short, per period; mu and sigma of a period's demand, of which the level
    covers `lead_time_periods` + 1. Source: Arrow, Harris & Marschak 1951; Snyder & Shen, sec. 4.3.2 (ex. 4.3).

    >>> [float(part.round(6)) for part in newsvendor_normal(0.18, 0.70, 50, 8)]
    [56.603956, 1.997605]
    >>> float(newsvendor_normal(0.18, 0.70, 50, 8, lead_time_periods=4).base_stock_units.round(4))
    264.7669
    """
    (mean, std) = not_negative(demand_mean_units=demand_mean_units, demand_std_units=demand_std_units)
    periods = 1 + not_negative(lead_time_periods=lead_time_periods)[0]
    return _best(
        holding_cost_per_unit_period,
        shortage_cost_per_unit_period,
        mean * periods,
        std * np.sqrt(periods),
        "normal",
    )


def newsvendor_poisson(
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand_mean_units: ArrayLike,
    lead_time_periods: ArrayLike = 0,
) -> StockPlan:
    """Return the least whole S with F(S) >= p / (p + h), and its cost, of Poisson demand.

    Arguments as in `newsvendor_normal`. Source: Snyder & Shen, sec. 4.3.2.7 (ex. 4.7).

    >>> [float(part.round(6)) for part in newsvendor_poisson(1, 4, 6)]
    [8.0, 3.570107]
    """
    (mean,) = not_negative(demand_mean_units=demand_mean_units)
    mean = mean * (1 + not_negative(lead_time_periods=lead_time_periods)[0])
    return _best(holding_cost_per_unit_period, shortage_cost_per_unit_period, mean, np.sqrt(mean), "poisson")


def newsvendor_empirical(
    holding_cost_per_unit_period: ArrayLike,
    shortage_cost_per_unit_period: ArrayLike,
    demand_units: ArrayLike,
    lead_time_periods: int = 0,
) -> StockPlan:
    """Return the level that would have cost least over the demand observed, and its average cost.

    `demand_units` has one period after the other on its last axis, all counted alike; the other axes are items. With a
    lead time the sums of L + 1 consecutive periods stand for its demand, which keeps any dependence between them.
    S* is the least observation that at least the share p / (p + h) of them do not exceed.
    Source: sample average approximation; Levi, Roundy & Shmoys 2007.

    >>> [float(part) for part in newsvendor_empirical(1, 3, [4, 0, 2, 9, 3, 1, 5, 3])]
    [4.0, 3.625]
    """
    holding, shortage = _costs(holding_cost_per_unit_period, shortage_cost_per_unit_period)
    demand = series("demand_units", demand_units)
    window = 1 + whole("lead_time_periods", lead_time_periods)
    if demand.shape[-1] < window:
        raise ValueError(
            f"demand_units has {demand.shape[-1]} periods, too few for a lead time of {window - 1}: at least {window} are needed"
        )
    sums = np.sort(np.lib.stride_tricks.sliding_window_view(demand, window, axis=-1).sum(axis=-1), axis=-1)
    count = sums.shape[-1]
    # 1e-9: a ratio that is met exactly is met.
    rank = np.ceil(count * shortage / (shortage + holding) - 1e-9).astype(np.int64)
    rank = np.broadcast_to(rank, np.broadcast_shapes(rank.shape, sums.shape[:-1]))
    sums = np.broadcast_to(sums, (*rank.shape, count))
    level = np.take_along_axis(sums, np.clip(rank - 1, 0, count - 1)[..., None], axis=-1)
    left, short = np.maximum(level - sums, 0).mean(axis=-1), np.maximum(sums - level, 0).mean(axis=-1)
    return StockPlan(level[..., 0], np.asarray(holding * left + shortage * short))


def _best(
    holding_cost: ArrayLike, shortage_cost: ArrayLike, mean: Floats, std: Floats, distribution: Distribution
) -> StockPlan:
    holding, shortage = _costs(holding_cost, shortage_cost)
    level = demand_quantile(shortage / (shortage + holding), mean, std, distribution)
    return StockPlan(level, newsvendor_cost(level, holding, shortage, mean, std, distribution))


def _costs(holding_cost: ArrayLike, shortage_cost: ArrayLike) -> tuple[Floats, ...]:
    return above_zero(holding_cost_per_unit_period=holding_cost, shortage_cost_per_unit_period=shortage_cost)
