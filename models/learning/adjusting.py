"""A learned policy for companies with order costs: a small network adjusts the classical (s, S) of every place and item.

One network for all places and items. It sees stock, what is under way and when it will come, and recent demand against what the
classical policy expects, and what never changes of an item at a place (lead time, batch, margin, pack). It answers how far the reorder point
moves from the classical one; the batch on top of it stays. When a lane is ordered on anyway, an item that is less than half a
batch above its point comes along, so that it shares order and freight (a can-order level, Balintfy 1964).
"""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from models.learning.stage import unit_values
from models.twin.grouping import lane_spread, lane_sum
from models.twin.layout import Layout, PerLevel
from models.twin.state import Observation
from models.twin.twin import Twin

Array = jax.Array
SEEN = (
    "asked in two weeks, against demand (log)",
    "still to come for longer than usual (log)",
)
"""What changes from period to period: the inputs that a training range is kept of."""
KNOWN = (
    "lead time (log days)", "its spread, relative", "demand (log units a day)", "spread of demand (log)",
    "batch (log days of demand)", "reorder point (log days of demand)", "margin against holding (log)",
    "pack, in batches", "sells to customers", "freight against margin",
)  # fmt: skip
ANSWERS = ("reorder point",)
REACH = 0.7
"""The network moves reorder points by a factor of at most exp(0.7) = 2 either way."""
ALONG = 0.5
"""Batches above its reorder point up to which an item comes along."""


class Place(NamedTuple):
    """What never changes of the rows into a level."""

    rate: Array
    """Units a day through the place, [row, item, 1]."""
    usual_wait: Array
    """Days after which what is under way comes, if it left at any time within the lead time, [row, item, 1]."""
    share: Array
    """Of what the place needs, the part that the row brings, [row, item, 1]."""
    known: Array
    """[KNOWN, row, item, 1], around 0 and of size 1."""


def describe(twin: Twin, layout: Layout) -> tuple[Place | None, ...]:
    """Return what never changes of a twin's places."""
    network = twin.network
    through = twin.flow
    cost = unit_values(network)
    ratio = np.stack([np.maximum(each, 1) for each in twin.demand_variance_ratio])
    price = np.max(np.stack([network.per_item(node.price) for node in network.nodes]), 0)
    holding = np.max(np.stack([network.per_item(node.holding_cost) for node in network.nodes]), 0)
    margin = np.maximum(price - cost, 0.01 * np.maximum(cost, 1e-6))
    freight = np.stack([lane.freight_per_kg * network.per_item(network.weight_kg) for lane in network.lanes])
    gap = np.maximum(twin.order_up_to - twin.reorder_point, 1)
    lead = np.stack([np.full(len(cost), lane.lead_time.mean) for lane in network.lanes])
    spread = np.stack([np.full(len(cost), lane.lead_time.variance**0.5) for lane in network.lanes])
    pack = np.stack([network.per_item(lane.pack) for lane in network.lanes])
    share = np.stack([network.per_item(lane.share) * network.carried(lane) for lane in network.lanes])
    per_row = {"lead": lead, "spread": spread, "pack": pack, "freight": freight, "share": share}
    rows = {name: layout.at_rows(network, each) for name, each in per_row.items()}
    nodes = {
        name: layout.at_nodes(each)
        for name, each in (("rate", through), ("ratio", ratio), ("gap", gap), ("point", twin.reorder_point))
    }
    found: list[Place | None] = [None]
    for at, level in enumerate(layout.levels[1:], start=1):
        at_rows = {name: level.to_rows(each[at]) for name, each in nodes.items()}
        rate = jnp.maximum(at_rows["rate"], 0.02)
        wide = jnp.ones_like(rate)
        item = {
            name: jnp.asarray(each, jnp.float32)[:, None]
            for name, each in (("margin", margin), ("holding", holding))
        }
        sells = jnp.asarray(np.array(level.row_node) >= level.demand_from, jnp.float32)[:, None, None]
        known = [
            jnp.log1p(rows["lead"][at]) - 1,
            rows["spread"][at] / jnp.maximum(rows["lead"][at], 1),
            jnp.log(rate) / 2,
            jnp.log(at_rows["ratio"]),
            jnp.log1p(at_rows["gap"] / rate) / 2 - 1,
            jnp.log1p(jnp.maximum(at_rows["point"], 0) / rate) / 2 - 1,
            jnp.log1p(item["margin"] / jnp.maximum(item["holding"], 1e-6)) / 4 - 1,
            jnp.minimum(rows["pack"][at] / at_rows["gap"], 3),
            sells * wide,
            jnp.minimum(rows["freight"][at] / item["margin"], 3),
        ]
        usual_wait = rows["lead"][at] / 2 * jnp.ones_like(rate)
        knows = jnp.stack([jnp.asarray(each * wide, jnp.float32) for each in known])
        found.append(Place(rate, usual_wait, rows["share"][at], knows))
    return tuple(found)


