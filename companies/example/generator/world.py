"""Master data of the example company: items, places, suppliers, terms, prices, promotions, freight rates.

Everything here is decided before the first day; what happens on the days stands in `simulation.py`.
Money is in integer cents, weights in grams, shares in basis points, so that a text is written exactly.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

CLASSES = ("smooth", "erratic", "intermittent", "lumpy")
CLASS_SHARES = (0.12, 0.08, 0.54, 0.26)
CLASS_LINES = (3.6, 3.4, 0.17, 0.10)
"""Customers' lines per item, store and day by class, before scaling to the sales lines asked for."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Cleaning": ("Floor cleaner", "Glass cleaner", "Sponge set", "Broom", "Mop head", "Dish soap"),
    "Paper": ("Towel roll, white", "Napkins, folded", "Tissue box", "Café filter", "Parchment roll"),
    "Kitchen": ("Crème brûlée dish", "Chopping board", "Measuring jug", "Storage jar", "Sauté pan"),
    "Hardware": ("Wood screws", "Wall anchors", "Hinge", "Padlock", "Tape measure", 'Pipe clamp 1/2"'),
    "Garden": ("Potting soil", "Hose connector", "Plant pot", "Pruning shears", "Grass seed"),
    "Lighting": ("LED bulb E26", "String lights", "Desk lamp", "Night light", "Flashlight"),
    "Pet": ("Cat litter", "Dog chew", "Water bowl", "Jalapeño-free treats", "Leash"),
    "Seasonal": ("Ice melt", "Window film", "Space heater", "Fan, table", "Cooler box"),
}
YEARLY = {  # amplitude of the yearly wave and the day of the year of its peak
    "Cleaning": (0.08, 110),
    "Paper": (0.05, 330),
    "Kitchen": (0.18, 340),
    "Hardware": (0.15, 160),
    "Garden": (0.75, 135),
    "Lighting": (0.35, 345),
    "Pet": (0.04, 200),
    "Seasonal": (0.55, 15),
}
CENTRES = ("Columbus OH", "Reno NV", "Atlanta GA")
STORES = (
    ("Cleveland OH", "Indianapolis IN", "Pittsburgh PA", "Detroit MI"),
    ("Sacramento CA", "Boise ID", "Salt Lake City UT", "Portland OR"),
    ("Charlotte NC", "Nashville TN", "Jacksonville FL", "Birmingham AL"),
)
REGIONS = ("Midwest", "West", "South")
COUNTRIES = (  # country, name part, mean lead time in days, modes of its lanes
    ("US", "Ohio Works", 6, ("road",)),
    ("US", "Texas Mills", 9, ("road", "rail")),
    ("US", "Oregon Goods", 8, ("road", "rail")),
    ("CA", "Ontario Trading", 12, ("road", "rail")),
    ("MX", "Monterrey Supply", 14, ("road", "rail")),
    ("DE", "Hanse Export", 24, ("rail", "air")),
    ("CN", "Pearl River Export", 34, ("rail", "air")),
)
HOLIDAY_RUSH = ((11, 18, 30, 1.25), (12, 10, 24, 1.35), (7, 1, 4, 1.12), (5, 22, 27, 1.10))


@dataclass(frozen=True)
class Sizes:
    """What the command line asks for."""

    seed: int
    items: int
    stores: int
    centres: int
    suppliers: int
    days: int
    sales_lines: int
    dirt: float
    discrepancies: float
    end_date: date
    spelling: float = 1.0

    @property
    def start(self) -> date:
        """Return the first simulated day."""
        return self.end_date - timedelta(days=self.days - 1)

    def random(self, part: str) -> np.random.Generator:
        """Return the part's own stream of random numbers: a change in one part leaves the others as they are."""
        return np.random.default_rng([self.seed, *part.encode()])

    def day(self, index: int) -> date:
        """Return the date of a day's index (negative: before the first day)."""
        return self.start + timedelta(days=int(index))


@dataclass(frozen=True)
class World:
    """All master data as columns; locations are the centres first, then the stores."""

    sizes: Sizes
    item_id: list[str]
    item_name: list[str]
    category: np.ndarray
    item_class: np.ndarray
    """Index into CLASSES."""
    weight_g: np.ndarray
    introduced: np.ndarray
    """Day index; negative where the item is older than the data."""
    discontinued: np.ndarray
    """Day index of the last day of sale; beyond the last day where it goes on."""
    elasticity: np.ndarray
    case_units: np.ndarray
    """Units in which a centre ships to a store."""
    location_id: list[str]
    location_name: list[str]
    region: list[str]
    centre_of_store: np.ndarray
    supplier_id: list[str]
    supplier_name: list[str]
    country: list[str]
    modes: list[tuple[str, ...]]
    lead_mean: np.ndarray
    lead_cv: np.ndarray
    terms: pl.DataFrame
    """supplier, item (indices), lead_time_days, minimum_units, pack_units, price_cents, preferred, valid_from (day)."""
    prices: pl.DataFrame
    """item, valid_from (day), published (day), cents."""
    promotions: pl.DataFrame
    """promotion, item, store (-1: all), starts, ends, announced (days), discount_bp."""
    freight: pl.DataFrame
    """origin, destination (texts), mode, valid_from, published (dates), rate (1e-4), minimum_cents, fuel_bp."""

    @property
    def centres(self) -> int:
        """Return the number of distribution centres, which stand first among the locations."""
        return self.sizes.centres


