"""Does the twin decide as the company did? The past again, but the twin orders by its own levels.

`calibration` tells the twin every order, so it shows that both keep the same books. Here the twin is told opening stock, what was
under way, customers, returns and scrap, and nothing else: it orders by its own (s, S), with lead times drawn from its own
distributions. Levels are those of today, so on each past day they are moved as companies move them: by what was asked for the
item in the weeks before over what was asked in the last weeks, to the power .75 (what covers a mean follows it whole, what covers
its spread by the root). Items that the company no longer keeps are left out: today's twin has no levels for them. What differs per place is what answers to what-if questions inherit: more or less stock than the planners
kept, another rhythm of orders. Nothing is gated: the company's levels changed on the way in its own manner.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.twin import demand as sampling
from models.twin.calibration import OUTSIDE, Past
from models.twin.events import Outside
from models.twin.habits import DEMAND_DAYS, UNSEEN_UNITS
from models.twin.layout import Layout
from models.twin.narrowing import narrowed
from models.twin.network import Lane, Network, Node
from models.twin.policies import moving_reorder_point
from models.twin.state import Policy, Rules
from models.twin.twin import Twin, own_levels

Floats = NDArray[np.float64]
RULES = Rules(unfilled_orders="cancel", record=(), daily="cells")
REPLICATIONS = 4
FOLLOWS = 0.75


@dataclass(frozen=True)
class NodeRun:
    """One place: the twin's (mean over replications of its lead times) beside the past's."""

    node: str
    stock: float
    """Units on hand at the end of a day, mean."""
    actual_stock: float
    fill_rate: float | None
    """Of customers' demand; None at places without."""
    actual_fill_rate: float | None
    received: float
    """Units that came in, a day."""
    actual_received: float
    deliveries: float
    """Items that something came of, a day."""
    actual_deliveries: float

    @property
    def differs(self) -> str:
        """Return what differs most, in words."""
        told = []
        for name, ours, past in (
            ("stock", self.stock, self.actual_stock),
            ("units received", self.received, self.actual_received),
            ("item deliveries", self.deliveries, self.actual_deliveries),
        ):
            if past > 0 and abs(ours / past - 1) > 0.1:
                told.append(f"{name} {ours / past - 1:+.0%}")
        if self.fill_rate is not None and self.actual_fill_rate is not None:
            points = 100 * (self.fill_rate - self.actual_fill_rate)
            if abs(points) > 1:
                told.append(f"fill rate {points:+.1f} points")
        return ", ".join(told) or "nothing by more than a tenth or a point"


@dataclass(frozen=True)
class FreeRun:
    """All places."""

    nodes: tuple[NodeRun, ...]
    days: int
    items: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "nodes": [asdict(node) | {"differs": node.differs} for node in self.nodes]}


