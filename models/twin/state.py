"""What a simulation carries from one period to the next, what it is told from outside, and its fixed rules.

All arrays are [place or row, item, replication]: the replication comes last because the processor works along it. Where
units age, [age] comes before the place or row. A field that is None costs nothing: it changes the compiled program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lake.errors import InputError
from models.twin.allocation import Allocation
from models.twin.layout import Layout, Level, PerLevel
from models.twin.network import Network
from models.twin.numbers import Numbers
from models.twin.rounding import Rounding

Array = jax.Array
Measure = Literal[
    "cycles",
    "short_cycles",
    "demand",
    "sold",
    "lost",
    "on_hand",
    "backlog",
    "short_periods",
    "wasted",
    "ordered",
    "shipped",
    "freight",
]


@dataclass(frozen=True)
class Rules:
    """What is fixed about a simulation; equal rules and layouts share one compiled program."""

    sequence: Literal["demand_then_order", "order_then_demand"] = "demand_then_order"
    """After receiving: customers first and orders in the evening, or orders first and customers after."""
    unfilled_orders: Literal["wait", "cancel"] = "wait"
    """What a place asks for and does not get waits at its origin, or is asked for again."""
    allocation: Allocation = "proportional"
    whole_units: bool = True
    rounding: Rounding = "hard"
    order_to_nearest: bool = False
    """Orders to the nearest pack instead of up to whole packs."""
    record: tuple[Measure, ...] = ("demand", "sold", "lost")
    """Totals kept per item, place (or lane) and replication."""
    daily: Literal["none", "nodes", "cells"] = "none"
    """What is kept of every period: sums per place and replication, or every cell."""
    see_pipeline: bool = False
    """Policies see when what is under way arrives."""
    demand_memory: int = 0
    """Policies see so many periods of demand."""

    def __post_init__(self) -> None:
        """Refuse what is no rule: a misspelt sequence would let nobody buy anything."""
        if self.sequence not in ("demand_then_order", "order_then_demand"):
            raise InputError(
                f"There is no sequence {self.sequence!r}: demand_then_order or order_then_demand."
            )
        if self.allocation not in ("proportional", "priority", "fair_share"):
            raise InputError(
                f"There is no allocation {self.allocation!r}: proportional, priority or fair_share."
            )


class Paths(NamedTuple):
    """What happens from outside, sampled before: per level, [period, place or row, item or 1, replication or 1]."""

    demand: PerLevel
    """[period, place with demand, item, replication]."""
    lead: PerLevel | None = None
    """Periods, drawn for what leaves in the period; None: fixed ones."""
    can_order: PerLevel | None = None
    """1 where an order may be placed, else 0."""
    node_open: PerLevel | None = None
    """Share of the period in which a place receives and sells."""
    row_open: PerLevel | None = None
    """Share of what is asked that can leave in the period."""
    inflow: PerLevel | None = None
    """Units that come (or go, negative) by themselves: returns, counted differences. Never below an empty place."""
    share: PerLevel | None = None
    """Shares of sourcing that change over time."""
    freight_factor: PerLevel | None = None
    fuel_factor: PerLevel | None = None
    """[period, row, lane of the row, 1]: price of freight and of fuel against today's."""
    price_factor: PerLevel | None = None
    features: PerLevel | None = None
    """Whatever a policy wants to know per place: [period, feature, place, item, replication]."""
    counts: Any = None
    """[period]: 1 where costs and totals count, 0 while the simulation warms up; None: all count."""


class LevelState(NamedTuple):
    """Stock of one level."""

    on_hand: Array
    pipeline: Array
    """[k, row, item, replication]: arrives k periods after the next receipt (k = 0: with it)."""
    in_transit: Array
    """Sum of the pipeline."""
    backlog: Array | None
    """Customers who wait, [place with demand, item, replication]."""
    owed: Array | None
    """Asked for by the row and not yet sent."""
    memory: Array | None
    """[lag, place, item, replication]: demand of the newest periods, newest first."""
    short: Array | None = None
    """1 where customers went short since the last receipt, [place with demand, item, replication]."""


class Observation(NamedTuple):
    """What a policy knows of the rows (lanes) into one level when it decides; arrays [row, item, replication]."""

    level: int
    """Which level: parameters per level are picked by it."""
    structure: Level
    """Its places and rows; `structure.to_rows` repeats an array of places for the rows."""
    period: Array
    on_hand: Array
    in_transit: Array
    """Under way to the place, all its rows together."""
    row_in_transit: Array
    """Under way by this row, with what its origin owes it."""
    position: Array
    """Installation stock position: on hand + under way + owed to it - backlog - what it owes."""
    echelon_position: Array
    """The same of the place and all that it feeds."""
    backlog: Array
    incoming: Array
    """What the places fed from here ask for, this period's orders included; at places with customers their demand."""
    demand: Array
    """Customers' demand seen last (0 at places without customers)."""
    share: Array | float
    """Share of the place's need that this row gets."""
    pipeline: Array | None
    memory: Array | None
    """[lag, row, item, replication]: `demand` or, at places without customers, `incoming` of the newest periods."""
    features: Array | None
    numbers: Numbers
    """Costs, packs, minimum of the level."""


Policy = Callable[[Any, Observation], Array]
"""A pure function (parameters, observation) -> units to order by each row, [row, item, replication]."""


def initial_state(
    network: Network, layout: Layout, numbers: tuple[Numbers | None, ...], rules: Rules
) -> PerLevel:
    """Return the stock with which the network starts, per level, with a replication axis of 1."""
    stock = layout.at_nodes([network.per_item(node.on_hand) for node in network.nodes])
    found: list[LevelState | None] = [None]
    for at, level in enumerate(layout.levels[1:], start=1):
        known = numbers[at]
        assert known is not None
        pipeline = jnp.zeros((level.horizon, level.rows, layout.items, 1), jnp.float32)
        for row, lanes in enumerate(level.row_lanes):
            for lane in (network.lanes[i] for i in lanes):
                if lane.in_transit is not None:
                    mask = network.carried(lane)
                    units = jnp.asarray(lane.in_transit * mask, jnp.float32)[:, :, None]
                    pipeline = pipeline.at[: len(units), row].add(units)
        in_transit = pipeline.sum(0)
        on_hand = stock[at]
        if layout.ages:
            fresh = jnp.zeros((layout.ages, *on_hand.shape), jnp.float32).at[0].set(on_hand)
            on_hand = fresh
            aged = jnp.zeros((level.horizon, layout.ages, level.rows, layout.items, 1), jnp.float32)
            pipeline = aged.at[:, 0].set(pipeline)
        sellers = level.size - level.demand_from
        waits = sellers and known.backlog_share is not None
        found.append(
            LevelState(
                on_hand=on_hand,
                pipeline=pipeline,
                in_transit=in_transit,
                backlog=jnp.zeros((sellers, layout.items, 1), jnp.float32) if waits else None,
                owed=jnp.zeros((level.rows, layout.items, 1), jnp.float32)
                if rules.unfilled_orders == "wait"
                else None,
                short=jnp.zeros((sellers, layout.items, 1), jnp.float32)
                if sellers and "cycles" in rules.record
                else None,
                memory=jnp.zeros((rules.demand_memory, level.size, layout.items, 1), jnp.float32)
                if rules.demand_memory
                else None,
            )
        )
    return tuple(found)


def widened(state: PerLevel, replications: int) -> PerLevel:
    """Return the state with its replication axis at full width."""
    wide: PerLevel = jax.tree.map(
        lambda each: jnp.broadcast_to(each, (*each.shape[:-1], replications)), state
    )
    return wide