def make_world(sizes: Sizes) -> World:
    """Return the company's master data for these sizes and seed."""
    items = _items(sizes)
    places = _places(sizes)
    suppliers = _suppliers(sizes)
    list_cents = items.pop("list_cents")
    terms = _terms(sizes, suppliers["lead_mean"], list_cents)
    freight = _freight(sizes, places, suppliers)
    return World(
        sizes=sizes,
        **items,
        **places,
        **suppliers,
        terms=terms,
        prices=_prices(sizes, list_cents),
        promotions=_promotions(sizes),
        freight=freight,
    )


def _items(sizes: Sizes) -> dict:
    random = sizes.random("items")
    count = sizes.items
    names = list(CATEGORIES)
    category = np.array([names[i % len(names)] for i in range(count)])
    item_name = []
    for i, name in enumerate(category):
        nouns = CATEGORIES[name]
        turn = i // len(names)
        item_name.append(f"{nouns[turn % len(nouns)]} no. {turn // len(nouns) + 1}")
    shares = np.round(np.cumsum(CLASS_SHARES) * count).astype(int)
    item_class = random.permutation(np.searchsorted(shares, np.arange(count), side="right"))
    list_cents = np.round(np.exp(random.normal(np.log(900), 0.8, count))).astype(np.int64).clip(99, 14_999)
    introduced = np.full(count, -400)
    discontinued = np.full(count, sizes.days + 400)
    changing = random.permutation(count)
    new, old = changing[: count // 12], changing[count // 12 : count // 12 + count // 16]
    introduced[new] = random.integers(int(0.15 * sizes.days), int(0.85 * sizes.days), len(new))
    discontinued[old] = random.integers(int(0.4 * sizes.days), int(0.95 * sizes.days), len(old))
    return {
        "item_id": [f"ITM-{10001 + i * 7 % 80000:05d}" for i in range(count)],
        "item_name": item_name,
        "category": category,
        "item_class": item_class,
        "weight_g": np.round(np.exp(random.normal(np.log(700), 0.7, count))).astype(int).clip(20, 18_000),
        "introduced": introduced,
        "discontinued": discontinued,
        "elasticity": random.uniform(0.8, 2.6, count),
        "case_units": np.where(
            item_class < 2, random.choice([4, 6, 12], count), random.choice([1, 2, 4], count)
        ),
        "list_cents": list_cents,
    }


def _places(sizes: Sizes) -> dict:
    def town(names: tuple[str, ...], index: int) -> str:
        turn = index // len(names)
        return names[index % len(names)] + (f" {turn + 1}" if turn else "")

    centre_of_store = np.arange(sizes.stores) * sizes.centres // max(sizes.stores, 1)
    nth_in_centre = [int((centre_of_store[:i] == c).sum()) for i, c in enumerate(centre_of_store)]
    return {
        "location_id": [f"DC-{c + 1:02d}" for c in range(sizes.centres)]
        + [f"ST-{s + 1:02d}" for s in range(sizes.stores)],
        "location_name": [f"Distribution centre {town(CENTRES, c)}" for c in range(sizes.centres)]
        + [f"Store {town(STORES[c % 3], n)}" for c, n in zip(centre_of_store, nth_in_centre, strict=True)],
        "region": [REGIONS[c % 3] for c in range(sizes.centres)] + [REGIONS[c % 3] for c in centre_of_store],
        "centre_of_store": centre_of_store,
    }


def _suppliers(sizes: Sizes) -> dict:
    random = sizes.random("suppliers")
    kinds = [COUNTRIES[i % len(COUNTRIES)] for i in range(sizes.suppliers)]
    return {
        "supplier_id": [f"SUP-{i + 1:03d}" for i in range(sizes.suppliers)],
        "supplier_name": [f"{kind[1]} {i // len(COUNTRIES) + 1}" for i, kind in enumerate(kinds)],
        "country": [kind[0] for kind in kinds],
        "modes": [kind[3] for kind in kinds],
        "lead_mean": np.array([kind[2] for kind in kinds]) * random.uniform(0.85, 1.2, sizes.suppliers),
        "lead_cv": random.choice([0.10, 0.20, 0.30, 0.45], sizes.suppliers, p=[0.35, 0.3, 0.25, 0.1]),
    }


def _terms(sizes: Sizes, lead_mean: np.ndarray, list_cents: np.ndarray) -> pl.DataFrame:
    random = sizes.random("terms")
    count = sizes.items
    first = np.arange(count) % sizes.suppliers
    second = np.flatnonzero(random.random(count) < 0.3) if sizes.suppliers > 1 else np.array([], int)
    other = (first[second] + random.integers(1, max(sizes.suppliers, 2), len(second))) % sizes.suppliers
    keep = other != first[second]
    item = np.concatenate([np.arange(count), second[keep]])
    supplier = np.concatenate([first, other[keep]])
    preferred = np.arange(len(item)) < count
    pack = random.choice([6, 12, 24], len(item))
    cost = list_cents[item] * random.uniform(0.50, 0.64, len(item)) * np.where(preferred, 1.0, 1.07)
    stated = lead_mean[supplier] * random.uniform(0.9, 1.05, len(item))
    return pl.DataFrame(
        {
            "supplier": supplier,
            "item": item,
            "lead_time_days": np.maximum(2, np.round(stated)).astype(int),
            "minimum_units": pack * random.choice([1, 2, 4], len(item)),
            "pack_units": pack,
            "price_cents": np.round(cost).astype(np.int64),
            "preferred": preferred,
            "valid_from": np.full(len(item), -30),
        }
    ).sort("supplier", "item")


def _prices(sizes: Sizes, list_cents: np.ndarray) -> pl.DataFrame:
    """Return each item's price list: one to four prices, announced 14 days ahead, some after the last day."""
    random = sizes.random("prices")
    rows = []
    for item, first in enumerate(list_cents):
        cents = int(first)
        rows.append((item, -30, -44, cents))
        for day in sorted(
            random.choice(np.arange(20, max(sizes.days + 14, 24)), random.integers(0, 4), replace=False)
        ):
            cents = max(49, round(cents * random.choice([0.93, 1.03, 1.05, 1.08])))
            rows.append((item, int(day), int(day) - 14, cents))
    return pl.DataFrame(rows, schema=["item", "valid_from", "published", "cents"], orient="row")


def _promotions(sizes: Sizes) -> pl.DataFrame:
    """Return promotions to 30 days after the last day, each announced 30 days ahead; none overlap for an item."""
    random = sizes.random("promotions")
    rows = []
    for item in range(sizes.items):
        day = int(random.integers(5, 150))
        while day < sizes.days + 30:
            length = int(random.choice([7, 10, 14]))
            store = -1 if random.random() < 0.8 else int(random.integers(0, sizes.stores))
            discount = int(random.choice([1000, 1500, 2000, 2500, 3000]))
            if day - 30 < sizes.days:
                rows.append((item, store, day, day + length - 1, day - 30, discount))
            day += length + int(random.integers(60, 200))
    names = ["item", "store", "starts", "ends", "announced", "discount_bp"]
    frame = pl.DataFrame(rows, schema=names, orient="row").sort("starts", "item")
    return frame.with_columns(
        pl.format("PR{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(5)).alias("promotion")
    )


def _freight(sizes: Sizes, places: dict, suppliers: dict) -> pl.DataFrame:
    """Return the monthly rate of each lane and mode; a month's rates are published a week before it begins."""
    random = sizes.random("freight")
    months = pl.date_range(
        sizes.start.replace(day=1), sizes.end_date + timedelta(days=7), "1mo", eager=True
    ).to_list()
    fuel = np.clip(1200 + np.cumsum(random.normal(0, 60, len(months))), 600, 2400).astype(int)
    base = {"road": 2400, "rail": 1500, "air": 14_000}
    minimum = {"road": 4500, "rail": 9000, "air": 12_000}
    centres = places["location_id"][: sizes.centres]
    stores = places["location_id"][sizes.centres :]
    lanes = [
        (s, c, m)
        for s, modes in zip(suppliers["supplier_id"], suppliers["modes"], strict=True)
        for c in centres
        for m in modes
    ]
    lanes += [(centres[c], s, "road") for c, s in zip(places["centre_of_store"], stores, strict=True)]
    rows = []
    for origin, destination, mode in lanes:
        near = 0.5 if origin in centres else 1.0
        rate = base[mode] * near * random.uniform(0.7, 1.4)
        for month, surcharge in zip(months, fuel, strict=True):
            rate *= random.uniform(0.985, 1.02)
            published = month - timedelta(days=7)
            rows.append(
                (origin, destination, mode, month, published, round(rate), minimum[mode], int(surcharge))
            )
    names = ["origin", "destination", "mode", "valid_from", "published", "rate", "minimum_cents", "fuel_bp"]
    return pl.DataFrame(rows, schema=names, orient="row")


def price_cents(world: World) -> np.ndarray:
    """Return the list price in cents, [day, item]."""
    table = np.zeros((world.sizes.days, world.sizes.items), np.int64)
    for item, start, _, cents in world.prices.sort("item", "valid_from").iter_rows():
        table[max(start, 0) :, item] = cents
    return table


def discount_bp(world: World) -> np.ndarray:
    """Return the promotion's discount in basis points, [day, store, item]."""
    sizes = world.sizes
    table = np.zeros((sizes.days, sizes.stores, sizes.items), np.int16)
    for row in world.promotions.iter_rows(named=True):
        stores = slice(None) if row["store"] < 0 else row["store"]
        table[max(row["starts"], 0) : max(row["ends"] + 1, 0), stores, row["item"]] = row["discount_bp"]
    return table
