"""What the world outside tells of demand: weather forecasts, public interest, and prices, each when it is published.

Nothing here moves demand. Demand is drawn first, and a signal is made to know so much of its shocks, and no more: value =
share x shock + sqrt(1 - share^2) x noise, both of variance 1. A shock is what a day's units in a region differ from the
mean of the same weekdays around it. The shares stand in KNOWS and in the truth folder; the streams of chance are its own.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from generator.demand import Demand
from generator.texts import Days, decimals, pick
from generator.world import REGIONS, World, price_cents
from generator.writing import Dialect, Export

KNOWS = {"weather_index": (0.5, 0), "search_interest": (0.6, 3), "social_interest": (0.4, 2)}
"""Correlation with the region's demand shock, and how many days ahead of it the signal is seen."""
HORIZON = 7
COMPETITOR_ITEMS = 10


def shocks(world: World, demand: Demand) -> np.ndarray:
    """Return the demand shocks, [day, region], of mean 0 and variance 1."""
    region = np.array([REGIONS.index(name) for name in world.region[world.centres :]])
    daily = demand.units.sum(axis=2)
    units = np.stack([daily[:, region == r].sum(axis=1) for r in range(len(REGIONS))], axis=1)
    week = np.arange(world.sizes.days) // 7
    shock = np.zeros(units.shape)
    for day in range(7):
        of = np.flatnonzero(np.arange(world.sizes.days) % 7 == day)
        for at in of:
            near = of[np.abs(week[of] - week[at]) <= 4]
            shock[at] = units[at] - units[near].mean(axis=0)
    spread = shock.std(axis=0)
    return (shock - shock.mean(axis=0)) / np.where(spread > 0, spread, 1)


def signal_exports(world: World, demand: Demand) -> Iterator[Export]:
    """Yield the weather by month, the interest by month, and one workbook of prices."""
    known = shocks(world, demand)
    yield from _weather(world, known)
    yield from _interest(world, known)
    yield _prices(world)


def _regions(world: World) -> list[int]:
    return [REGIONS.index(name) for name in dict.fromkeys(world.region[world.centres :])]


def _told(world: World, known: np.ndarray, series: str) -> np.ndarray:
    """Return the series in units of its own spread, [day, region]."""
    share, ahead = KNOWS[series]
    noise = world.sizes.random(series).normal(size=known.shape)
    seen = np.vstack([known[ahead:], noise[:ahead] * 0])
    return share * seen + np.sqrt(1 - share**2) * noise


def _weather(world: World, known: np.ndarray) -> Iterator[Export]:
    """Issue, every morning at 5:00, a forecast of today and the six days after; the evening before, what was."""
    sizes = world.sizes
    days = Days(sizes.start, sizes.days)
    random = sizes.random("forecasts")
    true = np.vstack([_told(world, known, "weather_index"), random.normal(size=(HORIZON, len(REGIONS)))])
    rows = []
    for issued in range(sizes.days):
        for ahead in range(-1, HORIZON):
            about = issued + ahead
            if about < 0:
                continue
            error = random.normal(size=len(REGIONS)) * 0.25 * max(ahead + 1, 0)
            rows += [(issued, about, r, round(1000 * (true[about, r] + error[r]))) for r in _regions(world)]
    table = pl.DataFrame(rows, schema=["issued", "about", "region", "milli"], orient="row")
    table = table.with_columns(days(table["issued"]).alias("issued_on"))
    table = table.with_columns(pl.col("issued_on").str.slice(0, 7).alias("month"))
    for (month,), part in table.partition_by("month", as_dict=True, maintain_order=True).items():
        frame = pl.DataFrame(
            {
                "issued_at": part["issued_on"] + "T05:00:00",
                "valid_on": days(part["about"]),
                "region": pick(list(REGIONS), part["region"]),
                "index": decimals(part["milli"], 3),
            }
        )
        yield Export("weather_forecast", f"signals/weather_forecast_{month}.csv", frame, Dialect())


