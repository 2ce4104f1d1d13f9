"""How master data came to be what it is: earlier versions of items, suppliers and terms, each with its day.

The newest version of each stands in the current export; the ERP's log of changes has those before it.
"""

import numpy as np
import polars as pl

from generator.world import World

BEGINNING = -30
OWN_LIST = 0
"""The supplier that sends its terms as a price list of its own, with local decimals; it has never changed them."""


def item_versions(world: World) -> pl.DataFrame:
    """Return item, day, cents, ended (0, 1) of each version: a new list price, or the end of sale."""
    rows = []
    prices = world.prices.filter(pl.col("valid_from") < world.sizes.days).sort("item", "valid_from")
    for (item,), part in prices.partition_by("item", as_dict=True, maintain_order=True).items():
        first, end = max(int(world.introduced[item]), BEGINNING), int(world.discontinued[item])
        moments = {max(day, first): cents for day, cents in part.select("valid_from", "cents").iter_rows()}
        if end < world.sizes.days:
            past = [cents for day, cents in sorted(moments.items()) if day <= end]
            moments.setdefault(end, past[-1])
        rows += [(item, day, cents, int(day >= end)) for day, cents in sorted(moments.items())]
    return pl.DataFrame(rows, schema=dict.fromkeys(("item", "day", "cents", "ended"), pl.Int64), orient="row")


def supplier_versions(world: World) -> pl.DataFrame:
    """Return supplier, day, name of each version: every fifth firm once had another name."""
    random = world.sizes.random("renamed suppliers")
    rows = []
    for supplier, name in enumerate(world.supplier_name):
        since = BEGINNING
        if random.random() < 0.2 or supplier == 1:
            rows.append((supplier, BEGINNING, f"{name} & Sons"))
            since = int(random.integers(1, max(world.sizes.days - 5, 2)))
        rows.append((supplier, since, name))
    names = {"supplier": pl.Int64, "day": pl.Int64, "name": pl.String}
    return pl.DataFrame(rows, schema=names, orient="row")


def terms_versions(world: World) -> pl.DataFrame:
    """Return world.terms with every version, `valid_from` telling them apart: prices and stated lead times change."""
    random = world.sizes.random("terms before")
    rows = []
    for term in world.terms.iter_rows(named=True):
        changes = 0 if term["supplier"] == OWN_LIST else int(random.integers(0, 3))
        span = np.arange(10, max(world.sizes.days - 10, 11))
        days = sorted(random.choice(span, min(changes, len(span)), replace=False).tolist(), reverse=True)
        version = dict(term)
        for day in days:
            rows.append({**version, "valid_from": day})
            version["price_cents"] = max(
                1, round(version["price_cents"] / random.choice([0.96, 1.02, 1.03, 1.06]))
            )
            if random.random() < 0.3:
                version["lead_time_days"] = max(1, version["lead_time_days"] + int(random.integers(-3, 4)))
        rows.append({**version, "valid_from": BEGINNING})
    return pl.DataFrame(rows, schema=world.terms.schema).sort("supplier", "item", "valid_from")
