"""The company's days: receipts and transfers arrive, customers buy, stores and centres order. Stock conserves.

Order of a day: receipts, transfers in, returns and booked count differences; sales; count; store orders that leave
the centre in the evening; purchase orders. All arrays are [day, location, item] with the centres first.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from generator.demand import Demand
from generator.world import World

COUNT_SHARE = 3  # a third of the items is counted each month
DIFFERENCE_SHARE = 0.08  # of counted rows that differ from the book

HANDOVER_DAYS = 24


@dataclass
class History:
    """What truly happened. Units; columns of event tables are lists that `frame` makes a table of."""

    opening: np.ndarray
    """[location, item]: stock before the first day."""
    closing: np.ndarray
    """[day, location, item]: stock in the book at the end of the day."""
    sales: np.ndarray
    """[day, store, item]: units sold."""
    returns: np.ndarray
    receipts: np.ndarray
    transfers_in: np.ndarray
    transfers_out: np.ndarray
    adjustments: np.ndarray
    in_transit: np.ndarray
    """[day, location, item]: units on the way from the centre to a store at the end of the day."""
    transfer_log: list = field(default_factory=list)
    """(departure day, arrival day, store, items, units) of each shipment from a centre to a store."""
    order_log: list = field(default_factory=list)
    """(order, day, supplier, centre, items, units, expected day)."""
    receipt_log: list = field(default_factory=list)
    """(order, day, line numbers, units), also after the last day (never exported)."""
    short_log: list = field(default_factory=list)
    """(order, day, line numbers, units in the end) of lines that the supplier closed short."""
    count_log: list = field(default_factory=list)
    """(day, location, items, book units, counted units)."""


def simulate(world: World, demand: Demand) -> History:
    """Return the history of all days."""
    return _Company(world, demand).run()


class _Company:
    """The moving state of the simulation."""

    def __init__(self, world: World, demand: Demand) -> None:
        sizes = world.sizes
        self.world, self.demand = world, demand
        self.random = sizes.random("simulation")
        self.days, self.stores, self.items, self.centres = (
            sizes.days,
            sizes.stores,
            sizes.items,
            sizes.centres,
        )
        self.locations = self.centres + self.stores
        self.member = world.centre_of_store[None] == np.arange(self.centres)[:, None]  # [centre, store]
        self.mean = np.maximum(demand.mean_units, 0.01)  # the planner's smoothed demand, [store, item]
        self.line_end = np.searchsorted(demand.cell, np.arange(self.days + 1) * self.stores * self.items)
        self.size = np.array([2.0, 5.0, 2.0, 9.0])[world.item_class]  # variance over mean of demand, by class
        self.terms = _Terms(world)
        self.order_day = np.arange(sizes.suppliers) * 3 % 5  # weekday on which a supplier is ordered from
        # In the last weeks the planner hands over, supplier by supplier: what is due by then waits for the platform.
        handover = self.random.integers(1, 2 + min(HANDOVER_DAYS, sizes.days // 6), sizes.suppliers)
        self.last_review = sizes.days - handover
        self.on_order = np.zeros((self.centres, self.items), np.int64)
        self.due: dict[int, list] = {}  # arrival day -> receipts of purchase orders
        self.closing: dict[int, list] = {}  # day -> what suppliers will not deliver any more
        store_stock = self._store_levels()[1] * self._alive(0)
        centre_cover = self.random.uniform(8, 35, (self.centres, self.items))
        centre_stock = np.ceil((self.member @ self.mean) * centre_cover) * self._alive(0)
        stock = np.vstack([centre_stock, np.ceil(store_stock)]).astype(np.int64)
        shape = (self.days, self.locations, self.items)
        blank = [np.zeros(shape, np.int32) for _ in range(7)]
        self.h = History(
            stock.copy(), blank[0], np.zeros((self.days, self.stores, self.items), np.int32), *blank[1:]
        )
        self.stock = stock
        self.pending = np.zeros(
            (self.days + 40, self.locations, self.items), np.int32
        )  # transfers on their way
        self.late_returns = np.zeros((self.days + 40, self.stores, self.items), np.int32)
        self.booking = np.zeros(
            (self.locations, self.items), np.int64
        )  # count differences to book next morning

    def run(self) -> History:
        """Live through all days."""
        h = self.h
        for day in range(self.days):
            self._arrivals(day)
            self._sell(day)
            if day + 1 == self.days or self.world.sizes.day(day + 1).day == 1:
                self._count(day)
            self._order_from_centres(day)
            self._order_from_suppliers(day)
            h.closing[day] = self.stock
            h.in_transit[day] = self.pending[day + 1 : day + 4].sum(axis=0)
        return h

    def _alive(self, day: int, ahead: int = 0) -> np.ndarray:
        return (self.world.introduced <= day + ahead) & (self.world.discontinued >= day + ahead)

    def _arrivals(self, day: int) -> None:
        h = self.h
        for order, centre, lines, items, units in self.due.pop(day, []):
            h.receipts[day, centre, items] += units.astype(np.int32)
            self.on_order[centre, items] -= units
            h.receipt_log.append((order, day, lines, units))
        for centre, items, units in self.closing.pop(day, []):
            self.on_order[centre, items] -= units
        h.transfers_in[day] = self.pending[day]
        h.returns[day, self.centres :] = self.late_returns[day]
        h.adjustments[day] = self.booking
        self.stock += h.receipts[day] + h.transfers_in[day] + h.returns[day] + self.booking
        self.booking[:] = 0

    def _sell(self, day: int) -> None:
        d, shop = self.demand, self.stock[self.centres :]
        sold = np.minimum(shop, d.units[day])
        shop -= sold
        self.h.sales[day] = sold
        seen = (shop > 0) & self._alive(day)  # an empty shelf says nothing about demand
        self.mean += np.where(seen, 0.04 * (np.minimum(sold, 8 * self.mean + 4) - self.mean), 0)
        np.maximum(self.mean, 0.01, out=self.mean)
        part = slice(self.line_end[day], self.line_end[day + 1])
        back = np.flatnonzero(d.returned_after[part]) + part.start
        cell = d.cell[back] - day * self.stores * self.items
        served = np.clip(sold.ravel()[cell] - d.before[back], 0, d.line_units[back])
        back, cell = back[served > 0], cell[served > 0]
        on = day + d.returned_after[back]
        np.add.at(self.late_returns, (on, cell // self.items, cell % self.items), 1)

    def _count(self, day: int) -> None:
        month = self.world.sizes.day(day).month
        items = np.flatnonzero(
            (np.arange(self.items) % COUNT_SHARE == month % COUNT_SHARE) & self._alive(day)
        )
        for location in range(self.locations):
            book = self.stock[location, items]
            differs = self.random.random(len(items)) < DIFFERENCE_SHARE
            step = np.where(self.random.random(len(items)) < 0.8, -1, 1) * self.random.integers(
                1, 4, len(items)
            )
            counted = np.maximum(book + differs * step, 0)
            self.h.count_log.append((day, location, items, book.copy(), counted))
            self.booking[location, items] = counted - book

    def _store_levels(self) -> tuple[np.ndarray, np.ndarray]:
        cover = self.mean * 4.5
        low = np.ceil(cover + 2.0 * np.sqrt(cover * self.size) + 0.3)
        return low, low + np.maximum(self.mean * 4, 1)

    def _order_from_centres(self, day: int) -> None:
        """Ship to the stores whose turn it is: three times a week, up to the level, whole cases, what is there."""
        weekday = self.world.sizes.day(day).weekday()
        if weekday == 6:
            return
        low, high = self._store_levels()
        case = self.world.case_units
        alive = self._alive(day, 3)
        on_way = self.pending[day + 1 : day + 4, self.centres :].sum(axis=0)
        for turn in range(self.stores):
            store = (turn + day) % self.stores
            if store % 2 != weekday % 2:
                continue
            centre, place = self.world.centre_of_store[store], self.centres + store
            # what the centre owes by a booked count difference is not there to ship, nor to sell tomorrow
            position = self.stock[place] + on_way[store] + np.minimum(self.booking[place], 0)
            there = self.stock[centre] + np.minimum(self.booking[centre], 0)
            wanted = np.where((position < low[store]) & alive, high[store] - position, 0)
            units = np.ceil(np.maximum(wanted, 0) / case).astype(np.int64) * case
            units = np.minimum(units, np.maximum(there, 0) // case * case)
            items = np.flatnonzero(units)
            if not len(items):
                continue
            arrival = day + (1 if self.random.random() < 0.8 else 2)
            self.stock[centre] -= units
            self.h.transfers_out[day, centre] += units.astype(np.int32)
            self.pending[arrival, place] += units.astype(np.int32)
            self.h.transfer_log.append((day, arrival, store, items, units[items]))

    def _order_from_suppliers(self, day: int) -> None:
        """Review the suppliers whose weekday it is: below s, order up to S of the echelon, in packs, at the minimum."""
        weekday = self.world.sizes.day(day).weekday()
        shops = self.stock[self.centres :] + self.pending[day + 1 : day + 4, self.centres :].sum(axis=0)
        mean = self.member @ self.mean
        position = self.stock[: self.centres] + self.member @ shops + self.on_order
        high_at_stores = self.member @ self._store_levels()[1]
        for supplier in np.flatnonzero(self.order_day == weekday):
            away = self.random.random() < 0.08  # the supplier waits a week
            if away or day > self.last_review[supplier]:
                continue
            t = self.terms.of(supplier)
            main = t["preferred"] | (self.random.random(len(t["item"])) < 0.06)
            items, lead = t["item"], t["lead_time_days"]
            alive = self._alive(day, 14)[items] & (self.world.introduced[items] <= day + lead + 10) & main
            alive |= (
                (self.world.introduced[items] > day)
                & (self.world.introduced[items] <= day + lead + 10)
                & main
            )
            for centre in range(self.centres):
                m = mean[centre, items]
                span = m * (lead + 7)
                low = (
                    span
                    + 1.9 * np.sqrt(span * self.size[items] + (0.2 * lead * m) ** 2)
                    + 0.6 * high_at_stores[centre, items]
                )
                high = low + np.maximum(m * 16, t["pack_units"] * 0.5)
                want = np.where((position[centre, items] < low) & alive, high - position[centre, items], 0)
                units = np.ceil(want / t["pack_units"]).astype(np.int64) * t["pack_units"]
                units = np.where(units > 0, np.maximum(units, t["minimum_units"]), 0)
                chosen = np.flatnonzero(units)
                if len(chosen):
                    self._place(day, supplier, centre, items[chosen], units[chosen], int(lead[chosen].max()))
                    position[centre, items[chosen]] += units[chosen]

    def _place(
        self, day: int, supplier: int, centre: int, items: np.ndarray, units: np.ndarray, stated: int
    ) -> None:
        """Place a purchase order and draw, unseen by the planner, when and in which parts it will come."""
        h, r, world = self.h, self.random, self.world
        order = len(h.order_log)
        h.order_log.append((order, day, supplier, centre, items, units, day + stated))
        self.on_order[centre, items] += units
        shape = 1 / world.lead_cv[supplier] ** 2
        lead = max(1, round(r.gamma(shape, world.lead_mean[supplier] / shape)))
        arrival = self._working_day(day + lead)
        lines = np.arange(1, len(items) + 1)
        ended = np.where(r.random(len(items)) < 0.03, np.floor(units * 0.8), units).astype(np.int64)
        split = (r.random(len(items)) < 0.08) & (ended > 1)
        now = np.where(split, np.ceil(ended * 0.6), ended).astype(np.int64)
        later = ended - now
        self._expect(arrival, order, centre, lines, items, now)
        if later.any():
            rest = self._working_day(arrival + int(r.integers(3, 12)))
            self._expect(rest, order, centre, lines, items, later)
        short = np.flatnonzero(ended < units)
        if len(short):
            closed = arrival + 14
            h.short_log.append((order, closed, lines[short], ended[short]))
            self.closing.setdefault(closed, []).append((centre, items[short], (units - ended)[short]))

    def _working_day(self, day: int) -> int:
        return day + 1 if self.world.sizes.day(day).weekday() == 6 else day

    def _expect(
        self, day: int, order: int, centre: int, lines: np.ndarray, items: np.ndarray, units: np.ndarray
    ) -> None:
        some = units > 0
        if day >= self.days:
            self.h.receipt_log.append((order, day, lines[some], units[some]))
        else:
            self.due.setdefault(day, []).append((order, centre, lines[some], items[some], units[some]))


class _Terms:
    """Each supplier's terms as arrays."""

    def __init__(self, world: World) -> None:
        self._none = {name: world.terms[name].to_numpy()[:0] for name in world.terms.columns}
        self._by_supplier = {
            key[0]: {name: part[name].to_numpy() for name in part.columns}
            for key, part in world.terms.partition_by("supplier", as_dict=True, maintain_order=True).items()
        }

    def of(self, supplier: int) -> dict[str, np.ndarray]:
        """Return the supplier's terms: item, lead_time_days, minimum_units, pack_units, preferred, ..."""
        return self._by_supplier.get(int(supplier), self._none)


def movements(world: World, history: History) -> pl.DataFrame:
    """Return every movement that is not zero: day, location, item (indices), kind, units (signed)."""
    sales = np.zeros_like(history.closing)
    sales[:, world.centres :] = -history.sales
    parts = []
    for kind, table in (
        ("receipt", history.receipts),
        ("transfer_in", history.transfers_in),
        ("transfer_out", -history.transfers_out),
        ("sale", sales),
        ("return", history.returns),
        ("adjustment", history.adjustments),
    ):
        day, location, item = np.nonzero(table)
        units = table[day, location, item].astype(np.int64)
        columns = {"day": day, "location": location, "item": item, "units": units}
        parts.append(pl.DataFrame(columns).with_columns(pl.lit(kind).alias("kind")))
    return pl.concat(parts)
