"""What it costs to serve customers, down to item x lane: every cost of a run is carried to the lanes that end at customers.

A place's costs of an item (what came in with its freight and orders, and its holding) are passed on to the lanes that leave
it, by units; what stays in stock keeps its share. Costs on the last lane stay on it. Revenue stands at the place that sells
and is shared among its lanes by units. Nothing is lost on the way: the parts add up to the run's costs.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.twin.layout import Layout
from models.twin.network import Network, levels
from models.twin.simulate import Outcome

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Service:
    """Money per item x lane and replication: [lane, item, replication]; only lanes into places with customers."""

    lanes: list[int]
    revenue: Floats
    goods: Floats
    """Purchase price of what was sold."""
    freight: Floats
    holding: Floats

    @property
    def profit(self) -> Floats:
        """Return revenue less goods, freight and holding."""
        return self.revenue - self.goods - self.freight - self.holding


def cost_to_serve(
    network: Network, layout: Layout, outcome: Outcome, price_factor: Floats | float = 1.0
) -> Service:
    """Return revenue and costs of what was sold, per item x lane, from a run that recorded sold, shipped, freight, on_hand.

    A unit's goods and freight are the means of the run at the place it came through: opening stock costs what
    came in meanwhile (or, where nothing came, the price of the lane that usually supplies it).
    """
    sold = layout.from_nodes(outcome.totals["sold"]).astype(np.float64)
    on_hand = layout.from_nodes(outcome.totals["on_hand"]).astype(np.float64)
    shipped = layout.from_rows(network, outcome.totals["shipped"]).astype(np.float64)
    charged = outcome.totals["freight"]  # None at levels whose lanes cost nothing
    is_charged = any(each is not None for each in charged)
    freight = layout.from_rows(network, charged).astype(np.float64) if is_charged else np.zeros_like(shipped)
    holding_cost = np.stack([network.per_item(node.holding_cost) for node in network.nodes])[..., None]
    depth, names = levels(network), network.node_names
    unit_goods, unit_freight, unit_holding = (np.zeros_like(sold) for _ in range(3))
    for place in sorted(range(len(names)), key=lambda at: depth[names[at]]):
        into = [e for e, lane in enumerate(network.lanes) if lane.destination == names[place]]
        if not into:
            continue
        came = shipped[into].sum(0)
        origins = [names.index(network.lanes[e].origin) for e in into]
        price = np.stack([network.per_item(network.lanes[e].unit_cost) for e in into])[..., None]
        share = np.stack([network.per_item(network.lanes[e].share) for e in into])[..., None]
        weight = np.where(came > 0, shipped[into] / np.maximum(came, 1e-9), share)
        own = np.where(came > 0, freight[into].sum(0) / np.maximum(came, 1e-9), 0)
        unit_goods[place] = (weight * (price + unit_goods[origins])).sum(0)
        unit_freight[place] = own + (weight * unit_freight[origins]).sum(0)
        out = sold[place] + shipped[
            [e for e, lane in enumerate(network.lanes) if lane.origin == names[place]]
        ].sum(0)
        held = holding_cost[place] * on_hand[place]
        unit_holding[place] = (weight * unit_holding[origins]).sum(0) + np.where(
            out > 0, held / np.maximum(out, 1), 0
        )
    price = np.stack([network.per_item(node.price) for node in network.nodes])[..., None] * price_factor
    last = [e for e, lane in enumerate(network.lanes) if network.node(lane.destination).has_demand]
    ends = [names.index(network.lanes[e].destination) for e in last]
    came = np.zeros_like(sold)
    for e, end in zip(last, ends, strict=True):
        came[end] += shipped[e]
    parts = np.stack([
        np.where(came[end] > 0, shipped[e] / np.maximum(came[end], 1e-9), network.per_item(network.lanes[e].share)[:, None])
        for e, end in zip(last, ends, strict=True)
    ])  # fmt: skip
    units = parts * sold[ends]
    return Service(
        last,
        units * price[ends],
        units * unit_goods[ends],
        units * unit_freight[ends],
        units * unit_holding[ends],
    )


def worst(network: Network, before: Service, after: Service, count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the items and the item x lanes that lose most profit against the run before, worst first.

    Columns: item_id (, lane), profit_before, profit_after, profit_change, change_standard_error.
    """
    change = after.profit - before.profit
    by_item = _table(network, None, before.profit.sum(0), after.profit.sum(0), change.sum(0), count)
    lanes = [network.lanes[e].name for e in before.lanes]
    flat = (len(lanes) * len(network.items), -1)
    by_lane = _table(
        network, lanes, before.profit.reshape(flat), after.profit.reshape(flat), change.reshape(flat), count
    )
    return by_item, by_lane


def _table(
    network: Network, lanes: list[str] | None, before: Floats, after: Floats, change: Floats, count: int
) -> pl.DataFrame:
    replications = change.shape[-1]
    error = (
        change.std(-1, ddof=1) / np.sqrt(replications) if replications > 1 else np.full(len(change), np.nan)
    )
    order = np.argsort(change.mean(-1), kind="stable")[:count]
    order = order[change.mean(-1)[order] < 0]
    columns = {"item_id": [network.items[at % len(network.items)] for at in order]}
    if lanes is not None:
        columns["lane"] = [lanes[at // len(network.items)] for at in order]
    return pl.DataFrame(
        columns
        | {
            "profit_before": before.mean(-1)[order],
            "profit_after": after.mean(-1)[order],
            "profit_change": change.mean(-1)[order],
            "change_standard_error": error[order],
        },
        schema_overrides={"item_id": pl.String, "lane": pl.String}
        if lanes is not None
        else {"item_id": pl.String},
    )
