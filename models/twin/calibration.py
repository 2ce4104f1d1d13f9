"""Does the twin behave as the company did? The past year again, with the orders really placed.

What the twin is told: opening stock, customers' demand (sold, and on days that sold out what the lake estimates was
wanted), every purchase order and transfer with its real lead time, returns, counted differences and scrap. What it has to
find by itself: who could be served, what could leave, and the stock of every item at every place at the end of every day.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import InputError
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.network import Lane, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import as_planned
from models.twin.simulate import run
from models.twin.state import Rules, initial_state

Floats = NDArray[np.float64]
FRAMES = {
    "core.dim_location": "location_id, replenished_from, purchasing_location_id",
    "core.fct_inventory": "item_id, location_id, snapshot_date, on_hand_units, in_transit_units",
    "core.fct_inventory_movement": "movement_type, moved_on, location_id, item_id, moved_units, reference_id",
    "core.fct_shipment": "shipment_id, destination, delivered_at",
    "core.fct_purchase_order_line": "purchase_order_id, purchase_order_line, item_id, location_id, ordered_on",
    "core.fct_goods_receipt": "purchase_order_id, purchase_order_line, received_on, received_units, stocked_units",
    "marts.item_location_day": "item_id, location_id, day, demand_units, unconstrained_demand_units",
}
"""What is read of the release."""

STOCK_WITHIN = 0.05
FILL_WITHIN = 0.01
NODES_WITHIN = 0.9
RULES = Rules(unfilled_orders="cancel", whole_units=False, record=(), daily="cells")
OUTSIDE = "outside"


@dataclass(frozen=True)
class NodeFit:
    """How well one place is reproduced."""

    node: str
    stock_error: float
    """Sum of absolute differences of daily stock over the sum of stock."""
    fill_rate: float | None
    """Of the twin: of customers' demand, or at places without, of what other places asked for."""
    actual_fill_rate: float | None
    fits: bool


@dataclass(frozen=True)
class Calibration:
    """The fit of all places, and whether it is good enough to ask the twin anything."""

    nodes: tuple[NodeFit, ...]
    days: int
    share_within: float
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "nodes": [asdict(node) for node in self.nodes]}


def calibrate(frames: Mapping[str, pl.DataFrame], as_of: date, days: int = 365) -> Calibration:
    """Replay the last `days` up to `as_of`. Raises `InputError` where the lake has no movements to replay."""
    past = Past(frames, as_of, days)
    stock, sold, shipped = past.replay()
    found = []
    for at, name in enumerate(past.places, start=1):
        known = past.listed[:, at]
        actual = past.stock[:, at]
        off = float(np.abs(stock[:, at] - actual)[known].sum() / max(actual[known].sum(), 1e-9))
        if past.has_demand[at]:
            asked = float(past.demand[:, at].sum())
            fill, real = float(sold[:, at].sum()) / asked, float(past.sold[:, at].sum()) / asked
        else:
            out = [e for e, lane in enumerate(past.network.lanes) if lane.origin == name]
            asked = float(past.orders[:, out].sum())
            fill, real = (float(shipped[:, out].sum()) / asked, 1.0) if asked else (1.0, 1.0)
        fits = off <= STOCK_WITHIN and abs(fill - real) <= FILL_WITHIN
        found.append(NodeFit(name, off, fill, real, fits))
    share = sum(node.fits for node in found) / len(found)
    return Calibration(tuple(found), past.days, share, share >= NODES_WITHIN - 1e-9)


