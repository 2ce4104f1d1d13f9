"""Exports of what happens between sales: stock, purchase orders, receipts, shipments, counts. One file a month each."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from generator.simulation import History
from generator.texts import Days, clock, codes, decimals, pick
from generator.versions import terms_versions
from generator.world import World
from generator.writing import Dialect, Export

PLAIN_MONTHS = 3  # older snapshots are delivered as .gz
WAREHOUSE = Dialect(delimiter=";", date_format="%d.%m.%Y")
PURCHASING = Dialect(delimiter=";", line_end="\r\n", date_format="%d.%m.%Y")
FEED_MODE = "air"
"""The air carrier has no CSV export: it sends its events as JSON lines."""
FEED_FIELDS = {
    "shipment_id": "shipment.id",
    "purchase_order": "shipment.reference",
    "weight_kg": "shipment.weight_kg",
    "event_type": "event.code",
    "event_at": "event.at",
    "reported_at": "event.reported_at",
    "origin": "route.from",
    "destination": "route.to",
    "carrier": "carrier",
}
"""Column of the CSV export -> path of the field in the feed."""
CARRIERS = (
    "Lakes Road Freight",
    "Basin Haulage",
    "Piedmont Lines",
    "Transcontinental Rail",
    "Northern Air Cargo",
)


def operations_exports(world: World, history: History, missing: tuple[int, int, int]) -> Iterator[Export]:
    """Yield the files of all systems but sales; `missing` is (day, day, location): see `inventory_exports`."""
    yield from inventory_exports(world, history, missing)
    orders = order_lines(world, history)
    receipts = receipt_lines(world, history)
    yield from _order_exports(world, order_versions(world, history, orders))
    yield from _receipt_exports(world, receipts)
    yield from _shipment_exports(world, shipments(world, history, receipts))
    yield from _count_exports(world, history)


def inventory_exports(world: World, history: History, missing: tuple[int, int, int]) -> Iterator[Export]:
    """Yield the daily stock of every item that is or was on the books, without what was never delivered.

    `missing` is (day that no location reported, day, location that did not report on it); -1: none.
    """
    sizes = world.sizes
    days = Days(sizes.start, sizes.days, WAREHOUSE.date_format)
    months = _months(world, np.arange(sizes.days))
    newest = sorted(set(months))[-PLAIN_MONTHS:]
    for month in sorted(set(months)):
        span = np.flatnonzero(months == month)
        stock, on_way = history.closing[span], history.in_transit[span]
        listed = (world.introduced <= span[:, None]) & (world.discontinued >= span[:, None])
        shown = listed[:, None, :] | (stock > 0)
        shown[span == missing[0]] = False
        shown[span == missing[1], missing[2]] = False
        day, location, item = np.nonzero(shown)
        frame = pl.DataFrame(
            {
                "Date": days(span[day]),
                "Location": pick(world.location_id, location),
                "Item": pick(world.item_id, item),
                "OnHand": pl.Series(stock[shown]).cast(pl.String),
                "InTransit": pl.Series(on_way[shown]).cast(pl.String),
            }
        )
        suffix = "" if month in newest else ".gz"
        yield Export("inventory_snapshot", f"erp/inventory_snapshot_{month}.csv{suffix}", frame, WAREHOUSE)


def order_lines(world: World, history: History) -> pl.DataFrame:
    """Return order, line, day, expected (days), supplier, centre, item, units, cents of each purchase order line."""
    parts = [
        {
            "order": o,
            "day": d,
            "supplier": s,
            "centre": c,
            "expected": e,
            "line": n,
            "item": int(i),
            "units": int(u),
        }
        for o, d, s, c, items, units, e in history.order_log
        for n, (i, u) in enumerate(zip(items, units, strict=True), start=1)
    ]
    names = ("order", "line", "day", "expected", "supplier", "centre", "item", "units")
    frame = pl.DataFrame(parts, schema=dict.fromkeys(names, pl.Int64))
    prices = terms_versions(world).select(
        pl.col("supplier", "item", "valid_from").cast(pl.Int64), pl.col("price_cents").alias("cents")
    )
    priced = frame.with_row_index("place").sort("day", "place")
    priced = priced.join_asof(
        prices.sort("valid_from"),
        left_on="day",
        right_on="valid_from",
        by=["supplier", "item"],
        check_sortedness=False,
    )
    return priced.sort("place").drop("place", "valid_from")


def receipt_lines(world: World, history: History) -> pl.DataFrame:
    """Return every receipt line that was or will be: order, line, day, units, receipt (number), supplier, centre, item."""
    parts = [
        {"order": o, "day": d, "line": int(n), "units": int(u)}
        for o, d, lines, units in history.receipt_log
        for n, u in zip(lines, units, strict=True)
    ]
    frame = pl.DataFrame(parts, schema=dict.fromkeys(("order", "day", "line", "units"), pl.Int64))
    frame = frame.sort("day", "order", "line")
    about = order_lines(world, history).select(
        "order", "line", "supplier", "centre", "item", pl.col("day").alias("ordered")
    )
    frame = frame.join(about, on=["order", "line"], how="left", maintain_order="left")
    return frame.with_columns(pl.struct("day", "order").rle_id().cast(pl.Int64).alias("receipt") + 1)


def order_versions(world: World, history: History, orders: pl.DataFrame) -> pl.DataFrame:
    """Return all versions of the lines known by the last day: opened, confirmed late or early, closed short."""
    random = world.sizes.random("confirmations")
    opened = orders.with_columns(pl.col("day").alias("changed"), pl.lit("open").alias("status"))
    first = (
        pl.DataFrame(
            {"order": [r[0] for r in history.receipt_log], "arrival": [r[1] for r in history.receipt_log]},
            schema={"order": pl.Int64, "arrival": pl.Int64},
        )
        .group_by("order")
        .agg(pl.col("arrival").min())
        .sort("order")
    )
    noise = random.integers(-1, 2, first.height)
    confirms = random.random(first.height) < 0.35
    promised = first.with_columns((pl.col("arrival") + pl.Series(noise)).alias("promised")).filter(
        pl.Series(confirms)
    )
    confirmed = orders.join(
        promised.select("order", "promised"), on="order", how="inner", maintain_order="left"
    )
    confirmed = confirmed.with_columns(
        pl.max_horizontal(pl.col("promised"), pl.col("day") + 1).alias("expected"),
        (pl.col("day") + 1).alias("changed"),
        pl.lit("confirmed").alias("status"),
    ).drop("promised")
    ends = pl.DataFrame(
        [
            (o, int(n), d, int(u))
            for o, d, lines, units in history.short_log
            for n, u in zip(lines, units, strict=True)
        ],
        schema={"order": pl.Int64, "line": pl.Int64, "changed": pl.Int64, "ended": pl.Int64},
        orient="row",
    )
    closed = orders.join(ends, on=["order", "line"], how="inner", maintain_order="left")
    closed = closed.with_columns(pl.col("ended").alias("units"), pl.lit("closed_short").alias("status"))
    versions = pl.concat([opened, confirmed.select(opened.columns), closed.select(opened.columns)])
    return versions.filter(pl.col("changed") < world.sizes.days).sort(
        "changed", "order", "line", maintain_order=True
    )


def _order_exports(world: World, versions: pl.DataFrame) -> Iterator[Export]:
    days = Days(world.sizes.start, world.sizes.days, PURCHASING.date_format)
    for month, part in _by_month(world, versions, "changed"):
        at = clock(57_600 + (part["order"] * 37 + part["line"]) % 3_600)
        frame = pl.DataFrame(
            {
                "PO Number": codes("PO", part["order"] + 1, 7),
                "Line": part["line"].cast(pl.String),
                "Vendor": pick(world.supplier_id, part["supplier"]),
                "Material": pick(world.item_id, part["item"]),
                "Plant": pick(world.location_id, part["centre"]),
                "Order Date": days(part["day"]),
                "Delivery Date": days(part["expected"]),
                "Order Qty": part["units"].cast(pl.String),
                "Net Price": decimals(part["cents"], 2),
                "Status": part["status"],
                "Changed At": days(part["changed"]) + " " + at,
            }
        )
        yield Export("purchase_order_line", f"erp/purchase_order_line_{month}.csv", frame, PURCHASING)


def _receipt_exports(world: World, receipts: pl.DataFrame) -> Iterator[Export]:
    days = Days(world.sizes.start, world.sizes.days, PURCHASING.date_format)
    for month, part in _by_month(world, receipts.filter(pl.col("day") < world.sizes.days), "day"):
        frame = pl.DataFrame(
            {
                "Receipt": codes("GR", part["receipt"], 7),
                "Receipt Line": part["line"].cast(pl.String),
                "PO Number": codes("PO", part["order"] + 1, 7),
                "PO Line": part["line"].cast(pl.String),
                "Posting Date": days(part["day"]),
                "Qty": part["units"].cast(pl.String),
                "Posted At": days(part["day"]) + " " + clock(61_200 + part["receipt"] * 13 % 3_000),
            }
        )
        yield Export("goods_receipt", f"erp/goods_receipt_{month}.csv", frame, PURCHASING)


def shipments(world: World, history: History, receipts: pl.DataFrame) -> pl.DataFrame:
    """Return one row per shipment: left, arrives (days), origin, destination, mode, carrier, order (-1: none), grams."""
    random = world.sizes.random("shipments")
    grams = pl.Series(world.weight_g)
    inbound = (
        receipts.with_columns((pl.col("units") * grams.gather(receipts["item"])).alias("grams"))
        .group_by("receipt", maintain_order=True)
        .agg(pl.col("order", "supplier", "centre", "day", "ordered").first(), pl.col("grams").sum())
    )
    modes = [world.modes[s][0 if random.random() < 0.75 else -1] for s in inbound["supplier"]]
    way = np.maximum(1, np.round((inbound["day"] - inbound["ordered"]).to_numpy() * 0.35)).astype(int)
    rows = {
        "left": inbound["day"] - pl.Series(way),
        "arrives": inbound["day"],
        "origin": pick(world.supplier_id, inbound["supplier"]),
        "destination": pick(world.location_id, inbound["centre"]),
        "mode": modes,
        "order": inbound["order"],
        "grams": inbound["grams"],
    }
    parts = [pl.DataFrame(rows)]
    if history.transfer_log:
        log = history.transfer_log
        rows = {
            "left": [t[0] for t in log],
            "arrives": [t[1] for t in log],
            "origin": [world.location_id[world.centre_of_store[t[2]]] for t in log],
            "destination": [world.location_id[world.centres + t[2]] for t in log],
            "mode": ["road"] * len(log),
            "order": [-1] * len(log),
            "grams": [int((world.weight_g[t[3]] * t[4]).sum()) for t in log],
        }
        parts.append(pl.DataFrame(rows))
    frame = pl.concat(parts).sort("left", "origin", "destination", "order", "arrives")
    fixed = {"rail": 3, "air": 4}
    carrier = [CARRIERS[fixed.get(m, int(random.integers(0, 3)))] for m in frame["mode"]]
    return frame.with_columns(pl.Series("carrier", carrier), pl.int_range(1, pl.len() + 1).alias("shipment"))


def _shipment_exports(world: World, frame: pl.DataFrame) -> Iterator[Export]:
    """Yield booked, departed, arrived, delivered of each shipment, as far as they have happened."""
    days = Days(world.sizes.start, world.sizes.days)
    jitter = (frame["shipment"] * 7919) % 3_000
    steps = (  # event, day, second of the day
        ("booked", frame["left"], 32_400 + jitter),
        ("departed", frame["left"], 64_800 + jitter),
        ("arrived", frame["arrives"], 19_800 + jitter),
        ("delivered", frame["arrives"], 27_000 + jitter),
    )
    events = pl.concat(
        frame.with_columns(pl.lit(name).alias("event"), day.alias("day"), second.alias("second"))
        for name, day, second in steps
    )
    events = events.filter((pl.col("day") < world.sizes.days) & (pl.col("day") >= 0)).sort(
        "day", "second", "shipment"
    )
    for month, part in _by_month(world, events, "day"):
        after = part["second"] + 300 + part["shipment"] * 31 % 5_400
        order = codes("PO", part["order"] + 1, 7)
        frame = pl.DataFrame(
            {
                "shipment_id": codes("SH", part["shipment"], 7),
                "event_type": part["event"],
                "event_at": days(part["day"]) + "T" + clock(part["second"]),
                "reported_at": days(part["day"]) + "T" + clock(after),
                "origin": part["origin"],
                "destination": part["destination"],
                "carrier": part["carrier"],
                "mode": part["mode"],
                "purchase_order": order.set(part["order"] < 0, None),
                "weight_kg": decimals(part["grams"], 3),
            }
        )
        by_feed = pl.col("mode") == FEED_MODE
        dialect = Dialect(quoted=("carrier",))
        path = f"logistics/shipment_event_{month}.csv"
        yield Export("shipment_event", path, frame.filter(~by_feed), dialect)
        feed = frame.filter(by_feed).select(pl.col(old).alias(new) for old, new in FEED_FIELDS.items())
        if feed.height:
            yield Export("carrier_event", f"logistics/carrier_event_{month}.jsonl", feed, first_row=1)


def _count_exports(world: World, history: History) -> Iterator[Export]:
    days = Days(world.sizes.start, world.sizes.days)
    log = history.count_log
    for day in sorted({entry[0] for entry in log}):
        entries = [entry for entry in log if entry[0] == day]
        location = np.concatenate([np.full(len(e[2]), e[1]) for e in entries])
        item, book, counted = (np.concatenate([e[k] for e in entries]) for k in (2, 3, 4))
        frame = pl.DataFrame(
            {
                "Place / Location": pick(world.location_id, location),
                "Place / Counted on": days(np.full(len(item), day)),
                "Item / Code": pick(world.item_id, item),
                "Item / Description": pick(world.item_name, item),
                "Units / System": pl.Series(book).cast(pl.String),
                "Units / Counted": pl.Series(counted).cast(pl.String),
                "Units / Difference": pl.Series(counted - book).cast(pl.String),
            }
        )
        month = world.sizes.day(day).isoformat()[:7]
        yield Export("stock_count", f"spreadsheets/stock_count_{month}.xlsx", frame, first_row=6)


def _months(world: World, days: np.ndarray) -> np.ndarray:
    return np.array([world.sizes.day(d).isoformat()[:7] for d in days])


def _by_month(world: World, frame: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    names = pl.Series([world.sizes.day(d).isoformat()[:7] for d in range(world.sizes.days)])
    frame = frame.with_columns(names.gather(frame[column]).alias("month"))
    for (month,), part in frame.partition_by("month", as_dict=True, maintain_order=True).items():
        yield month, part.drop("month")
