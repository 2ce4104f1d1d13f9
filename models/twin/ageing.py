"""Units that perish: stock by age, oldest first out, waste at the end of shelf life.

Stock is [age, place, item, replication], age 0 what the supplier shipped last; without shelf life there is no age axis and
every function here does nothing but its plain counterpart. What goes onto a lane is cut from the queue of ages in the
order of the lanes, so that whole units stay whole.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from models.twin.layout import Layout, Level, take

if TYPE_CHECKING:
    from models.twin.period import Period

Array = jax.Array


def total(stock: Array, layout: Layout) -> Array:
    """Return units of all ages."""
    return stock.sum(0) if layout.ages else stock


def to_nodes(rows: Array, level: Level, layout: Layout) -> Array:
    """Sum rows (by age, where there are ages) over their places."""
    return jax.vmap(level.to_nodes)(rows) if layout.ages else level.to_nodes(rows)


def take_out(stock: Array, units: Array, layout: Layout) -> Array:
    """Take units out of stock, oldest first."""
    if not layout.ages:
        return stock - units
    older_ones = _older(stock)
    return stock - jnp.clip(units - older_ones, 0, stock)


def shift_stock(stock: Array, units: Array, layout: Layout) -> Array:
    """Add units (fresh), or take out where they are negative."""
    if not layout.ages:
        return stock + units
    return take_out(stock, jnp.maximum(-units, 0), layout).at[0].add(jnp.maximum(units, 0))


def _older(stock: Array) -> Array:
    """Return for each age how many units are older."""
    return jnp.cumsum(stock[::-1], 0)[::-1] - stock


def composition(period: "Period", at: int) -> list[tuple[int, tuple[int, ...], Array]]:
    """Return (level, rows, [age, row, item, replication]) of what leaves the places of a level."""
    outflow = period.layout.outflows[at]
    assert outflow is not None
    sent = outflow.gather(period.shipped)
    before = jnp.cumsum(sent, 1) - sent
    stock = take_ages(period.on_hand[at], outflow.origins)
    low = _older(stock)
    high = low + stock
    overlap = jnp.minimum(high[:, :, None], (before + sent)[None]) - jnp.maximum(
        low[:, :, None], before[None]
    )
    by_age = jnp.maximum(overlap, 0)
    parts = [outflow.scatter(each) for each in by_age]
    return [
        (level, rows, jnp.stack([part[number][2] for part in parts]))
        for number, (level, rows, _) in enumerate(parts[0])
    ]


def take_ages(stock: Array, places: tuple[int, ...]) -> Array:
    """Return some places of [age, place, ...]."""
    return jnp.moveaxis(take(jnp.moveaxis(stock, 1, 0), places), 0, 1)


def sent_by_age(period: "Period", at: int) -> Array:
    """Return what was sent to a level: [row, ...], or [age, row, ...] where units age."""
    known = period.shipped[at]
    sent: Array = jnp.zeros_like(period.ordered[at]) if known is None else known
    ages = period.layout.ages
    if not ages:
        return sent
    level = period.layout.levels[at]
    found = jnp.zeros((ages, *sent.shape), sent.dtype)
    fresh = [row for row, origin in enumerate(level.row_origin) if origin[0] == 0]
    if fresh:
        found = found.at[0, jnp.array(fresh)].set(sent[jnp.array(fresh)])
    for parts in period.dispatched:
        for to, rows, by_age in parts or ():
            if to == at:
                found = found.at[:, jnp.array(rows)].set(by_age)
    return found


def older(on_hand: Array, pipeline: Array, life: Array, level: Level) -> tuple[Array, Array, Array, Array]:
    """Let a period pass. Return stock, pipeline, units wasted per place and, of them, those under way per row.

    A unit is waste at the end of the period in which its age reaches the shelf life.
    """
    ages = on_hand.shape[0]
    reached = jnp.arange(1, ages + 1).reshape(-1, 1, 1, 1) >= life
    waste = jnp.where(reached, on_hand, 0)
    kept = on_hand - waste
    stock = jnp.concatenate([jnp.zeros_like(kept[:1]), kept[:-1]]).at[-1].add(kept[-1])
    wasted = waste.sum(0)
    if not level.horizon:
        return stock, pipeline, wasted, jnp.zeros((), on_hand.dtype)
    waste_under_way = jnp.where(reached, pipeline, 0)
    kept = pipeline - waste_under_way
    moved = jnp.concatenate([jnp.zeros_like(kept[:, :1]), kept[:, :-1]], 1).at[:, -1].add(kept[:, -1])
    lost_under_way = waste_under_way.sum((0, 1))
    return stock, moved, wasted + level.to_nodes(lost_under_way), lost_under_way
