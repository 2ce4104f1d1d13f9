"""item_location_day once more, in plain Python, a row at a time, from the raw rows: nothing shared with the SQL."""

from datetime import date, datetime, timedelta
from typing import Any

from tests.dbt_project.tiny import AS_OF, ITEMS, STORES, Tiny

Row = dict[str, Any]
Series = dict[date, tuple[int, datetime]]


def item_location_day(raw: Tiny) -> dict[tuple[str, str, date], Row]:
    """Return (item, location, day) -> the row's columns."""
    return {
        (item, store, row["day"]): row
        for item in ITEMS
        for store in STORES
        for row in _series(raw, item, store)
    }


def _series(raw: Tiny, item: str, store: str) -> list[Row]:
    demand = _demand(raw, item, store)
    first = min(_sold_days(raw, item, store))
    days = [first + timedelta(days=n) for n in range((AS_OF - first).days + 1)]
    units = {day: max(demand[day][0], 0) if day in demand else 0 for day in days}
    known = {day: demand[day][1] for day in days if day in demand}
    return [_row(raw, item, store, day, units, known) for day in days]


def _row(
    raw: Tiny,
    item: str,
    store: str,
    day: date,
    units: dict[date, int],
    known: dict[date, datetime],
) -> Row:
    stock = _stock(raw, item, store, day)
    price, price_known = _price(raw, item, store, day)
    discounts = [p for p in raw.tables["promotion"] if _holds(p, item, store, day)]
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
    knowns = [
        midnight,
        price_known,
        *(p["_known_at"] for p in discounts),
    ]
    if day in known:
        knowns.append(known[day])
    if stock:
        knowns.append(stock[1])
    return {
        "day": day,
        "as_of_ts": midnight,
        "known_at": max(knowns),
        "demand_units": units[day],
        "on_hand_units": stock[0] if stock else None,
        "is_stockout": stock[0] <= 0 if stock else None,
        "unit_price": price,
        "discount_share": max((p["discount_share"] for p in discounts), default=0.0),
        "is_promoted": bool(discounts),
    }


def _newest_lines(raw: Tiny, item: str, store: str) -> list[Row]:
    newest: dict[str, Row] = {}
    for line in raw.tables["sales_order_line"]:
        if line["item_id"] == item and line["location_id"] == store:
            old = newest.get(line["order_id"])
            if old is None or line["_known_at"] > old["_known_at"]:
                newest[line["order_id"]] = line
    return list(newest.values())


def _sold_days(raw: Tiny, item: str, store: str) -> list[date]:
    return [line["sold_at"].date() for line in _newest_lines(raw, item, store) if line["quantity_units"] > 0]


def _demand(raw: Tiny, item: str, store: str) -> Series:
    lines = {line["order_id"]: line for line in _newest_lines(raw, item, store)}
    demand: Series = {}
    for line in lines.values():
        original = lines.get(line.get("original_order_id") or "")
        fits = original is not None and original["quantity_units"] >= -line["quantity_units"]
        day = (original if fits and original else line)["sold_at"].date()
        units, known = demand.get(day, (0, line["_known_at"]))
        demand[day] = (units + line["quantity_units"], max(known, line["_known_at"]))
    return demand


def _stock(raw: Tiny, item: str, store: str, day: date) -> tuple[int, datetime] | None:
    for row in raw.tables["inventory_snapshot"]:
        if (row["item_id"], row["location_id"], row["snapshot_date"]) == (item, store, day):
            return row["on_hand_units"], row["_known_at"]
    return None


def _price(raw: Tiny, item: str, store: str, day: date) -> tuple[float, datetime]:
    held = [p for p in raw.tables["price"] if p["item_id"] == item and p["valid_from"] <= day]
    best = [p for p in held if p["location_id"] == store] or [p for p in held if p["location_id"] is None]
    newest = max(best, key=lambda p: p["valid_from"])
    return newest["unit_price"], newest["_known_at"]


def _holds(promotion: Row, item: str, store: str, day: date) -> bool:
    return (
        promotion["item_id"] == item
        and promotion["location_id"] in (None, store)
        and promotion["starts_on"] <= day <= promotion["ends_on"]
    )
