"""Deliveries to the tiny company that change its raw tables row by row, as loading does: sales, corrections, returns,
deletions, replaced days, rows out of quarantine, counts, prices, promotions, masters, other meanings of codes, and files that
are merged in between; in any order."""

import random
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import yaml

from lake.connection import Lake
from lake.dbt_files import ENTITIES
from tests.dbt_project import tiny

_TYPES = {
    "_delivery_id": "VARCHAR", "_file": "VARCHAR", "_sheet": "VARCHAR", "_line": "BIGINT", "_known_at": "TIMESTAMP"
}  # fmt: skip

_CROSSWALK = {
    "kind": pl.String, "system": pl.String, "code": pl.String, "conformed_id": pl.String, "valid_from": pl.Date, "valid_to": pl.Date
}  # fmt: skip


class Deliveries:
    """Random changes; `day` is the newest day that was sold."""

    def __init__(self, lake: Lake, seed: int, *, with_codes: bool = False, with_units: bool = False) -> None:
        self.lake, self.chance = lake, random.Random(seed)
        self.with_codes, self.with_units = with_codes, with_units
        self.day, self.number = tiny.DAYS - 1, 0
        self.links: dict[tuple[str, str], tuple[str, Any]] = {}

    def a_day(self) -> None:
        """Sales of the next day, most of them with the counts of the evening."""
        self.day += 1
        self.append("sales_order_line", [self.sale(self.day) for _ in range(self.chance.randint(2, 8))])
        self.append("inventory_snapshot", [self.count(self.day) for _ in range(self.chance.randint(0, 9))])

    def days_at_once(self) -> None:
        """A gap of some days, then sales of several."""
        self.day += self.chance.randint(2, 5)
        self.append(
            "sales_order_line",
            [self.sale(self.day - self.chance.randint(0, 3)) for _ in range(9)] + [self.sale(self.day)],
        )

    def late_sales(self) -> None:
        """Sales of days long gone, some before a series began."""
        self.append("sales_order_line", [self.sale(self.chance.randint(-3, self.day)) for _ in range(3)])

    def corrections(self) -> None:
        """New versions of lines that stand: other units, another day, item or place, or none of it."""
        rows = self.some_of("sales_order_line", 4)
        for row in rows:
            kind = self.chance.choice(["units", "zero", "item", "place", "day", "type", "same"])
            said = {
                "units": {"quantity_units": self.chance.randint(1, 30)},
                "zero": {"quantity_units": 0},
                "item": {"item_id": self.chance.choice(tiny.ITEMS)},
                "place": {"location_id": self.chance.choice([*tiny.STORES, "S9"])},
                "day": {"sold_at": self.at(self.chance.randint(0, self.day))},
                "type": {"line_type": self.chance.choice(["sale", "return", "adjustment"])},
                "same": {},
            }
            row.update(said[kind])
            row["_known_at"] = (row["_known_at"] or self.at(0)) + timedelta(
                days=self.chance.choice([-1, 1, 9])
            )
        self.append("sales_order_line", rows)

    def returns(self) -> None:
        """Goods of earlier orders come back; several of one order, too many, of orders that nobody knows."""
        rows = [row for row in self.some_of("sales_order_line", 3) if (row["quantity_units"] or 0) > 0]
        for row in rows * 2:
            self.number += 1
            self.append(
                "sales_order_line",
                [
                    row | {
                        "order_id": f"B-{self.number}", "line_type": self.chance.choice(["return", "cancellation"]),
                        "original_order_id": self.chance.choice([row["order_id"], row["order_id"], "unknown"]),
                        "quantity_units": -self.chance.randint(1, int(row["quantity_units"])),
                        "sold_at": self.chance.choice([row["sold_at"], self.at(self.day)]),
                        "_known_at": self.at(self.day + 1),
                    }
                ],
            )  # fmt: skip

    def deletions(self) -> None:
        """Rows that are gone from raw, as an upsert or a replaced partition leaves it; now and then a newest day."""
        dataset = self.chance.choice(["sales_order_line", "inventory_snapshot", "price", "promotion"])
        with self.lake.write() as connection:
            if self.chance.random() < 0.3:
                connection.execute(
                    "DELETE FROM lake.raw.sales_order_line WHERE sold_at = (SELECT max(sold_at) FROM lake.raw.sales_order_line)"
                )
            order = f"hash(_file, _line, {self.chance.randint(1, 10**6)})"
            connection.execute(
                f"DELETE FROM lake.raw.{dataset} WHERE rowid IN (SELECT rowid FROM lake.raw.{dataset} ORDER BY {order} LIMIT 3)"
            )

    def a_series_ends(self) -> None:
        """All sales of an item at a place are gone, or those of its first days."""
        item, place = self.chance.choice(tiny.ITEMS), self.chance.choice(tiny.STORES)
        until = self.at(self.chance.choice([15, 400]))
        with self.lake.write() as connection:
            connection.execute(
                "DELETE FROM lake.raw.sales_order_line WHERE item_id = ? AND location_id = ? AND sold_at < ?",
                [item, place, until],
            )

    def prices(self) -> None:
        """New and corrected prices, promotions and counts, of long ago and of days to come."""
        self.append("price", [
            {"item_id": self.chance.choice(tiny.ITEMS), "location_id": self.chance.choice([None, "S1", "S2"]),
             "valid_from": self.at(self.chance.randint(-9, self.day + 5)).date(), "unit_price": self.chance.randint(100, 900) / 100,
             "_known_at": self.at(self.day)}
            for _ in range(2)
        ])  # fmt: skip
        start = self.chance.randint(0, self.day + 3)
        self.append("promotion", [
            {"promotion_id": f"P{self.chance.randint(1, 5)}", "item_id": self.chance.choice(tiny.ITEMS), "location_id": None,
             "starts_on": self.at(start).date(), "ends_on": self.at(start + self.chance.randint(0, 9)).date(), "discount_share": 0.25,
             "_known_at": self.at(start)}
        ])  # fmt: skip
        self.append("inventory_snapshot", [self.count(self.chance.randint(0, self.day)) for _ in range(4)])

    def masters(self) -> None:
        """Other names, and an item that was sold before it stood in the master."""
        self.append("item", [{"item_id": self.chance.choice([*tiny.ITEMS, "N"]), "item_name": f"Name {self.chance.random()}",
                              "_known_at": self.at(self.day)}])  # fmt: skip

    def a_day_is_replaced(self) -> None:
        """A partition comes again: other sales and other counts stand for one day."""
        day = self.chance.randint(self.day - 40, self.day)
        with self.lake.write() as connection:
            connection.execute("DELETE FROM lake.raw.sales_order_line WHERE sold_at = ?", [self.at(day)])
            connection.execute(
                "DELETE FROM lake.raw.inventory_snapshot WHERE snapshot_date = ?", [self.at(day)]
            )
        self.append("sales_order_line", [self.sale(day) for _ in range(self.chance.randint(0, 5))])
        self.append("inventory_snapshot", [self.count(day) for _ in range(3)])

    def out_of_quarantine(self) -> None:
        """Rows of a file that was loaded long ago, with its name and what was known then."""
        day = self.chance.randint(0, self.day)
        self.append("sales_order_line", [self.sale(day) for _ in range(2)], file="sales_order_line.csv")

    def codes(self) -> None:
        """Codes mean something else from a day on, or no longer; the crosswalk is written whole, as matching does."""
        for _ in range(self.chance.randint(1, 2)):
            kind, codes = self.chance.choice(
                [("item", [*tiny.ITEMS, "N"]), ("location", [*tiny.STORES, "S9"])]
            )
            code, target = self.chance.choice(codes), self.chance.choice(codes)
            since = self.chance.choice([None, self.at(self.chance.randint(0, self.day)).date()])
            self.links[kind, code] = (target, since)
        if self.chance.random() < 0.3:
            self.links.pop(self.chance.choice(list(self.links)))
        rows = []
        for (kind, code), (target, since) in self.links.items():
            before = [{"conformed_id": code, "valid_to": since}] if since else []
            rows += [
                {"kind": kind, "system": "erp", "code": code} | one
                for one in [*before, {"conformed_id": target, "valid_from": since}]
            ]
        frame = pl.DataFrame(rows, schema=_CROSSWALK)
        with self.lake.write() as connection:
            connection.register("arriving", frame)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lake.staging.crosswalk AS SELECT * FROM arriving WHERE false"
            )
            connection.execute("DELETE FROM lake.staging.crosswalk")
            connection.execute("INSERT INTO lake.staging.crosswalk SELECT * FROM arriving")

    def factors(self) -> None:
        """Factors of units and rates of currencies that hold from some day on, new, corrected or gone."""
        self.append("unit_conversion", [
            {"item_id": self.chance.choice([None, *tiny.ITEMS]), "from_unit": self.chance.choice(["CS", "PK"]),
             "to_unit": self.chance.choice(["EA", "EA", "PC"]), "factor": self.chance.choice([0.5, 6, 12]),
             "valid_from": self.chance.choice([None, self.at(self.chance.randint(0, self.day)).date()]),
             "_known_at": self.at(self.day)}
        ])  # fmt: skip
        self.append("exchange_rate", [
            {"currency": "USD", "rate": self.chance.randint(80, 120) / 100,
             "valid_on": self.at(self.chance.randint(-5, self.day)).date(), "_known_at": self.at(self.day)}
            for _ in range(2)
        ])  # fmt: skip
        with self.lake.write() as connection:
            gone = f"SELECT rowid FROM lake.raw.exchange_rate ORDER BY hash(_line, {self.chance.randint(1, 99)}) LIMIT 1"
            connection.execute(f"DELETE FROM lake.raw.exchange_rate WHERE rowid IN ({gone})")

    def places(self) -> None:
        """A place has another time zone, and its days begin at another hour."""
        self.append("location", [
            {"location_id": self.chance.choice(tiny.STORES), "location_name": "Store", "_known_at": self.at(self.day),
             "time_zone": self.chance.choice([None, "America/New_York", "Pacific/Auckland"])}
        ])  # fmt: skip

    def merged_files(self) -> None:
        """Small files become large ones, as a compaction does: no row changes."""
        with self.lake.maintain() as connection:
            connection.execute("CALL ducklake_flush_inlined_data('lake')")
            connection.execute("CALL ducklake_merge_adjacent_files('lake')")

    KINDS = (
        "a_day",
        "days_at_once",
        "late_sales",
        "corrections",
        "returns",
        "deletions",
        "a_series_ends",
        "prices",
        "masters",
        "a_day_is_replaced",
        "out_of_quarantine",
        "merged_files",
    )

    def random(self) -> str:
        """Deliver something; return what."""
        kinds = [*self.KINDS, *["codes"] * 2 * self.with_codes, *["factors", "places"] * self.with_units]
        kind = self.chance.choice(kinds)
        getattr(self, kind)()
        return kind

    def at(self, day: int) -> datetime:
        return datetime.combine(tiny.FIRST + timedelta(days=day), datetime.min.time())

    def sale(self, day: int) -> dict[str, Any]:
        self.number += 1
        return {
            "order_id": f"N-{self.number}", "order_line": "1", "sold_at": self.at(day), "unit_price": self.chance.choice([None, 2, 3]),
            "item_id": self.chance.choice([*tiny.ITEMS, *tiny.ITEMS, "N"]), "location_id": self.chance.choice(tiny.STORES),
            "quantity_units": self.chance.choice([0, 1, 5, 12, 40]), "line_type": self.chance.choice(["sale", None]),
            "customer_id": self.chance.choice([None, "K1", "K2"]), "unit": self.chance.choice(["EA", "EA", "CS", None]),
            "currency": self.chance.choice(["EUR", "EUR", "USD"]), "_known_at": self.at(day + 1) + timedelta(hours=6),
        }  # fmt: skip

    def count(self, day: int) -> dict[str, Any]:
        return {"item_id": self.chance.choice(tiny.ITEMS), "location_id": self.chance.choice(tiny.STORES),
                "snapshot_date": self.at(day).date(), "on_hand_units": self.chance.choice([0, 7, 90]),
                "_known_at": self.at(day + 1)}  # fmt: skip

    def some_of(self, dataset: str, count: int) -> list[dict[str, Any]]:
        order = f"hash(order_id, order_line, {self.chance.randint(1, 10**6)})"
        with self.lake.read() as connection:
            return (
                connection.execute(
                    f"SELECT * FROM lake.raw.{dataset} ORDER BY {order}, _file, _line LIMIT {count}"
                )
                .pl()
                .to_dicts()
            )

    def append(self, dataset: str, rows: list[dict[str, Any]], file: str | None = None) -> None:
        """Add rows to a raw table, of a file of their own or of one that was there before."""
        if not rows:
            return
        columns = yaml.safe_load(ENTITIES.read_text())[dataset]["columns"]
        types = {name: spec["type"] for name, spec in columns.items()} | _TYPES
        self.number += 1
        own = {"_delivery_id": f"d{self.number}", "_file": file or f"{dataset}-{self.number:05}.csv"}
        rows = [row | own | {"_line": line} for line, row in enumerate(rows, self.number * 1000)]
        frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in types}, strict=False)
        cast = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in types.items())
        with self.lake.write() as connection:
            connection.register("arriving", frame)
            connection.execute(f"INSERT INTO lake.raw.{dataset} BY NAME SELECT {cast} FROM arriving")
