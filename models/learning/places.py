"""What a learned policy is told of every lane once and for all: how much flows through it, how long, at what cost.

All of it is relative (to mean demand, to the dearest place), so that one policy serves every place and item, and networks
that it was not trained on.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lake.errors import InputError
from models.twin.layout import Layout, PerLevel
from models.twin.state import Rules

Array = jax.Array
CONTEXT = 7
"""Numbers of `Place.context`."""
_LEAST = 1e-3
"""Units per period that flow through a place at least: what divides."""


class Place(NamedTuple):
    """The rows into one level, [row, item, 1]."""

    mean: Array
    """Units that flow through the place in a period."""
    unit: Array
    """Standard deviation of the demand that an order has to cover: what deviations are measured in."""
    need: Array
    """Mean demand that an order has to cover: over the lead time and the period itself."""
    echelon_need: Array
    """The same down to the customers."""
    soon: Array
    """[k, row, item, 1]: 1 where what arrives k + 1 periods from now comes no later than an order placed now."""
    context: Array
    """[CONTEXT, row, item, 1]: lead time, relative spread, volume, costs, place in the chain."""

    def way(self, way: int, ways: int) -> "Place":
        """Return the rows that are the `way`-th of `ways` into each place."""
        rows = {name: getattr(self, name)[way::ways] for name in ("mean", "unit", "need", "echelon_need")}
        return Place(**rows, soon=self.soon[:, way::ways], context=self.context[:, way::ways])


def describe(
    layout: Layout, rules: Rules, numbers: PerLevel, mean_demand: ArrayLike, spread: ArrayLike | None = None
) -> tuple[Place | None, ...]:
    """Return what a policy is told of each level's rows.

    `mean_demand` and `spread` (standard deviation; that of Poisson demand where it is not given) are of one period,
    [node, item] in the network's order. Raises `InputError` where nobody buys anything, or the shape is another.
    """
    mean = _checked(layout, mean_demand, "mean_demand")
    if not (mean > 0).any():
        raise InputError("A policy cannot learn without demand: the mean demand is 0 at every place.")
    variance = mean if spread is None else _checked(layout, spread, "spread") ** 2
    flow, change = _from_below(layout, numbers, mean), _from_below(layout, numbers, variance)
    covers, dearest = _covers(layout, rules, numbers), _dearest_shortage(numbers)
    found: list[Place | None] = [None]
    for at, level in enumerate(layout.levels[1:], start=1):
        rows = np.array(level.row_node)
        lead = _lead(layout, numbers, at)
        own = lead + (rules.sequence == "order_then_demand")
        through, far = np.maximum(flow[at][rows], _LEAST), covers[at][rows]
        unit = np.sqrt(np.maximum(change[at][rows], _LEAST * through) * np.maximum(own, 1.0))
        holding = np.asarray(_or_zero(numbers[at].holding, level.size))[rows]
        ages = np.arange(1, max(level.horizon, 1))[:, None, None, None]
        context = (
            np.log1p(own),
            np.log(unit / through),
            np.log(through) / 4,
            holding / dearest,
            np.log(dearest / np.maximum(holding, 1e-4 * dearest)) / 4,
            (rows >= level.demand_from)[:, None, None],
            np.log1p(far - own),
        )
        found.append(
            Place(
                mean=_wide(through, through),
                unit=_wide(unit, through),
                need=_wide(through * own, through),
                echelon_need=_wide(through * far, through),
                soon=jnp.stack([_wide(age <= lead, through) for age in ages])
                if len(ages)
                else jnp.zeros((0, *through.shape)),
                context=jnp.stack([_wide(each, through) for each in context]),
            )
        )
    return tuple(found)


def _wide(value: Any, like: NDArray[np.float64]) -> Array:
    return jnp.asarray(np.broadcast_to(value, like.shape), jnp.float32)


def _or_zero(value: Any, places: int) -> Any:
    return np.zeros((places, 1, 1)) if value is None else value


def _checked(layout: Layout, value: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    nodes = sum(level.size for level in layout.levels)
    if array.shape != (nodes, layout.items):
        raise InputError(
            f"{name} has the shape {array.shape} and has to be [node, item]: ({nodes}, {layout.items})."
        )
    if not (np.isfinite(array) & (array >= 0)).all():
        raise InputError(f"{name} is negative or unknown somewhere: give units per period from 0 on.")
    return array


def _from_below(layout: Layout, numbers: PerLevel, values: NDArray[np.float64]) -> list[Any]:
    """Return [place, item, 1] per level: a place's own, and what flows on to the places that it feeds."""
    found = [values[list(level.nodes)][:, :, None].copy() for level in layout.levels]
    for at in range(len(layout.levels) - 1, 0, -1):
        level = layout.levels[at]
        share = None if numbers[at].share is None else np.asarray(numbers[at].share)
        for row, (origin, place) in enumerate(level.row_origin):
            if origin:
                part = 1.0 if share is None else np.minimum(share[row], 1.0)
                found[origin][place] += found[at][level.row_node[row]] * part
    return found


def _dearest_shortage(numbers: PerLevel) -> float:
    """Return the highest shortage cost of the network, lost revenue included."""
    each = [1e-6]
    for known in numbers[1:]:
        for cost in (known.shortage, known.price):
            each += [] if cost is None else [float(np.max(cost))]
    return max(each)


def _lead(layout: Layout, numbers: PerLevel, at: int) -> NDArray[np.float64]:
    """Return the lead times of a level's rows, [row, item or 1, 1]."""
    level = layout.levels[at]
    if numbers[at].lead is None:
        return np.full((level.rows, 1, 1), float(level.uniform_lead or 0))
    return np.asarray(numbers[at].lead, np.float64)


def _covers(layout: Layout, rules: Rules, numbers: PerLevel) -> list[Any]:
    """Return per level [place, item, 1]: periods that an order into it has to cover, down to the customers."""
    extra = float(rules.sequence == "order_then_demand")
    found: list[Any] = [np.zeros((level.size, layout.items, 1)) for level in layout.levels]
    below: list[Any] = [np.zeros((level.size, layout.items, 1)) for level in layout.levels]
    for at in range(len(layout.levels) - 1, 0, -1):
        level, lead = layout.levels[at], _lead(layout, numbers, at)
        for row, place in enumerate(level.row_node):
            found[at][place] = np.maximum(found[at][place], lead[row] + extra + below[at][place])
        for row, (origin, place) in enumerate(level.row_origin):
            if origin:
                whole = lead[row] + below[at][level.row_node[row]]
                below[origin][place] = np.maximum(below[origin][place], whole)
    return found
