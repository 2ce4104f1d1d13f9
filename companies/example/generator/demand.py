"""Customers' true demand: how many lines of how many units are wanted, whether or not the store has them."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from generator.world import CLASS_LINES, HOLIDAY_RUSH, YEARLY, World, discount_bp, price_cents

WEEKDAY = np.array([0.85, 0.84, 0.90, 0.97, 1.18, 1.34, 0.92])  # Monday first
RETURN_SHARE = 0.015


@dataclass(frozen=True)
class Demand:
    """Demand lines sorted by cell (day, store, item), and what a day's simulation needs of them."""

    units: np.ndarray
    """[day, store, item]: units wanted."""
    mean_units: np.ndarray
    """[store, item]: expected units on a day of sale; the planner's first guess."""
    cell: np.ndarray
    """Of each line: flat index into `units`."""
    line_units: np.ndarray
    before: np.ndarray
    """Units wanted in the same cell by the lines before it: stock serves lines in this order."""
    returned_after: np.ndarray
    """Days until one unit of the line comes back; 0: it stays sold."""
    price_cents: np.ndarray
    """[day, item]: list price."""
    discount_bp: np.ndarray
    """[day, store, item]."""


def make_demand(world: World) -> Demand:
    """Draw every customer's line of the whole time."""
    random = world.sizes.random("demand")
    prices, discounts = price_cents(world), discount_bp(world)
    rate = _lines_per_day(world, random, prices, discounts)
    cells = rate.shape
    erratic = world.item_class == 1
    rate[:, :, erratic] *= random.gamma(4, 1 / 4, (cells[0], cells[1], int(erratic.sum())))
    counts = random.poisson(rate)
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    line_units = _units(world.item_class[cell % cells[2]], random)
    total = np.cumsum(line_units)
    units = np.bincount(cell, weights=line_units, minlength=counts.size).astype(np.int64)
    first = np.cumsum(units) - units
    before = total - line_units - first[cell]
    comes_back = random.random(len(cell)) < RETURN_SHARE
    returned_after = np.where(comes_back, random.integers(1, 15, len(cell)), 0)
    units = units.reshape(cells)
    selling = np.maximum((rate > 0).sum(axis=0), 1)
    mean = units.sum(axis=0) / selling * np.exp(random.normal(0, 0.15, cells[1:]))
    return Demand(units, mean, cell, line_units, before, returned_after, prices, discounts)


def _units(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the units of each line: small for steady items, heavy-tailed for erratic and lumpy ones."""
    units = np.ones(len(classes), np.int64)
    for index, draw in enumerate(
        (
            lambda n: random.poisson(0.35, n),
            lambda n: np.minimum(np.floor(np.exp(random.normal(0.5, 1.1, n))), 40).astype(np.int64),
            lambda n: (random.random(n) < 0.2).astype(np.int64),
            lambda n: np.minimum(np.floor(np.exp(random.normal(1.0, 1.0, n))), 60).astype(np.int64),
        )
    ):
        mask = classes == index
        units[mask] += draw(int(mask.sum()))
    return units


def _lines_per_day(
    world: World, random: np.random.Generator, prices: np.ndarray, discounts: np.ndarray
) -> np.ndarray:
    """Return expected lines, [day, store, item]: class, store, season, trend, price, promotion, life of the item."""
    sizes = world.sizes
    days = np.arange(sizes.days)
    dates = [sizes.start + timedelta(days=int(d)) for d in days]
    base = np.array(CLASS_LINES)[world.item_class] * np.exp(random.normal(0, 0.15, sizes.items))
    store = np.exp(random.normal(0, 0.15, sizes.stores))
    taste = np.exp(random.normal(0, 0.15, (sizes.stores, sizes.items)))
    day_of_year = np.array([d.timetuple().tm_yday for d in dates])
    amplitude = np.array([YEARLY[c][0] for c in world.category])
    peak = np.array([YEARLY[c][1] for c in world.category])
    yearly = 1 + amplitude * np.cos(2 * np.pi * (day_of_year[:, None] - peak) / 365.25)
    trend = np.exp(np.outer((days - sizes.days / 2) / 365, random.normal(0.03, 0.12, sizes.items)))
    life = (days[:, None] >= world.introduced) & (days[:, None] <= world.discontinued)
    price = (prices / prices[0]) ** -world.elasticity
    daily = WEEKDAY[[d.weekday() for d in dates]] * [_rush(d.month, d.day) for d in dates]
    item_day = base * yearly * trend * price * life * daily[:, None]
    rate = (store[:, None] * taste)[None] * item_day[:, None, :]
    on = discounts > 0
    lift = 1.2 * (1 - discounts / 10_000) ** -(1.3 * world.elasticity)
    rate = np.where(on, rate * lift, rate)
    return rate * (sizes.sales_lines / rate.sum())


def _rush(month: int, day: int) -> float:
    return max((f for m, first, last, f in HOLIDAY_RUSH if m == month and first <= day <= last), default=1.0)
