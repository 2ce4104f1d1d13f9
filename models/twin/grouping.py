"""Small sums between rows, places and lanes, traced once per program."""

from typing import Any

import jax
import jax.numpy as jnp

from models.twin.layout import Level, PerLevel

Array = jax.Array


def lane_sum(rows: Array, member: Array | None) -> Array:
    """Sum [row, item, replication] over the items of each lane: [row, lane of the row, replication]."""
    if member is None:
        return rows.sum(1, keepdims=True)
    return jnp.einsum("rli,rik->rlk", member, rows)


def lane_spread(lanes: Array, member: Array | None) -> Array:
    """Repeat [row, lane of the row, replication] for the items of each lane: [row, item or 1, replication]."""
    if member is None:
        return lanes
    return jnp.einsum("rli,rlk->rik", member, lanes)


def of(per_level: PerLevel | None, at: int) -> Any:
    """Return what a level has of something that may be switched off."""
    return None if per_level is None else per_level[at]


def front(sellers: Array | None, level: Level) -> Any:
    """Return an array of the places with demand as one of all places of the level; 0 where there is nothing."""
    if sellers is None:
        return jnp.zeros((), jnp.float32)
    if not level.demand_from:
        return sellers
    return jnp.concatenate([jnp.zeros((level.demand_from, *sellers.shape[1:]), sellers.dtype), sellers])


def sum_to(rows: Array, to: tuple[int, ...], size: int) -> Array:
    """Sum rows over the places `to` that they belong to: [place, ...]."""
    if size == 1:
        return rows.sum(0, keepdims=True)
    count = len(to) // size
    if to == tuple(each for each in range(size) for _ in range(count)) and count:
        return rows.reshape(size, count, *rows.shape[1:]).sum(1)
    return jax.ops.segment_sum(rows, jnp.array(to), size)


def spread(values: Array, places: tuple[int, ...], size: int) -> Array:
    """Return an array of some places as one of all `size` places, 0 elsewhere."""
    if places == tuple(range(size)):
        return values
    return jnp.zeros((size, *values.shape[1:]), values.dtype).at[jnp.array(places)].set(values)
