"""marts.item_location_feature once more, a closing at a time, from the raw rows: nothing shared with the SQL."""

from datetime import date, datetime, timedelta
from functools import cache
from statistics import mean, stdev
from typing import Any

from tests.dbt_project import tiny
from tests.features.known_world import CLOSES_AFTER_HOURS

Row = dict[str, Any]


def closes(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time()) + timedelta(
        hours=CLOSES_AFTER_HOURS
    )


class Knowledge:
    """What one item and store were known to be, closing by closing."""

    def __init__(self, tables: dict[str, list[Row]], item: str, store: str) -> None:
        self.lines = _of(tables["sales_order_line"], item, store)
        self.prices = [
            p for p in tables["price"] if p["item_id"] == item and p["location_id"] in (None, store)
        ]
        self.promotions = [
            p for p in tables["promotion"] if p["item_id"] == item and p["location_id"] in (None, store)
        ]
        self.readings = _of(tables["inventory_snapshot"], item, store)
        self.posted = cache(self._posted)

    def _posted(self, day: date) -> dict[date, int]:
        """Units by day of sale, as the closing of `day` knew them."""
        newest: dict[str, Row] = {}
        for line in sorted(self.lines, key=lambda line: line["_known_at"]):
            if line["_known_at"] <= closes(day) and line["sold_at"].date() <= day:
                newest[line["order_id"]] = line
            elif line["_known_at"] <= closes(day):
                newest.pop(line["order_id"], None)
        units: dict[date, int] = {}
        for line in newest.values():
            sold_on = line["sold_at"].date()
            units[sold_on] = units.get(sold_on, 0) + line["quantity_units"]
        return units

    def first_day(self, days: list[date]) -> date | None:
        """The first closing that knows of more than the one before."""
        before: dict[date, int] = {}
        for day in days:
            now = self._posted(day)
            if any(units > before.get(one, 0) for one, units in now.items()):
                return day
            before = now
        return None

    def price(self, day: date, first_day: date) -> float | None:
        """Of what the closing knew to hold: the location's own, else that of all."""
        known = [p for p in self.prices if p["_known_at"] <= closes(day) and p["valid_from"] <= day]
        for place in (True, False):
            own = [p for p in known if (p["location_id"] is not None) == place]
            if own:
                newest: Row = max(own, key=lambda p: (p["valid_from"], p["_known_at"]))
                return float(newest["unit_price"])
        return None

    def discount(self, day: date) -> float | None:
        """The deepest promotion that the closing knew to hold on its day."""
        newest: dict[tuple[str, str | None], Row] = {}
        for promotion in sorted(self.promotions, key=lambda p: p["_known_at"]):
            if promotion["_known_at"] <= closes(day):
                newest[promotion["promotion_id"], promotion["location_id"]] = promotion
        held = [p["discount_share"] for p in newest.values() if p["starts_on"] <= day <= p["ends_on"]]
        return max(held, default=None)

    def reading(self, day: date) -> Row | None:
        known = [r for r in self.readings if r["_known_at"] <= closes(day) and r["snapshot_date"] <= day]
        return max(known, key=lambda r: (r["snapshot_date"], r["_known_at"]), default=None)


def _of(rows: list[Row], item: str, store: str) -> list[Row]:
    return [row for row in rows if row["item_id"] == item and row["location_id"] == store]


def features(tables: dict[str, list[Row]], item: str, store: str) -> dict[date, Row]:
    known = Knowledge(tables, item, store)
    every = [tiny.FIRST + timedelta(days=n) for n in range(tiny.DAYS)]
    first = known.first_day(every)
    assert first is not None
    return {day: _row(known, day, first) for day in every if day >= first}


def _row(known: Knowledge, day: date, first: date) -> Row:
    posted = known.posted(day)
    days = [first + timedelta(days=n) for n in range((day - first).days + 1)]
    units = {one: max(posted.get(one, 0), 0) for one in days}

    def back(length: int) -> list[date]:
        return days[-length:]

    def lag(length: int) -> int | None:
        return units.get(day - timedelta(days=length))

    month = sorted(units[one] for one in back(28))
    quarter = [units[one] for one in back(91)]
    sizes = [value for value in quarter if value > 0]
    sale_days = [one for one in days if units[one] > 0]
    reading = known.reading(day)
    discount = known.discount(day)
    row: Row = {
        "known_at": closes(day),
        "demand_units": units[day],
        "lag_7": lag(7),
        "lag_14": lag(14),
        "lag_28": lag(28),
        "mean_7": mean(units[one] for one in back(7)),
        "mean_28": mean(month),
        "mean_91": mean(quarter),
        "std_28": stdev(month) if len(month) > 1 else None,
        "median_28": month[(len(month) + 1) // 2 - 1],
        "p90_28": month[-(-9 * len(month) // 10) - 1],
        "zero_share_28": mean(value == 0 for value in month),
        "demand_interval_91": len(quarter) / len(sizes) if sizes else None,
        "size_cv2_91": len(sizes) * sum(s * s for s in sizes) / sum(sizes) ** 2 - 1
        if len(sizes) > 1
        else None,
        "days_since_last_sale": (day - sale_days[-1]).days if sale_days else None,
        "unit_price": known.price(day, first),
        "discount_share": discount or 0.0,
        "is_promoted": discount is not None,
        "promoted_share_28": mean(known.discount(one) is not None for one in back(28)),
        "on_hand_units": reading["on_hand_units"] if reading else None,
        "on_hand_age_days": (day - reading["snapshot_date"]).days if reading else None,
        "is_stockout": reading["on_hand_units"] <= 0 if reading else None,
    }
    for weekday in range(1, 8):
        same = [units[one] for one in back(28) if one.isoweekday() == weekday]
        row[f"dow_mean_{weekday}"] = mean(same) if same else None
    return row
