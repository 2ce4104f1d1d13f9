"""A twin from a company's lake: what frames of one release say about places, lanes, terms, lead times, costs and demand.

Belongs here: frames in, `Twin` out. Reading the lake is orchestration's. Where the lake says nothing, what was assumed stands
in the twin's notes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.company import Replenishment
from lake.errors import InputError
from models.twin.habits import Past, case_units, observed_levels, order_weekdays, protection_levels
from models.twin.lead_times import empirical, from_quantiles
from models.twin.network import Kind, Lane, LeadTime, Network, Node
from models.twin.twin import Twin

FRAMES = {
    "core.dim_item": "item_id, category, unit_weight_kg, is_discontinued",
    "core.dim_location": "location_id, region, replenished_from, purchasing_location_id",
    "core.dim_supplier": "supplier_id, country",
    "core.dim_supplier_item": "supplier_id, item_id, lead_time_days, minimum_order_units, pack_size_units, unit_price, is_preferred",
    "core.fct_freight_rate": "origin, destination, mode, valid_from, rate_per_kg, rate_per_unit, minimum_charge, fuel_surcharge_share",
    "core.fct_inventory": "item_id, location_id, snapshot_date, on_hand_units, in_transit_units",
    "core.fct_purchase_order_line": "supplier_id, item_id, location_id, ordered_on, expected_on, ordered_units, open_units, first_received_on",
    "core.fct_inventory_movement": "movement_type, moved_on, location_id, item_id, moved_units, reference_id",
    "core.fct_shipment": "shipment_id, origin, destination, departed_at, delivered_at",
    "marts.lead_time_distribution": "level, measure, supplier_id, origin, destination, mode, n, p10_days, p50_days, p90_days, p95_days",
    "marts.item_location_day": "item_id, location_id, day, unit_price, discount_share, unconstrained_demand_units",
    "marts.supply_option": "item_id, location_id, supplier_id, freight_mode",
}
"""What is read of the release: table -> columns."""

RECENT_DAYS = 182
DAYS_PER_YEAR = 365


@dataclass(frozen=True)
class Sources:
    """Frames of one release; `plan` and `forecast` are what was decided and expected for it."""

    frames: Mapping[str, pl.DataFrame]
    plan: pl.DataFrame
    forecast: pl.DataFrame
    release_id: str
    as_of: date
    settings: Replenishment
    currency: str


def build(sources: Sources) -> Twin:
    """Return the twin of a release. Raises `InputError` where the release has no stock, demand or supply to build from."""
    return _Builder(sources).build()


class _Builder:
    """Keeps the indices that every part shares."""

    def __init__(self, sources: Sources) -> None:
        self.s, self.f = sources, sources.frames
        self.notes: list[str] = []
        self.since = sources.as_of - timedelta(days=RECENT_DAYS)
        for name in ("core.dim_location", "core.dim_supplier_item", "core.fct_inventory"):
            if not self.f[name].height:
                raise InputError(f"Release {sources.release_id} has no rows in {name}: a twin needs them.")
        if not sources.forecast.height:
            raise InputError(f"Release {sources.release_id} has no demand forecast: run the forecasts first.")
        known = self.f["core.dim_supplier_item"]["item_id"]
        forecast = sources.forecast["item_id"].unique()
        self.items = sorted(
            set(forecast.to_list()) | (set(known.to_list()) & set(sources.plan["item_id"].to_list()))
        )
        self.item_at = {item: at for at, item in enumerate(self.items)}
        self.locations = self.f["core.dim_location"].sort("location_id")
        suppliers = set(known_suppliers := self.f["core.dim_supplier_item"]["supplier_id"].unique().to_list())
        self.suppliers = sorted(
            suppliers & set(self.f["core.dim_supplier"]["supplier_id"].to_list()) or known_suppliers
        )
        buyers = self.locations["purchasing_location_id"].unique().sort().to_list()
        fed = [row["location_id"] for row in self.locations.iter_rows(named=True) if row["replenished_from"]]
        self.buyers, self.fed = buyers, fed
        self.names = [*self.suppliers, *self.locations["location_id"].to_list()]
        self.node_at = {name: at for at, name in enumerate(self.names)}
        self.cost = self._unit_costs()

    def build(self) -> Twin:
        mean, ratio = self._demand()
        network = self._network(mean)
        point, level, echelon = self._policy(network, mean, ratio)
        return Twin(
            network=network.checked(),
            release_id=self.s.release_id,
            as_of=self.s.as_of,
            currency=self.s.currency,
            reorder_point=point,
            order_up_to=level,
            echelon=echelon,
            weekdays=self._weekdays(network),
            demand_mean=mean,
            demand_variance_ratio=ratio,
            notes=tuple(self.notes),
        )

    def grid(self, frame: pl.DataFrame, node: str, value: str) -> NDArray[np.float64]:
        """Return a column of a frame keyed by node and item as [node, item]; 0 where there is no row."""
        found = np.zeros((len(self.names), len(self.items)))
        rows = frame.filter(pl.col("item_id").is_in(self.items), pl.col(node).is_in(self.names))
        at = rows[node].replace_strict(self.node_at, return_dtype=pl.Int64).to_numpy()
        item = rows["item_id"].replace_strict(self.item_at, return_dtype=pl.Int64).to_numpy()
        np.add.at(found, (at, item), rows[value].cast(pl.Float64).fill_null(0).to_numpy())
        return found

    def _demand(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        days = self.s.forecast.filter(pl.col("forecast_date") > self.s.as_of).partition_by(
            "forecast_date", as_dict=True
        )
        mean = np.stack([self.grid(days[key], "location_id", "mean") for key in sorted(days)])
        recent = self.f["marts.item_location_day"].filter(pl.col("day") > self.since)
        units = pl.col("unconstrained_demand_units").cast(pl.Float64)
        moments = recent.group_by("item_id", "location_id").agg(
            units.mean().alias("m"), units.var().alias("v")
        )
        by_item = moments.group_by("item_id").agg(
            (pl.col("v").sum() / pl.col("m").sum().clip(1e-9)).alias("ratio")
        )
        found = np.ones(len(self.items))
        for item, ratio in by_item.iter_rows():
            if item in self.item_at and ratio is not None and np.isfinite(ratio):
                found[self.item_at[item]] = max(1.0, ratio)
        return np.maximum(mean, 0), np.broadcast_to(found, (len(self.names), len(self.items))).copy()

    def _network(self, mean: NDArray[np.float64]) -> Network:
        items = self.f["core.dim_item"].filter(pl.col("item_id").is_in(self.items)).unique("item_id")
        about = {row["item_id"]: row for row in items.iter_rows(named=True)}
        weight = np.array([float(about.get(i, {}).get("unit_weight_kg") or 0) for i in self.items])
        if (weight == 0).any():
            self.notes.append(
                f"{int((weight == 0).sum())} items without a weight: their freight is counted as 0"
            )
        return Network(
            items=self.items,
            nodes=self._nodes(mean),
            lanes=[*self._supplier_lanes(), *self._inner_lanes()],
            categories=[str(about.get(i, {}).get("category") or "") for i in self.items],
            weight_kg=weight,
        )

    def _nodes(self, mean: NDArray[np.float64]) -> list[Node]:
        countries = dict(self.f["core.dim_supplier"].select("supplier_id", "country").iter_rows())
        holding = self.cost * self.s.settings.holding_cost_rate_per_year / DAYS_PER_YEAR
        on_hand = self.grid(self._newest_stock(), "location_id", "on_hand_units")
        price = self._prices()
        found = [Node(name, "supplier", region=countries.get(name) or "") for name in self.suppliers]
        for row in self.locations.iter_rows(named=True):
            name = row["location_id"]
            at = self.node_at[name]
            kind: Kind = "store" if name in self.fed else "hub"
            found.append(
                Node(
                    name, kind, region=row["region"] or "", has_demand=bool(mean[:, at].any()), holding_cost=holding,
                    price=price[at], waste_cost=self.cost, on_hand=np.maximum(on_hand[at], 0),
                )
            )  # fmt: skip
        return found

    def _newest_stock(self) -> pl.DataFrame:
        stock = self.f["core.fct_inventory"].filter(pl.col("snapshot_date") <= self.s.as_of)
        newest = stock.group_by("location_id").agg(pl.col("snapshot_date").max())
        return stock.join(newest, on=["location_id", "snapshot_date"])

    def _prices(self) -> NDArray[np.float64]:
        """Return the newest price of each item at each place, discounts taken off as they were over the last 28 days."""
        recent = self.f["marts.item_location_day"].filter(pl.col("day") > self.s.as_of - timedelta(days=28))
        net = pl.col("unit_price").cast(pl.Float64) * (
            1 - pl.col("discount_share").cast(pl.Float64).fill_null(0)
        )
        price = recent.group_by("item_id", "location_id").agg(net.mean().alias("price"))
        found = self.grid(price, "location_id", "price")
        seen = np.where(found > 0, found, np.nan)
        with np.errstate(all="ignore"):
            usual = np.array([np.nanmean(column) if np.isfinite(column).any() else 0.0 for column in seen.T])
        return np.where(found > 0, found, usual)

    def _unit_costs(self) -> NDArray[np.float64]:
        terms = (
            self.f["core.dim_supplier_item"]
            .sort("is_preferred", descending=True)
            .unique("item_id", keep="first", maintain_order=True)
        )
        known = {row["item_id"]: float(row["unit_price"] or 0) for row in terms.iter_rows(named=True)}
        return np.array([known.get(item, 0.0) for item in self.items])

    def _supplier_lanes(self) -> list[Lane]:
        terms, found = self.f["core.dim_supplier_item"], []
        transit = self._open_orders()
        chosen = self._chosen_suppliers()
        modes = {
            (row["supplier_id"], row["location_id"]): row["freight_mode"]
            for row in self.f["marts.supply_option"].iter_rows(named=True)
            if row["freight_mode"]
        }
        for supplier in self.suppliers:
            mine = terms.filter(
                pl.col("supplier_id") == supplier, pl.col("item_id").is_in(self.items)
            ).unique("item_id")
            at = [self.item_at[item] for item in mine["item_id"]]
            if not at:
                continue
            columns: dict[str, Any] = {}
            for name, source, least in (
                ("pack", "pack_size_units", 1.0),
                ("minimum", "minimum_order_units", 0.0),
                ("unit_cost", "unit_price", 0.0),
            ):
                values = np.full(len(self.items), least)
                values[at] = np.maximum(mine[source].cast(pl.Float64).fill_null(least).to_numpy(), least)
                columns[name] = values
            carried = np.zeros(len(self.items), bool)
            carried[at] = True
            for place in self.buyers:
                mode = modes.get((supplier, place), "road")
                share = np.zeros(len(self.items))
                share[at] = [chosen.get((self.items[i], place)) == supplier for i in at]
                found.append(
                    Lane(
                        supplier, place, mode=mode, items=carried, share=share, order_cost=self.s.settings.order_cost,
                        lead_time=self._supplier_lead(supplier, mine), in_transit=transit.get((supplier, place)),
                        **columns, **self._freight(supplier, place, mode),
                    )
                )  # fmt: skip
        return found

    def _chosen_suppliers(self) -> dict[tuple[str, str], str]:
        """Return who supplies an item to a place: whom the plan chose, else the preferred one, else the cheapest."""
        terms = (
            self.f["core.dim_supplier_item"]
            .sort(["is_preferred", "unit_price"], descending=[True, False])
            .unique("item_id", keep="first", maintain_order=True)
        )
        usual = dict(terms.select("item_id", "supplier_id").iter_rows())
        found = {(item, place): usual[item] for item in self.items if item in usual for place in self.buyers}
        planned = self.s.plan.filter(pl.col("supplier_id").is_not_null())
        offered = set(self.f["core.dim_supplier_item"].select("supplier_id", "item_id").iter_rows())
        for item, place, supplier in planned.select("item_id", "location_id", "supplier_id").iter_rows():
            if item in self.item_at and (supplier, item) in offered:
                found[item, place] = supplier
        return found

    def _supplier_lead(self, supplier: str, terms: pl.DataFrame) -> LeadTime:
        known = self.f["marts.lead_time_distribution"].filter(
            pl.col("level") == "supplier",
            pl.col("measure") == "first_receipt",
            pl.col("supplier_id") == supplier,
        )
        row = known.row(0, named=True) if known.height else None
        if row and row["p50_days"] is not None:
            return from_quantiles({q: row[f"p{q}_days"] for q in (10, 50, 90, 95)})
        self.notes.append(f"{supplier}: no receipt in the lake, so its agreed lead time stands in")
        agreed = terms["lead_time_days"].cast(pl.Float64).mean()
        return LeadTime((max(1, round(float(str(agreed or 7)))),), (1.0,))

    def _freight(self, origin: str, destination: str, mode: str) -> dict[str, Any]:
        rates = self.f["core.fct_freight_rate"].filter(
            pl.col("origin") == origin, pl.col("destination") == destination, pl.col("mode") == mode,
            pl.col("valid_from") <= self.s.as_of,
        ).sort("valid_from")  # fmt: skip
        if not rates.height:
            return {}
        row = rates.row(-1, named=True)
        fuel = float(row["fuel_surcharge_share"] or 0)
        return {
            "freight_per_kg": float(row["rate_per_kg"] or 0) * (1 + fuel),
            "minimum_charge": float(row["minimum_charge"] or 0) * (1 + fuel),
            "fuel_share": fuel / (1 + fuel),
        }

    def _open_orders(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Return what is on order, by when it is expected; what is overdue comes within the next three days."""
        lines = self.f["core.fct_purchase_order_line"].filter(
            pl.col("open_units") > 0, pl.col("item_id").is_in(self.items),
            pl.coalesce("expected_on", "ordered_on") > self.s.as_of - timedelta(days=60),
        )  # fmt: skip
        found: dict[tuple[str, str], NDArray[np.float64]] = {}
        for row in lines.iter_rows(named=True):
            due = (row["expected_on"] - self.s.as_of).days - 1 if row["expected_on"] else 7
            slot = min(due if due >= 0 else 2, 120)
            key = (row["supplier_id"], row["location_id"])
            known = found.get(key, np.zeros((0, len(self.items))))
            if len(known) <= slot:
                known = np.concatenate([known, np.zeros((slot + 1 - len(known), len(self.items)))])
            known[slot, self.item_at[row["item_id"]]] += row["open_units"]
            found[key] = known
        return found

    def _inner_lanes(self) -> list[Lane]:
        shipments = self.f["core.fct_shipment"].filter(pl.col("departed_at").is_not_null())
        on_way = self.grid(self._newest_stock(), "location_id", "in_transit_units")
        packs = case_units(self._transfers(), self.item_at)
        found = []
        for row in self.locations.filter(pl.col("replenished_from").is_not_null()).iter_rows(named=True):
            origin, name = row["replenished_from"], row["location_id"]
            mine = shipments.filter(pl.col("origin") == origin, pl.col("destination") == name)
            days = (
                (mine["delivered_at"].dt.date() - mine["departed_at"].dt.date()).dt.total_days().drop_nulls()
            )
            coming = on_way[self.node_at[name]]
            found.append(
                Lane(
                    origin, name, mode="road", lead_time=empirical(days.to_numpy(), least=1), pack=packs,
                    in_transit=coming[None] if coming.any() else None, **self._freight(origin, name, "road"),
                )
            )  # fmt: skip
        return found

    def _transfers(self) -> pl.DataFrame:
        """Return what was sent between places: destination, item_id, day, units."""
        shipments = self.f["core.fct_shipment"].select("destination", reference_id="shipment_id")
        moved = self.f["core.fct_inventory_movement"].filter(pl.col("movement_type") == "transfer_out")
        return moved.join(shipments, on="reference_id", how="left").select(
            "destination", "item_id", day="moved_on", units=-pl.col("moved_units")
        )

    def _weekdays(self, network: Network) -> NDArray[np.float64]:
        """Return on which weekdays each lane was ordered on in the recent past."""
        lines, shipments = self.f["core.fct_purchase_order_line"], self.f["core.fct_shipment"]
        bought = lines.select(origin="supplier_id", destination="location_id", day="ordered_on")
        sent = shipments.select("origin", "destination", day=pl.col("departed_at").dt.date())
        inner = sent.filter(~pl.col("origin").is_in(self.suppliers))
        return order_weekdays(pl.concat([bought, inner]).filter(pl.col("day") > self.since), network.lanes)

    def _policy(
        self, network: Network, mean: NDArray[np.float64], ratio: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (s, S, echelon): the plan's levels where things are bought, protection-period levels where they are sent."""
        point = self.grid(self.s.plan, "location_id", "reorder_point_units")
        level = self.grid(self.s.plan, "location_id", "order_up_to_units")
        echelon = np.zeros_like(point)
        for place in self.buyers:
            echelon[self.node_at[place]] = 1
        service = self._service(network)
        daily = mean.mean(0)
        weekdays = self._weekdays(network)
        gone = set(self.f["core.dim_item"].filter(pl.col("is_discontinued"))["item_id"].to_list())
        alive = np.array([item not in gone for item in self.items])
        for at, lane in enumerate(network.lanes):
            if lane.origin in self.suppliers:
                continue
            to = self.node_at[lane.destination]
            gap = 7 / max(1.0, weekdays[:, at].sum())
            point[to], level[to] = protection_levels(daily[to], ratio[to], lane.lead_time, gap, service)
        self._as_they_order(point, level)
        sent = np.array([name in self.fed for name in self.names])
        point[np.ix_(sent, ~alive)], level[np.ix_(sent, ~alive)] = 0, 0
        return np.nan_to_num(point), np.nan_to_num(level), echelon

    def _as_they_order(self, point: NDArray[np.float64], level: NDArray[np.float64]) -> None:
        """Write the levels of places whose transfers of the recent past say how they order."""
        past = Past(
            inventory=self.f["core.fct_inventory"],
            transfers=self._transfers().drop_nulls("destination"),
            demand=self.f["marts.item_location_day"].rename({"unconstrained_demand_units": "units"}),
            feeds=self.locations.select("location_id", "replenished_from"),
            packs=pl.DataFrame(
                {"item_id": self.items, "pack_units": case_units(self._transfers(), self.item_at)}
            ),
        )
        observed = observed_levels(past, self.since, self.s.as_of)
        found = observed.levels.filter(pl.col("item_id").is_in(self.items))
        to = found["location_id"].replace_strict(self.node_at, return_dtype=pl.Int64).to_numpy()
        item = found["item_id"].replace_strict(self.item_at, return_dtype=pl.Int64).to_numpy()
        point[to, item], level[to, item] = found["point_units"].to_numpy(), found["level_units"].to_numpy()
        places = len(self.fed) * len(self.items)
        if found.height:
            self.notes.append(
                f"{found.height} of {places} items at places that others send to order by the levels that explain "
                f"{1 - observed.wrong_share:.1%} of what they were sent, which follow demand by the power {observed.power:g}"
            )
        if found.height < places:
            self.notes.append(
                f"{places - found.height} of {places} items at such places: too few transfers say how they order, so "
                "they keep what covers their lead time and order days at the service level"
            )

    def _service(self, network: Network) -> NDArray[np.float64]:
        target = self.s.settings.cycle_service_level
        return np.array([target.by_category.get(name, target.default) for name in network.categories])