def first_network(hidden: tuple[int, ...], seed: int) -> list[tuple[Array, Array]]:
    """Return layers (weights, bias) that answer 0: the classical points, and items that come along."""
    random = np.random.default_rng(seed)
    found = []
    for before, after in pairwise((len(SEEN) + len(KNOWN), *hidden, len(ANSWERS))):
        weights = random.standard_normal((after, before)) / np.sqrt(before)
        found.append((jnp.asarray(weights, jnp.float32), jnp.zeros(after, jnp.float32)))
    weights, bias = found[-1]
    return [*found[:-1], (0 * weights, bias)]


def inputs(parameters: Any, o: Observation) -> Array:
    """Return what the policy sees that changes, [SEEN, row, item, replication]."""
    place = parameters["places"][o.level]
    assert o.memory is not None, "the policy sees two weeks of demand: Rules.demand_memory"
    assert o.pipeline is not None, "the policy sees when what is under way will come: Rules.see_pipeline"
    days = jnp.arange(o.pipeline.shape[0], dtype=jnp.float32)
    wait = jnp.tensordot(days, o.pipeline, 1) / jnp.maximum(o.row_in_transit, 1e-9)
    seen = [
        jnp.log((o.memory.mean(0) + 0.1) / (place.rate + 0.1)),
        jnp.where(wait > 0, jnp.log((wait + 1) / (place.usual_wait + 1)), 0),
    ]
    shape = o.row_in_transit.shape
    return jnp.stack([jnp.broadcast_to(each, shape) for each in seen])


def adjusted(parameters: Any, o: Observation) -> Array:
    """Order by adjusted (s, c, S). `parameters`: "net" (layers), "places" (`describe`), "classical" (point, level, echelon)."""
    classical, place = parameters["classical"], parameters["places"][o.level]
    seen = inputs(parameters, o)
    move = _answers(parameters["net"], place, seen)[0]
    point, level = _at(classical["point"], o), _at(classical["level"], o)
    position = _position(classical, o)
    alive = level > 0
    new_point, gap = point * jnp.exp(REACH * move), level - point
    can = new_point + ALONG * gap
    due = alive & (position < new_point)
    member = o.numbers.member
    anyway = lane_spread(lane_sum(due.astype(jnp.float32), member), member) > 0
    orders = due | (anyway & alive & (position < can))
    return jnp.where(orders, new_point + gap - position, 0) * o.share


def moved_start(share: float, layout: Layout, parameters: Any, state: PerLevel) -> PerLevel:
    """Return the stock to start with, as it is, of which a share has the gradient of stock that moves with the levels.

    Levels that move by a unit have, in the long run, a unit more in stock at all times. From a stock that is given, gradients
    along paths whose orders keep their days miss the first cycle: that orders come earlier, before shelves are empty.
    """
    classical, found = parameters["classical"], list(state)
    held: list[Any] = [None] * len(layout.levels)
    for at in range(len(layout.levels) - 1, 0, -1):
        level, place = layout.levels[at], parameters["places"][at]
        seen = jnp.zeros((len(SEEN), *place.known.shape[1:]))
        point = level.to_rows(classical["point"][at])
        moves = point * (jnp.exp(REACH * _answers(parameters["net"], place, seen)[0]) - 1) * place.share
        own = jnp.where(classical["level"][at] > 0, level.to_nodes(moves), 0)
        echelon = classical["echelon"][at] > 0
        below = jnp.zeros_like(own) if held[at] is None else held[at]
        stands = jnp.where(echelon, own - below, own)
        for row, (origin, position) in enumerate(level.row_origin):
            if origin:
                known = held[origin]
                known = jnp.zeros_like(classical["point"][origin]) if known is None else known
                held[origin] = known.at[position].add((stands + below)[level.row_node[row]])
        changed = share * (stands - jax.lax.stop_gradient(stands))
        found[at] = state[at]._replace(on_hand=state[at].on_hand + changed)
    return tuple(found)


def _answers(net: Any, place: Place, seen: Array) -> Array:
    """Return the answers between -1 and 1, [ANSWERS, row, item, replication]."""
    weights, bias = net[0]
    moving, fixed = weights[:, : len(SEEN)], weights[:, len(SEEN) :]
    # what never changes is multiplied once for all replications
    value = jnp.einsum("hs,srik->hrik", moving, seen) + jnp.einsum("hc,crik->hrik", fixed, place.known)
    value = value + bias[:, None, None, None]
    for weights, bias in net[1:]:
        value = jnp.einsum("ho,orik->hrik", weights, jnp.tanh(value)) + bias[:, None, None, None]
    return jnp.tanh(value)


def _position(classical: Any, o: Observation) -> Array:
    return jnp.where(_at(classical["echelon"], o) > 0, o.echelon_position, o.position)


def _at(per_level: Any, o: Observation) -> Array:
    return o.structure.to_rows(per_level[o.level])