def run_free(
    twin: Twin, frames: Mapping[str, pl.DataFrame], as_of: date, days: int = 365, seed: int = 7
) -> FreeRun:
    """Run the twin over the last `days`. Raises `InputError` where the lake has no movements to compare with."""
    past = Past(frames, as_of, days)
    then = _then(twin, past)
    network = then.network
    items = [past.item_at[item] for item in network.items]
    at = {name: number for number, name in enumerate(network.node_names)}
    shape = (past.days, len(network.nodes), len(items), REPLICATIONS)
    demand, inflow = np.zeros(shape, np.float32), np.zeros((*shape[:3], 1), np.float32)
    for name, node in past.node_at.items():
        if name in at:
            demand[:, at[name]] = (
                np.round(past.demand[:, node][:, items])[..., None] * network.nodes[at[name]].has_demand
            )
            inflow[:, at[name], :, 0] = np.round(past.inflow[:, node][:, items])
    lead = sampling.lead_times(network, past.days, REPLICATIONS, np.random.default_rng([seed, 2]))
    weekday = (past.start.weekday() + 1 + np.arange(past.days)) % 7
    world = Outside(
        demand, lead=None if lead is None else lead[:, :, None], inflow=inflow,
        can_order=then.weekdays[weekday][:, :, None, None].astype(np.float32),
    )  # fmt: skip
    scale = _moves(demand[..., 0].sum(1, dtype=float))

    def player(twin: Twin, layout: Layout) -> tuple[Policy, Any]:
        _, levels = own_levels(twin, layout)
        return moving_reorder_point, levels | {"scale": jnp.asarray(scale[..., None], jnp.float32)}

    layout, outcome = then.simulate(world, RULES, player)

    def daily(name: str) -> Floats:
        return np.asarray(layout.from_nodes(outcome.daily[name], 1), np.float64)

    stock, sold, wanted = daily("on_hand"), daily("sold"), daily("demand")
    arrived = layout.from_rows(network, outcome.daily["arrived"], 1)
    found = []
    for name in past.places:
        if name not in at:
            continue
        node, then_at = at[name], past.node_at[name]
        into = [number for number, lane in enumerate(network.lanes) if lane.destination == name]
        came = arrived[:, into].sum(1)
        really = past.arrivals(name)[:, items]
        asked, real = wanted[:, node].sum(), past.demand[:, then_at][:, items].sum()
        sells = network.nodes[node].has_demand and asked > 0
        found.append(
            NodeRun(
                name,
                float(stock[:, node].sum(1).mean()), float(past.stock[:, then_at][:, items].sum(1).mean()),
                float(sold[:, node].sum() / asked) if sells else None,
                float(past.sold[:, then_at][:, items].sum() / real) if sells and real else None,
                float(came.sum() / (past.days * REPLICATIONS)), float(really.sum() / past.days),
                float((came > 0).sum() / (past.days * REPLICATIONS)), float((really > 0).sum() / past.days),
            )
        )  # fmt: skip
    return FreeRun(tuple(found), past.days, len(items))


def _then(twin: Twin, past: Past) -> Twin:
    """Return the twin as it stood at the start of the past, with the items that both know and customers can still have."""
    sells = [number for number, node in enumerate(twin.network.nodes) if node.has_demand]
    kept = [
        number
        for number, item in enumerate(twin.network.items)
        if item in past.item_at and twin.order_up_to[sells, number].any()
    ]
    few = narrowed(twin, kept)
    network = few.network
    items = [past.item_at[item] for item in network.items]
    coming = {
        (lane.origin, lane.destination): lane.in_transit
        for lane in past.network.lanes
        if lane.origin != OUTSIDE
    }
    nodes, lanes = [], []
    for node in network.nodes:
        opening = (
            past.opening[past.node_at[node.name]][items]
            if node.name in past.node_at
            else np.zeros(len(items))
        )
        nodes.append(_at_start(node, np.round(np.maximum(opening, 0))))
    for lane in network.lanes:
        if network.node(lane.origin).kind == "supplier":
            whole = past.under_way(lane.destination)
            chosen = network.per_item(lane.share) * network.carried(lane)
            units = None if whole is None else np.round(whole[:, items] * chosen)
        else:
            known = coming.get((lane.origin, lane.destination))
            units = None if known is None else np.round(known[:, items])
        lanes.append(_on_the_way(lane, units))
    changed: Network = replace(network, nodes=nodes, lanes=lanes)
    return replace(few, network=changed, as_of=past.start)


def _moves(asked: Floats) -> Floats:
    """Return by what levels move, [day, item], from units asked everywhere: 1 where the weeks before were as the last ones."""
    weeks = min(DEMAND_DAYS, len(asked))
    total = np.concatenate([np.zeros((1, asked.shape[1])), asked.cumsum(0)])
    # on the first days there is no past: their own weeks stand in
    end = np.maximum(np.arange(len(asked)), weeks)
    before, last = total[end] - total[end - weeks], total[-1] - total[-1 - weeks]
    found: Floats = ((before + UNSEEN_UNITS) / (last + UNSEEN_UNITS)) ** FOLLOWS
    return found


def _at_start(node: Node, on_hand: Floats) -> Node:
    return replace(node, on_hand=0.0 if node.kind == "supplier" else on_hand)


def _on_the_way(lane: Lane, units: Floats | None) -> Lane:
    return replace(lane, in_transit=units)
