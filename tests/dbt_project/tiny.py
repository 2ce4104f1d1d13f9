"""A company of two stores and a centre, four items and 130 days, whose raw tables are written straight into the lake."""

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from lake import ledger
from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.contracts.model import Column, Companion, Contract, ControlTotals, Figure, Location, Severity
from lake.dbt_files import ENTITIES
from lake.sources.control import Reconciled

FIRST = date(2025, 1, 1)
DAYS = 130
AS_OF = FIRST + timedelta(days=DAYS - 1)
ITEMS = ["A", "B", "C", "D"]
STORES = ["S1", "S2"]
_LOGICAL = {
    "VARCHAR": "string",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "BOOLEAN": "boolean",
}


def company(home: Path, **settings: Any) -> Company:
    made = Company("tiny", home, home, CompanySettings(title="Tiny", currency="EUR", **settings))
    made.prepare()
    return made


def contract(dataset: str, entity: str | None = None, mapping: dict[str, str] | None = None) -> Contract:
    """A contract whose raw columns are the entity's own, unless `mapping` says otherwise; nothing to convert."""
    columns = yaml.safe_load(ENTITIES.read_text())[entity or dataset]["columns"]
    converts = any("converted_by" in spec for spec in columns.values())
    converting = {"unit", "currency"} if converts else set()
    return Contract(
        dataset=dataset,
        path=Path(f"{dataset}.odcs.yaml"),
        version="1.0.0",
        title=dataset,
        description=f"Rows of {dataset}.",
        owner="tests",
        domain="erp",
        location=Location(path="unused", format="csv"),
        columns=tuple(
            Column(name, name, _LOGICAL.get(spec["type"], "number"), unit=spec.get("unit"))
            for name, spec in columns.items()  # type: ignore[arg-type]
        ),
        entity=entity or dataset,
        mapping=tuple((mapping or {name: name for name in columns if name not in converting}).items()),
    )


def write_raw(
    lake: Lake,
    dataset: str,
    rows: list[dict[str, Any]],
    entity: str | None = None,
    more: dict[str, str] | None = None,
) -> None:
    """Replace raw.<dataset> by rows that name the columns they have; line numbers count up. `more`: name -> type."""
    types = {
        name: spec["type"]
        for name, spec in yaml.safe_load(ENTITIES.read_text())[entity or dataset]["columns"].items()
    }
    types |= {
        "_delivery_id": "VARCHAR",
        "_file": "VARCHAR",
        "_sheet": "VARCHAR",
        "_line": "BIGINT",
        "_known_at": "TIMESTAMP",
        **(more or {}),
    }
    defaults = {"_delivery_id": "d1", "_file": f"{dataset}.csv"}
    frame = pl.DataFrame(
        {
            name: [defaults.get(name) if name not in row else row[name] for row in rows]
            for name in types
            if name != "_line"
        }
        | {"_line": list(range(2, len(rows) + 2))},
        strict=False,
    )
    columns = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in types.items())
    with lake.write() as connection:
        connection.register("arriving", frame)
        connection.execute(f"CREATE OR REPLACE TABLE lake.raw.{dataset} AS SELECT {columns} FROM arriving")


