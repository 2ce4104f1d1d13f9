"""A company that buys in cartons and dollars and sells in pieces and euros, and what its rows come to by hand.

The other side of core's conversions: plain Python over lists, with Decimal, sharing nothing with the SQL. Rows are drawn at
random, so that most combinations of unit, currency, day and place occur, those without a factor or rate too.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
FIRST, AS_OF = date(2025, 2, 24), date(2025, 3, 16)
ITEMS = ["A", "B", "C", "D"]
PLACES: dict[str, tuple[str | None, str | None]] = {
    "DEN": ("America/Denver", "us"), "TOK": ("Asia/Tokyo", "JP"), "BER": (None, "DE"), "WEB": ("Mars/Phobos", None),
}  # fmt: skip
CALENDAR: dict[str, Any] = {
    "holidays": {"2025-03-03": "Stocktaking"},
    "countries": {"US": {"holidays": {"03-05": "Test day"}}, "JP": {"weekend": [7]}},
    "locations": {"BER": {"holidays": {"2025-03-11": "Move"}}},
}
FREE = {"DEN": ({6, 7}, {3, 5}), "TOK": ({7}, {3}), "BER": ({6, 7}, {3, 11}), "WEB": ({6, 7}, {3})}
"""Place -> weekend and holidays in March 2025, by hand."""


def midnight(day: date, days: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(days=days)


@dataclass(frozen=True)
class Book:
    """What converts: (item, from, to, factor, first day, known at) and (currency, day, rate, known at)."""

    factors: list[tuple[str | None, str, str, Decimal, date | None, datetime]]
    rates: list[tuple[str, date, Decimal, datetime]]

    def stock_unit(self, item: str | None) -> str:
        return next((to for of, _, to, *_ in self.factors if of == item and of is not None), "EA")

    def factor(self, item: str | None, unit: str, day: date) -> tuple[Decimal, datetime | None] | None:
        stock = self.stock_unit(item)
        if unit == stock:
            return Decimal(1), None
        for owner in (item, None):
            fit = [f for f in self.factors if f[:3] == (owner, unit, stock) and (f[4] or date.min) <= day]
            if fit:
                newest = max(fit, key=lambda f: (f[4] or date.min, f[5]))
                return (newest[3], newest[5]) if newest[3] else None
        return None

    def rate(self, currency: str, day: date) -> tuple[Decimal, datetime | None] | None:
        if currency == "EUR":
            return Decimal(1), None
        fit = [r for r in self.rates if r[0] == currency and r[1] <= day]
        if not fit:
            return None
        newest = max(fit, key=lambda r: (r[1], r[3]))
        return (newest[2], newest[3]) if newest[2] and day < newest[1] + timedelta(days=7) else None


BOOK = Book(
    [
        ("A", "CS", "EA", Decimal(12), None, datetime(2025, 1, 1)),
        ("A", "CS", "EA", Decimal(10), date(2025, 3, 10), datetime(2025, 3, 11, 9)),
        ("B", "EA", "PR", Decimal("0.5"), None, datetime(2025, 1, 1)),
        ("B", "CS", "PR", Decimal(6), date(2025, 3, 1), datetime(2025, 1, 1)),
        ("D", "G", "KG", Decimal("0.001"), None, datetime(2025, 1, 1)),
        (None, "DZ", "EA", Decimal(12), None, datetime(2025, 1, 1)),
        ("C", "CS", "EA", Decimal(0), None, datetime(2025, 1, 1)),  # 0 is no factor, and no rate
    ],
    [
        ("USD", date(2025, 2, 24), Decimal("0.95"), datetime(2025, 2, 24, 15)),
        ("USD", date(2025, 3, 3), Decimal("0.92"), datetime(2025, 3, 3, 15)),
        ("USD", date(2025, 3, 3), Decimal("0.925"), datetime(2025, 3, 5, 15)),
        ("USD", date(2025, 3, 10), Decimal("0.9123456789"), datetime(2025, 3, 10, 15)),
        ("GBP", date(2025, 3, 1), Decimal("1.1987654321"), datetime(2025, 3, 1, 15)),
        ("CHF", date(2025, 3, 1), Decimal(0), datetime(2025, 3, 1, 15)),
    ],
)
LATER = replace(
    BOOK,
    factors=[*BOOK.factors, ("C", "CS", "EA", Decimal(6), None, datetime(2025, 3, 17, 9))],
    rates=[*BOOK.rates, ("GBP", date(2025, 3, 8), Decimal("1.21"), datetime(2025, 3, 17, 15))],
)
"""A carton of C is told, and a rate that was missing, the day after."""


@dataclass(frozen=True)
class Converted:
    """A row in stock-keeping units and euros, or why it waits."""

    problem: str | None = None
    units: dict[str, int] = field(default_factory=dict)
    price: Decimal | None = None
    """Unrounded, of one stock-keeping unit."""
    value: Decimal | None = None
    amount: Decimal | None = None
    known_at: datetime | None = None


def cents(value: Decimal, digits: str = "0.0001") -> Decimal:
    return value.quantize(Decimal(digits), ROUND_HALF_UP)


def convert(
    book: Book, row: Row, item: str | None, day: date, units: list[str], *, has_unit: bool, has_currency: bool
) -> Converted:
    """`row` as delivered; `units` are its columns of quantities, the first of which its price is for."""
    unit, currency = ((row.get(name) or "").strip().upper() or None for name in ("unit", "currency"))
    factor = book.factor(item, unit, day) if unit else None
    rate = book.rate(currency, day) if currency else None
    if has_unit and unit is None:
        return Converted("missing_unit")
    if has_unit and factor is None:
        return Converted("missing_factor")
    if has_currency and currency is None:
        return Converted("missing_currency")
    if has_currency and rate is None:
        return Converted("missing_rate")
    by, factor_known = factor if has_unit and factor else (Decimal(1), None)
    times, rate_known = rate if has_currency and rate else (Decimal(1), None)
    exact = {name: Decimal(row[name]) * by for name in units if row.get(name) is not None}
    whole = {name: int(value.quantize(Decimal(1), ROUND_HALF_UP)) for name, value in exact.items()}
    if any(abs(exact[name] - whole[name]) > Decimal("0.01") for name in exact):
        return Converted("fractional_units")
    price = row.get("unit_price")
    product = cents(Decimal(row[units[0]]) * price, "0.000001") if units and price is not None else None
    amount = row.get("amount") or row.get("line_amount")
    return Converted(
        None,
        whole,
        price * times / by if price is not None else None,
        cents(product * times) if product is not None else None,
        cents(amount * times) if amount is not None else None,
        max((known for known in (factor_known, rate_known) if known), default=None),
    )


def local_day(row: Row) -> date:
    zone = PLACES[row["location_id"]][0]
    moment = row["sold_at"].replace(tzinfo=ZoneInfo("UTC"))
    known = zone if zone and not zone.startswith("Mars") else "Europe/Berlin"
    return moment.astimezone(ZoneInfo(known)).date()


def working_days(place: str, begin: date, end: date) -> int:
    weekend, holidays = FREE[place]
    days = [begin + timedelta(days=n + 1) for n in range((end - begin).days)]
    return sum(
        day.isoweekday() not in weekend and not (day.month == 3 and day.day in holidays) for day in days
    )


@dataclass(frozen=True)
class World:
    """Raw rows by dataset, newest versions last."""

    tables: dict[str, list[Row]]

    def newest(self, dataset: str, *key: str) -> dict[tuple[str, ...], Row]:
        return {
            tuple(row[name] for name in key): row
            for row in sorted(self.tables[dataset], key=lambda r: r["_known_at"])
        }


def make(seed: int) -> World:
    """Draw the rows of all datasets."""
    chance = random.Random(seed)
    orders, lines, receipts, invoices = _purchases(chance)
    return World(
        {
            "item": [{"item_id": item, "item_name": f"Item {item}", "unit_weight_kg": 1} for item in ITEMS],
            "location": [
                {"location_id": place, "location_name": place, "time_zone": zone, "country": country}
                for place, (zone, country) in PLACES.items()
            ],
            "supplier": [{"supplier_id": name, "supplier_name": name} for name in ("V", "W")],
            "till": _sales(chance, "T", 260),
            "shop": _sales(chance, "S", 60),
            "purchase_order": orders,
            "purchase_order_line": lines,
            "goods_receipt": receipts,
            "supplier_invoice_line": invoices,
            "inventory_snapshot": _stock(chance, "snapshot_date", "on_hand_units"),
            "stock_count": _stock(chance, "counted_on", "counted_units"),
            "inventory_movement": [
                {"movement_id": f"M{n}", "movement_type": "adjustment", "moved_on": row.pop("on"), **row}
                for n, row in enumerate(_stock(chance, "on", "moved_units"))
            ],
            "price": [
                _counted(chance, item) | {"item_id": item, "valid_from": day, "unit_price": _price(chance)}
                for item in ITEMS
                for day in (FIRST, date(2025, 3, 5), date(2025, 4, 1))
            ],
            "supplier_item": [
                _counted(chance, item)
                | {"supplier_id": supplier, "item_id": item, "lead_time_days": 5, "valid_from": FIRST}
                | {"minimum_order_units": 4, "pack_size_units": 2, "unit_price": _price(chance)}
                for item in ITEMS
                for supplier in ("V", "W")
            ],
            "freight_rate": [
                {"origin": "V", "destination": place, "mode": mode, "valid_from": FIRST + timedelta(days=9)}
                | {"rate_per_kg": Decimal("0.123456"), "minimum_charge": Decimal("12.5"), "currency": currency}
                for place in PLACES
                for mode, currency in (("road", "USD"), ("air", "GBP"), ("sea", "CHF"))
            ],
            "shipment_event": [
                {"shipment_id": "SX", "event_type": kind, "event_at": datetime(2025, 3, day, 12), "origin": "V"}
                | {"destination": "DEN", "mode": "road", "purchase_order_id": "PX", "weight_kg": Decimal(200)}
                for kind, day in (("departed", 6), ("delivered", 7))
            ],
        }
    )  # fmt: skip


def _counted(chance: random.Random, item: str) -> Row:
    """Draw unit and currency, mostly such that convert, spelt carelessly, sometimes forgotten."""
    units = {
        "A": ["EA", " cs", "CS", "DZ"],
        "B": ["PR", "EA", "CS"],
        "C": ["EA", "DZ", "CS"],
        "D": ["KG", "G"],
    }
    unit = chance.choice([None, " "]) if chance.random() < 0.04 else chance.choice(units[item])
    currency = None if chance.random() < 0.03 else chance.choice(["EUR", "EUR", "usd", "USD", "GBP", "CHF"])
    return {"unit": unit, "currency": currency, "_known_at": midnight(FIRST)}


def _price(chance: random.Random) -> Decimal:
    return Decimal(chance.randint(1, 99_999)) / 1000


def _quantity(chance: random.Random, row: Row) -> Decimal:
    if (row["unit"] or "").strip() == "G":
        return Decimal(1000 * chance.randint(1, 9) + chance.choice([0, 0, 0, 250]))
    return Decimal(chance.randint(1, 30)) + chance.choice([Decimal(0), Decimal(0), Decimal("0.5")])


def _sales(chance: random.Random, letter: str, orders: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(orders):
        item, place = chance.choice(ITEMS), chance.choice(list(PLACES))
        sold_at = midnight(FIRST) + timedelta(minutes=chance.randint(24 * 60, 20 * 24 * 60))
        for version in range(2 if chance.random() < 0.15 else 1):
            row = _counted(chance, item) if letter == "T" else {}
            quantity = _quantity(chance, row) if letter == "T" else Decimal(chance.randint(1, 9))
            rows.append(
                row
                | {
                    "order_id": f"{letter}{number}",
                    "order_line": "1",
                    "sold_at": sold_at,
                    "location_id": place,
                }
                | {"item_id": item, "quantity_units": quantity, "unit_price": _price(chance)}
                | {"_known_at": sold_at + timedelta(hours=6, days=version)}
            )
    chance.shuffle(rows)
    return rows


def _stock(chance: random.Random, day: str, quantity: str) -> list[Row]:
    return [
        row
        | {day: FIRST + timedelta(days=2 * n), "location_id": place, "item_id": item}
        | {quantity: _quantity(chance, row)}
        for n in range(11)
        for item in ITEMS
        for place in ("DEN", "BER")
        for row in [_counted(chance, item)]
    ]


def _purchases(chance: random.Random) -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """Orders of one currency, the amounts of which are right but for every fifth; then one by hand, PX."""
    orders, lines, receipts, invoices = [], [], [], []
    for number in range(60):
        name, ordered_on = f"P{number}", FIRST + timedelta(days=chance.randint(0, 14))
        currency = chance.choice(["EUR", "USD", "USD", "GBP", "CHF"])
        goods = Decimal(0)
        for count in range(chance.randint(1, 3)):
            item = chance.choice(ITEMS)
            line = _counted(chance, item) | {"currency": currency, "purchase_order_id": name, "item_id": item}
            line |= {"purchase_order_line": str(count), "unit_price": _price(chance)}
            line |= {"ordered_units": _quantity(chance, line)}
            amount = line["ordered_units"] * line["unit_price"]
            lines.append(line | {"line_amount": chance.choice([None, amount])})
            goods += amount
            came = {"purchase_order_id": name, "purchase_order_line": str(count)}
            if chance.random() < 0.6:
                received = line["ordered_units"]
                receipts.append(
                    came
                    | {"receipt_id": f"R{name}", "receipt_line": str(count), "unit": line["unit"]}
                    | {"received_on": ordered_on + timedelta(days=chance.randint(1, 6))}
                    | {"received_units": received, "rejected_units": Decimal(0), "stocked_units": received}
                    | {"_known_at": midnight(FIRST)}
                )
                invoices.append(
                    line
                    | {"invoice_id": f"I{name}", "invoice_line": str(count), "supplier_id": "V"}
                    | {"invoiced_on": ordered_on + timedelta(days=6), "invoiced_units": received}
                    | {"item_id": chance.choice([None, item]), "amount": chance.choice([None, amount])}
                )
        wrong = Decimal(1) if number % 5 == 0 else Decimal(0)
        goods = None if number % 3 == 0 else goods + wrong  # type: ignore[assignment]
        orders.append(
            {"purchase_order_id": name, "supplier_id": "V", "location_id": chance.choice(list(PLACES))}
            | {"ordered_on": ordered_on, "goods_amount": goods, "tax_amount": Decimal(0)}
            | {"freight_amount": Decimal(0), "total_amount": goods, "_known_at": midnight(ordered_on)}
        )
    by_hand: Row = {"purchase_order_id": "PX", "purchase_order_line": "1", "item_id": "A", "unit": "CS"}
    by_hand |= {"currency": "USD", "unit_price": Decimal(10), "_known_at": midnight(FIRST)}
    ten: dict[str, Decimal] = {"goods_amount": Decimal(100), "total_amount": Decimal(100)}
    orders.append(
        orders[-1] | ten | {"purchase_order_id": "PX", "ordered_on": date(2025, 3, 4), "location_id": "DEN"}
    )
    lines.append(by_hand | {"ordered_units": Decimal(10)})
    came = {
        "received_on": date(2025, 3, 7),
        "received_units": Decimal(10),
        "receipt_id": "RX",
        "receipt_line": "1",
    }
    receipts.append(by_hand | came)
    charged = {
        "invoiced_on": date(2025, 3, 12),
        "invoiced_units": Decimal(10),
        "invoice_id": "IX",
        "invoice_line": "1",
    }
    invoices.append(by_hand | charged | {"supplier_id": "V", "amount": Decimal(100)})
    return orders, lines, receipts, invoices
