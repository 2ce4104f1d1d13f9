"""Classical policies, as pure functions (parameters, observation) -> units to order by each row.

Parameters are dictionaries of arrays per level (`Layout.at_nodes`, `Layout.at_rows`): `parameters["level"][o.level]`.
Learned policies have the same signature; the twin knows no difference.
"""

from typing import Any

import jax
import jax.numpy as jnp

from models.twin.state import Observation

Array = jax.Array


def base_stock(parameters: Any, o: Observation) -> Array:
    """Order up to `level` [place, item, 1] of the installation stock position."""
    return (_at(parameters["level"], o) - o.position) * o.share


def echelon_base_stock(parameters: Any, o: Observation) -> Array:
    """Order up to `level` of the echelon stock position: the place and all that it feeds."""
    return (_at(parameters["level"], o) - o.echelon_position) * o.share


def capped_base_stock(parameters: Any, o: Observation) -> Array:
    """Order up to `level`, at most `cap` units in a period."""
    return jnp.minimum(base_stock(parameters, o), _at(parameters["cap"], o))


def constant_order(parameters: Any, o: Observation) -> Array:
    """Order `quantity` in each period, whatever there is."""
    return jnp.broadcast_to(_at(parameters["quantity"], o), o.position.shape)


def reorder_point(parameters: Any, o: Observation) -> Array:
    """(s, S): when the position is below `point`, order up to `level`.

    `echelon` (1 or 0 per place) says whose position counts: that of all the place feeds, or its own.
    """
    position = o.position
    if "echelon" in parameters:
        position = jnp.where(_at(parameters["echelon"], o) > 0, o.echelon_position, position)
    need = _at(parameters["level"], o) - position
    return jnp.where(position < _at(parameters["point"], o), need, 0) * o.share


def moving_reorder_point(parameters: Any, o: Observation) -> Array:
    """(s, S) by `reorder_point` with levels that move: times `scale`, [period, item, 1], the same at all places."""
    scale = parameters["scale"][o.period]
    moved = {name: _scaled(parameters[name], scale) for name in ("point", "level")}
    return reorder_point({**parameters, **moved}, o)


def as_planned(parameters: Any, o: Observation) -> Array:
    """Order what is written: `orders`, per level [period, row, item, 1]. Replays a past."""
    orders = parameters["orders"][o.level][o.period]
    return jnp.broadcast_to(orders, o.row_in_transit.shape)


def moving_average_order_up_to(parameters: Any, o: Observation) -> Array:
    """Order up to `cover` periods of the mean of the demand in memory (`Rules.demand_memory` periods).

    Orders may be negative in the theory of the bullwhip (Chen et al. 2000); the twin orders nothing then.
    """
    assert o.memory is not None, "moving averages need Rules.demand_memory"
    return (_at(parameters["cover"], o) * o.memory.mean(0) - o.position) * o.share


def dual_index(parameters: Any, o: Observation) -> Array:
    """Two rows per place, the quick one first: each up to its own level of the position that its lead time covers.

    `quick`, `slow` [place, item, 1] are the levels; `covered` [k] is 1 for what arrives within the quick row's lead time
    (Veeraraghavan and Scheller-Wolf 2008). The slow one counts in what the quick one orders.
    """
    assert o.pipeline is not None, "the dual index policy needs Rules.see_pipeline"
    places = o.position.shape[0] // 2
    pairs = o.pipeline.reshape(o.pipeline.shape[0], places, 2, *o.pipeline.shape[2:])
    soon = (pairs.sum(2) * parameters["covered"].reshape(-1, 1, 1, 1)).sum(0)
    position, under_way = o.position[::2], o.in_transit[::2]
    quick = jnp.maximum(parameters["quick"][o.level] - (position - under_way + soon), 0)
    slow = jnp.maximum(parameters["slow"][o.level] - position - quick, 0)
    return jnp.stack([quick, slow], 1).reshape(o.position.shape)


def _scaled(per_level: Any, scale: Array) -> Any:
    return tuple(None if each is None else each * scale for each in per_level)


def _at(per_level: Any, o: Observation) -> Array:
    """Return a parameter [place, item, 1] of the observation's level for its rows."""
    return o.structure.to_rows(per_level[o.level])
