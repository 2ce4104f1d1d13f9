"""Sales order lines as the ERP posts them: tickets, returns, and corrections that come days later."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from generator.demand import Demand
from generator.simulation import History
from generator.texts import Days, clock, codes, decimals, pick
from generator.world import World
from generator.writing import SEEDED, Dialect, Export

CORRECTION_SHARE = 0.003
"""Of sales lines are first posted with a wrong quantity; the right version follows 2 to 15 days later."""
DIALECT = Dialect(quoted=("item_text", "customer_ref"))


def sales_lines(world: World, demand: Demand, history: History) -> pl.DataFrame:
    """Return the true lines: day, store, item, quantity, cents, order, line, seconds, customer, original (order or -1)."""
    random = world.sizes.random("sales")
    stores, items = world.sizes.stores, world.sizes.items
    served = np.clip(history.sales.ravel()[demand.cell] - demand.before, 0, demand.line_units)
    sold = np.flatnonzero(served)
    cell = demand.cell[sold]
    frame = pl.DataFrame(
        {
            "day": cell // (stores * items),
            "store": cell // items % stores,
            "item": cell % items,
            "quantity": served[sold],
            "returned_after": demand.returned_after[sold],
            "shuffle": random.random(len(sold)),
        }
    ).sort("day", "store", "shuffle")
    count = frame.height
    place = frame["day"].to_numpy() * stores + frame["store"].to_numpy()
    begins = np.r_[np.ones(min(count, 1), bool), place[1:] != place[:-1]] | (random.random(count) < 0.38)
    ticket, tickets = np.cumsum(begins), int(begins.sum())
    line = np.arange(count) - np.flatnonzero(begins)[ticket - 1] + 1
    known = random.random(tickets + 1) < 0.6
    customer = np.where(known, random.integers(1, 40_000, tickets + 1), 0)
    seconds = np.sort(random.integers(79_200, 86_399, tickets + 1))  # posted between 22:00 and midnight
    frame = frame.drop("shuffle").with_columns(
        pl.Series("order", ticket),
        pl.Series("line", line),
        pl.Series("seconds", random.permutation(seconds)[ticket]),
        pl.Series("customer", customer[ticket]),
        pl.lit(-1, pl.Int64).alias("original"),
        pl.Series("cents", _paid(demand, frame)),
    )
    back = frame.filter(pl.col("returned_after") > 0).with_columns(
        (pl.col("day") + pl.col("returned_after")).alias("day"),
        pl.lit(-1, pl.Int64).alias("quantity"),
        pl.col("order").alias("original"),
        pl.lit(1, pl.Int64).alias("line"),
    )
    back = back.filter(pl.col("day") < world.sizes.days).sort("day", "store", "order", "item")
    back = back.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("order") + tickets)
    return pl.concat([frame, back.select(frame.columns)]).drop("returned_after").sort("day", "order", "line")


def _paid(demand: Demand, frame: pl.DataFrame) -> np.ndarray:
    day, store, item = (frame[name].to_numpy() for name in ("day", "store", "item"))
    list_price = demand.price_cents[day, item]
    discount = demand.discount_bp[day, store, item].astype(np.int64)
    return (list_price * (10_000 - discount) + 5_000) // 10_000


def with_corrections(world: World, lines: pl.DataFrame, dirt: float) -> pl.DataFrame:
    """Return the lines as posted: `posted` (day) and SEEDED; a wrong first version and its correction are two rows."""
    random = world.sizes.random("corrections")
    lines = lines.with_columns(pl.col("day").alias("posted"), pl.lit(None, pl.String).alias(SEEDED))
    delay = random.integers(2, 16, lines.height)
    can = np.flatnonzero(
        (lines["quantity"] > 0).to_numpy() & (lines["day"].to_numpy() + delay < world.sizes.days)
    )
    count = min(math.ceil(CORRECTION_SHARE * dirt * lines.height), len(can))
    chosen = np.zeros(lines.height, bool)
    chosen[random.choice(can, count, replace=False)] = True
    wrong_by = random.choice([1, 2, 9, 10, 90], lines.height)
    posted = pl.Series(delay)
    corrected = lines.with_columns((pl.col("day") + posted).alias("posted")).filter(pl.Series(chosen))
    first = lines.with_columns(
        pl.when(pl.Series(chosen))
        .then(pl.col("quantity") + pl.Series(wrong_by))
        .otherwise("quantity")
        .alias("quantity"),
        pl.when(pl.Series(chosen)).then(pl.lit("late_correction")).otherwise(None).alias(SEEDED),
    )
    return pl.concat([first, corrected]).sort("posted", "order", "line", maintain_order=True)


def sales_exports(world: World, posted: pl.DataFrame) -> Iterator[Export]:
    """Yield a month's file after the other, by the day of posting."""
    sizes = world.sizes
    days = Days(sizes.start, sizes.days)
    posted = posted.with_columns(days(posted["posted"]).str.slice(0, 7).alias("month"))
    for (month,), part in posted.partition_by("month", as_dict=True, maintain_order=True).items():
        back = part["quantity"] < 0
        name = pick(world.item_name, part["item"])
        shouted = (part["order"] % 10 == 0) & ~back
        customer = codes("C", part["customer"], 6)
        frame = pl.DataFrame(
            {
                "order_id": codes("SO", part["order"], 8),
                "order_line": part["line"].cast(pl.String),
                "posted_at": days(part["posted"]) + " " + clock(part["seconds"]),
                "order_date": days(part["day"]),
                "location": pick(world.location_id[world.centres :], part["store"]),
                "item_code": pick(world.item_id, part["item"]),
                "item_text": pl.select(pl.when(shouted).then(name.str.to_uppercase()).otherwise(name))[:, 0],
                "quantity": part["quantity"].cast(pl.String),
                "unit_price": decimals(part["cents"], 2),
                "line_type": pl.select(pl.when(back).then(pl.lit("return")).otherwise(pl.lit("sale")))[:, 0],
                "customer_ref": customer.set(part["customer"] == 0, None),
                "original_order_id": codes("SO", part["original"], 8).set(part["original"] < 0, None),
                SEEDED: part[SEEDED],
            }
        )
        yield Export("sales_order_line", f"erp/sales_order_line_{month}.csv", frame, DIALECT)