def _interest(world: World, known: np.ndarray) -> Iterator[Export]:
    """Tell each day's interest at 1:00 on the next."""
    sizes = world.sizes
    days = Days(sizes.start, sizes.days)
    rows = []
    for series in ("search_interest", "social_interest"):
        told = np.maximum(50 + 12 * _told(world, known, series), 0)
        rows += [(d, r, series, round(100 * told[d, r])) for d in range(sizes.days) for r in _regions(world)]
    table = pl.DataFrame(rows, schema=["day", "region", "series", "centi"], orient="row")
    table = table.sort("day", "region", "series")
    table = table.with_columns(days(table["day"]).str.slice(0, 7).alias("month"))
    for (month,), part in table.partition_by("month", as_dict=True, maintain_order=True).items():
        frame = pl.DataFrame(
            {
                "series": part["series"],
                "region": pick(list(REGIONS), part["region"]),
                "day": days(part["day"]),
                "published_at": days(part["day"] + 1) + "T01:00:00",
                "value": decimals(part["centi"], 2),
            }
        )
        yield Export("public_interest", f"signals/public_interest_{month}.jsonl", frame)


def _prices(world: World) -> Export:
    """Keep fuel by the week (a day later), competitors by the week (two days), consumer prices by the month (12 days)."""
    sizes = world.sizes
    random = sizes.random("market prices")
    own = price_cents(world)
    weeks = [d for d in range(sizes.days) if sizes.day(d).weekday() == 0]
    surcharge = dict(world.freight.group_by("valid_from").agg(pl.col("fuel_bp").first()).iter_rows())
    rows: list[tuple[str, str | None, int, int, int, str]] = []
    gap = np.exp(random.normal(-0.02, 0.06, min(COMPETITOR_ITEMS, sizes.items)))
    for day in weeks:
        basis = surcharge[sizes.day(day).replace(day=1)]
        rows.append(
            ("fuel_price", None, day, day + 1, round(2000 + 1.5 * basis + random.normal(0, 40)), "USD/gal")
        )
        gap *= np.exp(random.normal(0, 0.01, len(gap)))
        rows += [
            ("competitor_price", world.item_id[i], day, day + 2, round(10 * own[day, i] * gap[i]), "USD")
            for i in range(len(gap))
            if own[day, i] > 0
        ]
    level = 1000 * own[:, :].sum(axis=1) / max(own[0].sum(), 1)
    ends = [d for d in range(sizes.days) if sizes.day(d + 1).day == 1]
    rows += [("cpi", None, d, d + 12, round(100 * (level[d] + random.normal(0, 2))), "index") for d in ends]
    rows = sorted(
        (row for row in rows if row[3] < sizes.days), key=lambda row: (row[3], row[0], row[1] or "")
    )
    table = pl.DataFrame(rows, schema=["series", "item", "day", "published", "milli", "unit"], orient="row")
    days = Days(sizes.start, sizes.days)
    frame = pl.DataFrame(
        {
            "Series": table["series"],
            "Item": table["item"],
            "For": days(table["day"]),
            "Published": days(table["published"]),
            "Value": decimals(table["milli"], 3),
            "Unit": table["unit"],
        }
    )
    return Export("market_price", "signals/market_prices.xlsx", frame, first_row=5)


def truth(world: World, demand: Demand) -> pl.DataFrame:
    """Return day, region and shock, and what each series knows of it."""
    known = shocks(world, demand)
    table = [
        (world.sizes.day(d), REGIONS[r], float(known[d, r]))
        for d in range(world.sizes.days)
        for r in _regions(world)
    ]
    frame = pl.DataFrame(table, schema=["day", "region", "demand_shock"], orient="row")
    for series, (share, ahead) in KNOWS.items():
        frame = frame.with_columns(
            pl.lit(share).alias(f"{series}_share"), pl.lit(ahead).alias(f"{series}_days_ahead")
        )
    return frame