class Past:
    """The past as the arrays of a run: [day, node or lane, item]; node 0 is the outside."""

    def __init__(self, frames: Mapping[str, pl.DataFrame], as_of: date, days: int) -> None:
        """Read the last `days`. Raises `InputError` where the lake has no movements, or too few days of stock."""
        moves = frames["core.fct_inventory_movement"]
        if not moves.height or not frames["core.fct_inventory"].height:
            raise InputError(
                "The lake has no stock movements or no daily stock, so the past cannot be replayed: map the entities "
                "inventory_movement and inventory_snapshot in a contract."
            )
        first = frames["core.fct_inventory"]["snapshot_date"].min()
        assert isinstance(first, date)
        self.start = max(as_of - timedelta(days=days), first)
        self.days = (as_of - self.start).days
        if self.days < 28:
            raise InputError(
                f"The lake knows {self.days} days of stock; 28 at least are needed to compare the twin with."
            )
        locations = frames["core.dim_location"].sort("location_id")
        self.places = locations["location_id"].to_list()
        self.items = frames["core.fct_inventory"]["item_id"].unique().sort().to_list()
        self.node_at = {name: at for at, name in enumerate(self.places, start=1)}
        self.item_at = {item: at for at, item in enumerate(self.items)}
        self.listed, self.stock = self._stock(frames["core.fct_inventory"])
        self._customers(moves, frames["marts.item_location_day"])
        others = moves.filter(pl.col("movement_type").is_in(["return", "adjustment", "scrap"]))
        self.inflow = self.grid(others, "location_id", "moved_on", "moved_units")
        receipts = self._receipts(frames["core.fct_purchase_order_line"], frames["core.fct_goods_receipt"])
        transfers = self._transfers(moves, frames["core.fct_shipment"])
        self._network(locations, receipts, transfers)

    def grid(self, frame: pl.DataFrame, node: str, day: str, value: str) -> Floats:
        """Sum a column keyed by node, item and day to [day, node, item]."""
        found = np.zeros((self.days, len(self.places) + 1, len(self.items)))
        rows = self._known(frame, node, day)
        np.add.at(found, self._index(rows, node, day), rows[value].cast(pl.Float64).fill_null(0).to_numpy())
        return found

    def _known(self, frame: pl.DataFrame, node: str, day: str) -> pl.DataFrame:
        end = self.start + timedelta(days=self.days)
        return frame.filter(
            pl.col(day) > self.start, pl.col(day) <= end, pl.col(node).is_in(self.places), pl.col("item_id").is_in(self.items)
        )  # fmt: skip

    def _index(self, rows: pl.DataFrame, node: str, day: str) -> tuple[NDArray[np.int64], ...]:
        return (
            (rows[day] - self.start).dt.total_days().to_numpy() - 1,
            rows[node].replace_strict(self.node_at, return_dtype=pl.Int64).to_numpy(),
            rows["item_id"].replace_strict(self.item_at, return_dtype=pl.Int64).to_numpy(),
        )

    def _stock(self, inventory: pl.DataFrame) -> tuple[NDArray[np.bool_], Floats]:
        opening = inventory.filter(pl.col("snapshot_date") == self.start)
        shifted = opening.with_columns(snapshot_date=pl.lit(self.start + timedelta(days=1)))
        self.opening = self.grid(shifted, "location_id", "snapshot_date", "on_hand_units")[0]
        seen = self.grid(inventory.with_columns(one=pl.lit(1)), "location_id", "snapshot_date", "one") > 0
        return seen, self.grid(inventory, "location_id", "snapshot_date", "on_hand_units")

    def _customers(self, moves: pl.DataFrame, days: pl.DataFrame) -> None:
        """Demand is what was sold, and what the lake estimates was wanted beyond it on days that sold out."""
        self.sold = -self.grid(
            moves.filter(pl.col("movement_type") == "sale"), "location_id", "moved_on", "moved_units"
        )
        missed = (pl.col("unconstrained_demand_units").cast(pl.Float64) - pl.col("demand_units")).clip(0)
        wanted = self.grid(days.with_columns(missed=missed), "location_id", "day", "missed")
        self.demand = np.maximum(self.sold, 0) + wanted
        self.has_demand = np.asarray(self.demand.any((0, 2)))

    def _receipts(self, lines: pl.DataFrame, receipts: pl.DataFrame) -> pl.DataFrame:
        """Return what each order brought: location, item, ordered_on, arrives_on, units, and its number among its day's."""
        keys = ["purchase_order_id", "purchase_order_line"]
        came = receipts.with_columns(units=pl.coalesce("stocked_units", "received_units")).join(
            lines, on=keys
        )
        grouped = came.group_by(
            "location_id", "item_id", "ordered_on", pl.col("received_on").alias("arrives_on")
        ).agg(pl.col("units").sum())
        rank = pl.col("arrives_on").rank("ordinal").over("location_id", "item_id", "ordered_on") - 1
        return grouped.with_columns(number=rank.cast(pl.Int64))

    def _transfers(self, moves: pl.DataFrame, shipments: pl.DataFrame) -> pl.DataFrame:
        """Return what was sent between places: origin, location (its end), item, ordered_on, arrives_on, units."""
        inbound = (
            moves.filter(pl.col("movement_type") == "transfer_in")
            .group_by("reference_id")
            .agg(arrived_on=pl.col("moved_on").min(), came_to=pl.col("location_id").first())
        )
        out = moves.filter(pl.col("movement_type") == "transfer_out")
        out = out.join(inbound, on="reference_id", how="left").join(
            shipments.rename({"shipment_id": "reference_id"}), on="reference_id", how="left"
        )
        arrives = pl.coalesce(
            "arrived_on", pl.col("delivered_at").dt.date(), pl.col("moved_on") + pl.duration(days=1)
        )
        return out.with_columns(
            end=pl.coalesce("came_to", "destination"), arrives_on=arrives, units=-pl.col("moved_units")
        ).filter(pl.col("end").is_not_null()).group_by(
            pl.col("location_id").alias("origin"), pl.col("end").alias("location_id"), "item_id",
            pl.col("moved_on").alias("ordered_on"),
        ).agg(pl.col("arrives_on").max(), pl.col("units").sum())  # fmt: skip

    def _network(self, locations: pl.DataFrame, receipts: pl.DataFrame, transfers: pl.DataFrame) -> None:
        feeds = dict(locations.select("location_id", "replenished_from").iter_rows())
        numbers = int(receipts["number"].max() or 0) + 1 if receipts.height else 1  # type: ignore[arg-type]
        nodes = [Node(OUTSIDE, "supplier")]
        nodes += [
            Node(name, "store" if feeds[name] else "hub", has_demand=bool(self.has_demand[at]), on_hand=self.opening[at])
            for name, at in self.node_at.items()
        ]  # fmt: skip
        bought = set(receipts["location_id"].to_list()) | {name for name in self.places if not feeds[name]}
        ways = [(OUTSIDE, name, f"receipt {n + 1}", receipts.filter(pl.col("location_id") == name, pl.col("number") == n))
                for name in self.places if name in bought for n in range(numbers)]  # fmt: skip
        sent = transfers.partition_by("origin", "location_id", as_dict=True)
        pairs = sorted(sent.keys() | {(feeds[name], name) for name in self.places if feeds[name]})
        ways += [(origin, name, "transfer", sent.get((origin, name), transfers.clear()))
                 for origin, name in pairs if origin in self.node_at and name in self.node_at]  # fmt: skip
        shape = (self.days, len(ways), len(self.items))
        self.orders, self.lead = np.zeros(shape), np.ones(shape, np.int32)
        lanes = []
        for at, (origin, name, mode, rows) in enumerate(ways):
            lanes.append(Lane(origin, name, mode=mode, in_transit=self._place(at, rows)))
        self.network = Network(self.items, nodes, lanes).checked()

    def _place(self, at: int, rows: pl.DataFrame) -> Floats | None:
        """Write a lane's orders and lead times; return what was under way at the start, by the day of its arrival."""
        end = self.start + timedelta(days=self.days)
        rows = rows.filter(
            pl.col("item_id").is_in(self.items),
            pl.col("ordered_on") <= end,
            pl.col("arrives_on") > self.start,
        )
        item = rows["item_id"].replace_strict(self.item_at, return_dtype=pl.Int64).to_numpy()
        day = (rows["ordered_on"] - self.start).dt.total_days().to_numpy() - 1
        due = (rows["arrives_on"] - self.start).dt.total_days().to_numpy() - 1
        units = rows["units"].cast(pl.Float64).to_numpy()
        inside = day >= 0
        np.add.at(self.orders[:, at], (day[inside], item[inside]), units[inside])
        self.lead[day[inside], at, item[inside]] = np.clip(due - day, 0, 120)[inside]
        if inside.all():
            return None
        early = ~inside
        found = np.zeros((int(due[early].max()) + 1, len(self.items)))
        np.add.at(found, (due[early], item[early]), units[early])
        return found

    def arrivals(self, name: str) -> Floats:
        """Return the units that really came to a place, [day, item]."""
        found = np.zeros((self.days, len(self.items)))
        for at, lane in enumerate(self.network.lanes):
            if lane.destination != name:
                continue
            day, item = np.nonzero(self.orders[:, at])
            due = day + self.lead[day, at, item]
            inside = due < self.days
            np.add.at(found, (due[inside], item[inside]), self.orders[day[inside], at, item[inside]])
            if lane.in_transit is not None:
                found[: len(lane.in_transit)] += lane.in_transit[: self.days]
        return found

    def under_way(self, name: str) -> Floats | None:
        """Return what suppliers had under way to a place at the start, [day of arrival, item]."""
        coming = [
            lane.in_transit
            for lane in self.network.lanes
            if (lane.origin, lane.destination) == (OUTSIDE, name) and lane.in_transit is not None
        ]
        if not coming:
            return None
        found = np.zeros((max(map(len, coming)), len(self.items)))
        for units in coming:
            found[: len(units)] += units
        return found

    def replay(self) -> tuple[Floats, Floats, Floats]:
        """Return the twin's stock and sales [day, node, item] and what it sent [day, lane, item]."""
        layout = make_layout(self.network, longest_leads=self.lead.max((0, 2)).tolist())
        numbers = make_numbers(self.network, layout)
        # orders are written per lane; what no lane of a row asks for stays 0
        parameters = {"orders": layout.at_rows(self.network, self.orders.astype(np.float32))}
        world = Outside(
            self.demand.astype(np.float32)[..., None],
            lead=self.lead[..., None],
            inflow=self.inflow.astype(np.float32)[..., None],
        )
        state = initial_state(self.network, layout, numbers, RULES)
        outcome = run(
            layout, RULES, as_planned, parameters, numbers, state, world.paths(self.network, layout)
        )
        stock, sold = (layout.from_nodes(outcome.daily[name], 1)[..., 0] for name in ("on_hand", "sold"))
        return stock, sold, layout.from_rows(self.network, outcome.daily["shipped"], 1)[..., 0]