@dataclass
class Tiny:
    """Raw rows as they are written, entity -> rows."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def generate(seed: int = 7) -> Tiny:
    """Random sales with returns and corrections, stock with a hole, prices and promotions, orders and receipts."""
    chance = random.Random(seed)
    return Tiny(
        {
            "item": [
                {"item_id": item, "item_name": f"Item {item}", "unit_weight_kg": 1 + n}
                for n, item in enumerate(ITEMS)
            ],
            "location": [
                {"location_id": "DC", "location_name": "Centre", "location_type": "distribution_centre"},
                *(
                    {"location_id": store, "location_name": store, "replenished_from": "DC"}
                    for store in STORES
                ),
            ],
            "supplier": [{"supplier_id": "V", "supplier_name": "Supplier"}],
            "sales_order_line": _sales(chance),
            "inventory_snapshot": _inventory(chance),
            "price": _prices(chance),
            "promotion": _promotions(),
        }
    )


def supplier_log() -> list[dict[str, Any]]:
    """Versions of one supplier as `write_mode: history` keeps them: renamed, gone for a month, deleted in the end."""
    versions = [
        ("2025-01-10", "Old & Co", "2025-01-20", False),
        ("2025-01-20", "New & Co", "2025-01-25", False),
        (
            "2025-01-25",
            "New & Co",
            "2025-02-01",
            False,
        ),  # something else changed; then missing from a delivery
        ("2025-03-01", "New & Co", "2025-03-20", False),
        ("2025-03-20", None, None, True),
    ]
    return [
        {
            "supplier_id": "W",
            "supplier_name": name,
            "is_gone": gone,
            "_known_at": datetime.fromisoformat(begins),
        }
        | {"_valid_to": ends and datetime.fromisoformat(ends), "_is_current": ends is None}
        for begins, name, ends, gone in versions
    ]


def _sales(chance: random.Random) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for day in range(DAYS):
        sold_at = datetime.combine(FIRST + timedelta(days=day), datetime.min.time())
        for store in STORES:
            for number, item in enumerate(ITEMS):
                if day < 5 * number or chance.random() < 0.15 * (number + 1):
                    continue
                order = f"{store}-{item}-{day}"
                line = {
                    "order_line": "1",
                    "item_id": item,
                    "location_id": store,
                    "unit_price": 2,
                    "line_type": "sale",
                }
                units = chance.randint(1, 20)
                known = sold_at + timedelta(days=1, hours=6)
                rows.append(
                    line
                    | {"order_id": order, "sold_at": sold_at, "quantity_units": units, "_known_at": known}
                )
                if chance.random() < 0.05:
                    late = known + timedelta(days=chance.randint(1, 9))
                    units = chance.randint(1, 20)
                    rows.append(rows[-1] | {"quantity_units": units, "_known_at": late})
                if chance.random() < 0.1:
                    after = chance.randint(0, 20)
                    rows.append(
                        line
                        | {"order_id": f"R-{order}", "original_order_id": order, "line_type": "return"}
                        | {
                            "sold_at": sold_at + timedelta(days=after),
                            "quantity_units": -chance.randint(1, units),
                        }
                        | {"_known_at": known + timedelta(days=after)}
                    )
    rows = [row for row in rows if row["sold_at"].date() <= AS_OF]
    chance.shuffle(rows)
    return rows


def _inventory(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "snapshot_date": FIRST + timedelta(days=day),
            "location_id": place,
            "item_id": item,
            "on_hand_units": chance.choice([0, 0, 3, 40, 100]),
            "_known_at": datetime.combine(FIRST + timedelta(days=day + 1), datetime.min.time())
            + timedelta(hours=chance.randint(0, 30)),
        }
        for day in range(DAYS)
        if day != 60
        for place in ["DC", *STORES]
        for item in ITEMS
    ]


def _prices(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "item_id": item,
            "location_id": place,
            "valid_from": FIRST + timedelta(days=start),
            "unit_price": chance.randint(100, 900) / 100,
            "_known_at": datetime.combine(
                FIRST + timedelta(days=start + chance.randint(-5, 3)), datetime.min.time()
            ),
        }
        for item in ITEMS
        for place, starts in ((None, (-30, 3, 40, 90, DAYS + 9)), ("S2", (50, 80)))
        for start in starts
    ]


def _promotions() -> list[dict[str, Any]]:
    def promotion(
        name: str, item: str, place: str | None, first: int, last: int, share: float
    ) -> dict[str, Any]:
        known = datetime.combine(FIRST + timedelta(days=first - 2), datetime.min.time())
        return {
            "promotion_id": name,
            "item_id": item,
            "location_id": place,
            "starts_on": FIRST + timedelta(days=first),
            "ends_on": FIRST + timedelta(days=last),
            "discount_share": share,
            "_known_at": known,
        }

    return [
        promotion("P1", "A", None, 10, 16, 0.2),
        promotion("P2", "A", "S1", 16, 17, 0.3),
        promotion("P3", "B", "S2", DAYS - 2, DAYS + 3, 0.1),
    ]


CONTROLLED: dict[str, tuple[Severity, tuple[Figure, ...]]] = {
    "sales_order_line": (
        "stop",
        (Figure("rows"), Figure("sum", "quantity_units"), Figure("sum", "unit_price")),
    ),
    "inventory_snapshot": ("warn", (Figure("rows"), Figure("sum", "on_hand_units"))),
    "price": ("stop", (Figure("rows"), Figure("sum", "unit_price"), Figure("max", "unit_price"))),
}
"""Datasets whose source says what it sends: all is there; two rows and 7 units more than came; 1.25 is lost after loading."""


def controlled_contract(dataset: str) -> Contract:
    """The contract, with control totals where it has any."""
    severity, figures = CONTROLLED.get(dataset, ("stop", ()))
    named = tuple((str(figure), figure) for figure in figures)
    totals = ControlTotals(companion=Companion("{stem}.ctl", named), severity=severity)
    return replace(contract(dataset), control_totals=totals if figures else None)


def note_controlled(lake: Lake, raw: Tiny) -> None:
    """Write to the ledger what the loader would: one delivery of each, whose rows all loaded, and its control totals."""
    for dataset in CONTROLLED:
        rows = raw.tables[dataset]
        one = ledger.Delivery(
            dataset, f"{dataset}.csv", "c", 1, "loaded", f"{dataset}-1", len(rows), len(rows)
        )
        for figure in CONTROLLED[dataset][1]:
            values = (
                [Decimal(str(row[figure.column])) for row in rows] if figure.column else [Decimal(len(rows))]
            )
            found = max(values) if figure.kind == "max" else sum(values)
            sent = found
            if dataset == "price" and figure.kind == "sum":
                sent = found = found + Decimal("1.25")
            elif dataset == "inventory_snapshot":
                sent = found + (7 if figure.column else 2)
            one.control.append(Reconciled(str(figure), str(sent), str(found), sent == found))
        with lake.write() as connection:
            ledger.create_tables(connection)
            ledger.write_deliveries(connection, "run", [one])
            ledger.write_findings(connection, "run", [one])
