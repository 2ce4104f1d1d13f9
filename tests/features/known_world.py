"""A tiny company with everything that features are made of, and the same company as it would stand had the world after a
moment gone otherwise: what was published after it is dropped, changed, corrected or made up."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake import transform
from lake.company import Company, load_company
from lake.connection import Lake
from tests.dbt_project import tiny

Row = dict[str, Any]
CLOSES_AFTER_HOURS = 6
CUT = datetime(2025, 4, 10, 6)
"""The closing of 9 April: day 98 of 130."""

CHANGES: dict[str, Callable[[random.Random, Row], Row]] = {
    "sales_order_line": lambda chance, row: {
        "quantity_units": chance.randint(1, 90) if row["quantity_units"] > 0 else -chance.randint(1, 90),
        "unit_price": chance.randint(1, 9),
        "sold_at": datetime.combine(
            tiny.FIRST + timedelta(days=chance.randint(0, tiny.DAYS - 1)), datetime.min.time()
        ),
    },
    "inventory_snapshot": lambda chance, row: {"on_hand_units": chance.randint(0, 999)},
    "price": lambda chance, row: {"unit_price": chance.randint(100, 900) / 100},
    "promotion": lambda chance, row: {"discount_share": 0.9, "ends_on": row["ends_on"] + timedelta(days=30)},
    "purchase_order_line": lambda chance, row: {
        "ordered_units": chance.randint(1, 500),
        "expected_on": row["expected_on"] - timedelta(days=chance.randint(0, 9)),
    },
    "goods_receipt": lambda chance, row: {
        "received_units": chance.randint(1, 500),
        "received_on": row["received_on"] - timedelta(days=chance.randint(0, 3)),
    },
    "supplier_item": lambda chance, row: {
        "unit_price": chance.randint(1, 9),
        "lead_time_days": chance.randint(1, 99),
        "valid_from": row["valid_from"] - timedelta(days=chance.randint(0, 9)),
    },
    "freight_rate": lambda chance, row: {"rate_per_kg": chance.randint(1, 9), "fuel_surcharge_share": 0.5},
    "signal": lambda chance, row: {"value": chance.randint(500, 999)},
}


def moment(day: int, hour: float = 0) -> datetime:
    return datetime.combine(tiny.FIRST, datetime.min.time()) + timedelta(days=day, hours=hour)


def on(day: int) -> date:
    return tiny.FIRST + timedelta(days=day)


def world() -> dict[str, list[Row]]:
    """Raw rows, entity -> rows; what is not in `CHANGES` is master data, known before all."""
    chance = random.Random(11)
    tables = dict(tiny.generate().tables)
    tables["location"] = [row | {"region": "West"} for row in tables["location"]]
    tables["supplier_item"] = [
        {"supplier_id": "V", "item_id": item, "lead_time_days": 7 + start, "unit_price": 2 + start / 10}
        | {"minimum_order_units": 12, "pack_size_units": 6, "is_preferred": True, "valid_from": on(start)}
        | {"_known_at": moment(start + chance.randint(-5, 5), 9)}
        for item in tiny.ITEMS
        for start in (0, 30, 60, 95, 110)
    ]
    tables["freight_rate"] = [
        {"origin": "V", "destination": "DC", "mode": mode, "valid_from": on(start), "rate_per_kg": 1 + cost}
        | {
            "minimum_charge": 20,
            "fuel_surcharge_share": 0.1,
            "_known_at": moment(start + chance.randint(-7, 3)),
        }
        for mode, cost in (("road", 0.5), ("air", 3))
        for start in (0, 31, 59, 90, 98, 120)
    ]
    tables |= dict(zip(("purchase_order_line", "goods_receipt"), _orders(chance), strict=True))
    tables["signal"] = list(_signals(chance))
    return tables


def _orders(chance: random.Random) -> tuple[list[Row], list[Row]]:
    lines: list[Row] = []
    receipts: list[Row] = []
    for number, day in enumerate(range(2, tiny.DAYS - 2, 3)):
        line = {"purchase_order_id": f"PO{number}", "purchase_order_line": "1", "supplier_id": "V"}
        line |= {
            "item_id": tiny.ITEMS[number % 4],
            "location_id": "DC",
            "ordered_on": on(day),
            "unit_price": 2,
        }
        line |= {"ordered_units": 60, "expected_on": on(day + 9), "_known_at": moment(day, 10)}
        lines.append(line)
        lines.append(line | {"expected_on": on(day + 10), "_known_at": moment(day + 2, 10)})
        arrives = day + chance.randint(6, 15)
        for part, units in enumerate((40, 20) if number % 3 == 0 else (60,)):
            came = arrives + 4 * part
            if came < tiny.DAYS:
                receipts.append(
                    {
                        "receipt_id": f"R{number}-{part}",
                        "receipt_line": "1",
                        "purchase_order_id": f"PO{number}",
                    }
                    | {"purchase_order_line": "1", "received_on": on(came), "received_units": units}
                    | {"_known_at": moment(came + chance.choice([0, 0, 0, 2]), 17)}
                )
    return lines, receipts


def _signals(chance: random.Random) -> list[Row]:
    rows = []
    for day in range(tiny.DAYS):
        for ahead in range(-1, 8):
            rows.append(("weather_index", None, "West", day + ahead, moment(day, 5)))
        rows.append(("search_interest", None, "West", day, moment(day + 1, 1)))
        rows.append(("social_interest", None, "West", day, moment(day + chance.randint(1, 3), 1)))
        if day % 7 == 0:
            rows.append(("fuel_price", None, None, day, moment(day + 1)))
            rows += [("competitor_price", item, None, day, moment(day + 2)) for item in tiny.ITEMS[:2]]
        if day % 30 == 0:
            rows += [("cpi", None, None, day, moment(day + late)) for late in (12, 40)]
    return [
        {"series": series, "item_id": item, "region": region, "observed_for": on(about), "published_at": at}
        | {"value": chance.randint(1, 100), "unit": "index", "source": "test", "_known_at": at}
        for series, item, region, about, at in rows
    ]


def otherwise(tables: dict[str, list[Row]], seed: int = 3) -> dict[str, list[Row]]:
    """Return the tables with all that was published after CUT dropped, changed or added to; what was known stands."""
    chance = random.Random(seed)
    after = dict(tables)
    for entity, change in CHANGES.items():
        rows = []
        for row in tables[entity]:
            if row["_known_at"] <= CUT:
                rows.append(row)
                if chance.random() < 0.3:
                    late = {"_known_at": CUT + timedelta(hours=chance.randint(1, 400))}
                    if entity == "signal":
                        late |= {"published_at": late["_known_at"]}
                    rows.append(row | change(chance, row) | late)
            elif chance.random() < 0.7:
                rows.append(row | change(chance, row))
        after[entity] = rows
    return after


def opened(folder: Path) -> Company:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKLAKE_COMPANIES", str(folder / "companies"))
        return load_company("tiny", folder / "home")


def build(folder: Path, tables: dict[str, list[Row]], select: str) -> Company:
    """Write raw, and let dbt make of it what `select` needs."""
    (folder / "companies" / "tiny").mkdir(parents=True)
    (folder / "companies" / "tiny" / "company.yaml").write_text(
        f"title: Tiny\ncurrency: EUR\nday_closes_after_hours: {CLOSES_AFTER_HOURS}\n"
        "calendar: {holidays: {'05-01': Labour Day}}\n",
        encoding="utf-8",
    )
    company = opened(folder)
    company.prepare()
    lake = Lake.of(company)
    for entity, rows in tables.items():
        tiny.write_raw(lake, entity, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
        transform.build(company, tuple(tiny.contract(entity) for entity in tables), select)
    return company
