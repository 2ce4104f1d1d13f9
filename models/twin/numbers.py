"""The numbers of a network in the order of its layout: costs, packs, minimums, capacities, lead times.

What is zero everywhere is None, and costs the simulation nothing. Changing a number compiles nothing anew.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from models.twin.layout import Layout, Level, PerLevel
from models.twin.network import Lane, Network

Array = jax.Array


class Numbers(NamedTuple):
    """What one level's places and rows cost and require; None switches the feature off, at no cost."""

    holding: Array | None
    shortage: Array | None
    price: Array | None
    waste: Array | None
    backlog_share: Array | None
    pack: Array | None
    minimum: Array | None
    share: Array | None
    unit_cost: Array | None
    pipeline_holding: Array | None
    order_cost: Array | None
    shipment_cost: Array | None
    freight_per_kg: Array | None
    minimum_charge: Array | None
    fuel_share: Array | None
    capacity: Array | None
    member: Array | None
    """[row, lane of the row, item]: which lane of a shared row carries the item; None: each row is one lane."""
    lead: Array | None
    """[row, item, 1] where lead times differ between rows but are fixed."""
    weight_kg: Array
    life: Array | None
    substitution_share: Array | None


def make_numbers(network: Network, layout: Layout) -> tuple[Numbers | None, ...]:
    """Return the costs and rules of each level as arrays; what is zero everywhere is None."""
    nodes = {
        name: _or_none(layout.at_nodes([network.per_item(getattr(node, source)) for node in network.nodes]))
        for name, source in (
            ("holding", "holding_cost"),
            ("shortage", "shortage_cost"),
            ("price", "price"),
            ("waste", "waste_cost"),
            ("backlog_share", "backlog_share"),
        )
    }
    rows = {
        name: _or_none(layout.at_rows(network, _by_lane(network, source), filler), filler)
        for name, source, filler in (
            ("pack", "pack", 1.0),
            ("minimum", "minimum", 0.0),
            ("unit_cost", "unit_cost", 0.0),
            ("pipeline_holding", "pipeline_holding_cost", 0.0),
        )
    }
    shares = layout.at_rows(network, _by_lane(network, "share"))
    rows["share"] = tuple(
        None if share is None or (level.rows_per_node == 1 and bool((share == 1).all())) else share
        for level, share in zip(layout.levels, shares, strict=True)
    )
    lanes = {
        name: _or_none(layout.at_lanes([getattr(lane, name) for lane in network.lanes], filler), filler)
        for name, filler in (
            ("order_cost", 0.0),
            ("shipment_cost", 0.0),
            ("freight_per_kg", 0.0),
            ("minimum_charge", 0.0),
            ("fuel_share", 0.0),
            ("capacity", np.inf),
        )
    }
    leads = layout.at_rows(network, _by_lane(network, "lead_time"), 1)
    life = None
    if layout.ages:
        life = jnp.asarray(
            np.minimum(network.per_item(np.inf if network.shelf_life is None else network.shelf_life), 1e9)[
                :, None
            ],
            jnp.float32,
        )
    share = np.asarray(network.per_item(network.substitution_share), np.float32)[:, None]
    found: list[Numbers | None] = [None]
    for at, level in enumerate(layout.levels[1:], start=1):
        found.append(
            Numbers(
                **{name: values[at] for name, values in (nodes | rows | lanes).items()},
                member=_members(network, level),
                lead=None if level.uniform_lead is not None else leads[at].astype(jnp.int32),
                weight_kg=jnp.asarray(network.per_item(network.weight_kg)[:, None], jnp.float32),
                life=life,
                substitution_share=None if layout.substitute is None else jnp.asarray(share),
            )
        )
    return tuple(found)


def _members(network: Network, level: Level) -> Array | None:
    width = max(len(lanes) for lanes in level.row_lanes)
    if width == 1:
        return None
    member = np.zeros((level.rows, width, len(network.items)), np.float32)
    for row, lanes in enumerate(level.row_lanes):
        for at, lane in enumerate(lanes):
            member[row, at] = network.carried(network.lanes[lane])
    return jnp.asarray(member)


def _by_lane(network: Network, name: str) -> NDArray[np.float64]:
    def value(lane: Lane) -> Any:
        return round(lane.lead_time.mean) if name == "lead_time" else getattr(lane, name)

    return np.stack([network.per_item(value(lane)) for lane in network.lanes])


def _or_none(values: PerLevel, neutral: float = 0.0) -> PerLevel:
    return tuple(None if value is None or bool((value == neutral).all()) else value for value in values)
