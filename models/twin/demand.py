"""Demand and lead times, sampled before the simulation: drawing inside its loop would cost 200 times as much.

Every function returns units [period, node, item, replication] in the network's order. A generator seeded alike gives the
same customers again: scenarios are compared on common random numbers.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lake.errors import InputError
from models.twin.layout import Layout, PerLevel
from models.twin.network import Network

Units = NDArray[np.float32]


def constant(per_period: ArrayLike, periods: int, replications: int = 1) -> Units:
    """Return the same demand [node, item] in every period."""
    rate = np.asarray(per_period, np.float32)
    return np.broadcast_to(rate[None, ..., None], (periods, *rate.shape, replications))


def poisson(mean: ArrayLike, periods: int, replications: int, random: np.random.Generator) -> Units:
    """Return Poisson demand of a mean [node, item] or [period, node, item]."""
    rate = _by_period(mean, periods)
    return random.poisson(rate[..., None], (*rate.shape, replications)).astype(np.float32)


def normal(
    mean: ArrayLike, std: ArrayLike, periods: int, replications: int, random: np.random.Generator
) -> Units:
    """Return normal demand, cut off at 0; mean and standard deviation are [node, item] or [period, node, item]."""
    rate, spread = _by_period(mean, periods), _by_period(std, periods)
    drawn = random.standard_normal((*rate.shape, replications), np.float32)
    return np.asarray(np.maximum(rate[..., None] + drawn * spread[..., None], 0), np.float32)


def negative_binomial(
    mean: ArrayLike, variance: ArrayLike, periods: int, replications: int, random: np.random.Generator
) -> Units:
    """Return whole units of a mean and variance ([period,] node, item); Poisson where the variance is no larger."""
    rate, spread = _by_period(mean, periods), _by_period(variance, periods)
    over = np.maximum(spread - rate, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(over > 1e-6 * rate, rate**2 / over, np.inf)
        # a gamma mixture of Poissons: its shape is the size, its mean the rate
        shape = np.where(np.isfinite(size), np.maximum(size, 1e-3), 1.0)[..., None]
        mixed = random.standard_gamma(shape, (*rate.shape, replications)) * (rate[..., None] / shape)
    means = np.where(np.isfinite(size)[..., None], mixed, rate[..., None])
    return random.poisson(means).astype(np.float32)


def bootstrap(
    history: ArrayLike, periods: int, replications: int, random: np.random.Generator, *, block: int = 7
) -> Units:
    """Return blocks of days drawn from a history [day, node, item], all places and items of a day together.

    Blocks start on the weekday on which the period to be simulated starts, counted from the day after the history (with
    `block` 7), so that weeks stay weeks and what is bought together stays together.
    """
    past = np.asarray(history, np.float32)
    if past.size == 0 or not np.isfinite(past).all():
        raise InputError(
            "There is no demand to draw from: the history is empty or has gaps; give days with demand."
        )
    days = len(past)
    if days < block:
        raise InputError(f"A history of {days} days is shorter than a block of {block}: give more days.")
    count = -(-periods // block)
    starts = np.arange(days % block, days - block + 1, block)
    chosen = starts[random.integers(0, len(starts), (count, replications))]
    index = (chosen[:, None, :] + np.arange(block)[None, :, None]).reshape(-1, replications)[:periods]
    return np.ascontiguousarray(np.moveaxis(past[index], 1, -1))


def forecast_paths(
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    periods: int,
    replications: int,
    random: np.random.Generator,
) -> Units:
    """Return sample paths of a forecast: its mean and its 10 % and 90 % quantiles, [period, node, item].

    Whole units, negative binomial with the spread of the quantiles; beyond the forecast its last week goes on.
    """
    rate = prolonged(mean, periods)
    spread = (prolonged(high, periods) - prolonged(low, periods)) / 2.563
    return negative_binomial(rate, np.maximum(spread**2, rate), periods, replications, random)


def lead_times(
    network: Network, periods: int, replications: int, random: np.random.Generator
) -> NDArray[np.int32] | None:
    """Return lead times in periods, [period, lane, replication], by inversion; None where all are fixed.

    Inversion keeps replications comparable when a distribution changes: the same luck, other lead times.
    """
    if all(len(lane.lead_time.values) == 1 for lane in network.lanes):
        return None
    luck = random.random((periods, len(network.lanes), replications), np.float32)
    drawn = np.empty(luck.shape, np.int32)
    for at, lane in enumerate(network.lanes):
        order = np.argsort(lane.lead_time.values)
        steps = np.cumsum(np.asarray(lane.lead_time.probabilities)[order])
        index = np.minimum(np.searchsorted(steps, luck[:, at], side="right"), len(order) - 1)
        drawn[:, at] = np.asarray(lane.lead_time.values, np.int32)[order][index]
    return drawn


def per_level(layout: Layout, units: Sequence[Any] | Units) -> PerLevel:
    """Return demand [period, node, item, replication] per level, of the places with demand.

    Raises `InputError` where there is none, or where it is negative or not a number.
    """
    demand = np.asarray(units, np.float32)
    if demand.size == 0 or demand.ndim != 4:
        raise InputError(
            f"Demand has to be [period, node, item, replication] and not empty; it has the shape {demand.shape}."
        )
    found: list[Any] = []
    for at, level in enumerate(layout.levels):
        sellers = list(level.nodes[level.demand_from :])
        part = demand[:, sellers] if at and sellers else None
        if part is not None and not (part >= 0).all():
            raise InputError(
                "Demand is negative or unknown somewhere: give units from 0 on for every period."
            )
        found.append(None if part is None else jnp.asarray(part))
    return tuple(found)


def _by_period(value: ArrayLike, periods: int) -> NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    return np.broadcast_to(array, (periods, *array.shape[-2:])) if array.ndim < 3 else array


def prolonged(value: ArrayLike, periods: int) -> NDArray[np.float64]:
    """Return `periods` of a forecast [period, ...]: beyond its end its last week goes on."""
    array = np.asarray(value, np.float64)
    if not len(array):
        raise InputError("The forecast is empty: run the forecasts of this release first.")
    if len(array) >= periods:
        return array[:periods]
    week = array[-min(7, len(array)) :]
    more = np.resize(np.arange(len(week)), periods - len(array))
    return np.concatenate([array, week[more]])
