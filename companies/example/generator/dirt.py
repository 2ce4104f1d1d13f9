"""Dirt as it really occurs, at the rates of the tables below, and the record of every seeded row and file.

A row to be refused is always an *addition*: a spoiled copy of a good row, delivered just after it, as if the system had
sent the line again by mistake. The good row stands untouched, so what is true stays complete and well defined.
The one exception is a late correction: the wrong first version is followed by its right version some days later.
Counts are exact: ceil(rate x dirt x clean rows of the dataset), spread evenly over its files.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from generator.sales import CORRECTION_SHARE
from generator.world import World
from generator.writing import SEEDED, Export, seeded_rows, with_frame


@dataclass(frozen=True)
class Spoil:
    """One way a row goes wrong: how often, which rule of the loader finds it, and what happens to the texts."""

    kind: str
    rate: float
    rule: str
    column: str
    change: Callable[[str, int], str] = lambda text, _: text
    swap_with: str | None = None


def _one_of(*texts: str) -> Callable[[str, int], str]:
    return lambda _, n: texts[n % len(texts)]


def _unknown(prefix: str, first: int) -> Callable[[str, int], str]:
    return lambda _, n: f"{prefix}{first + n % 90}"


def _item_unknown(_: str, n: int) -> str:
    return f"ITM-{90_101 + n % 9_000}"


SPOILS: dict[str, tuple[Spoil, ...]] = {
    "sales_order_line": (
        Spoil("text_in_quantity", 0.0002, "type", "quantity", _one_of("two", "n/a", "12 pcs", "1O")),
        Spoil("decimal_quantity", 0.0001, "type", "quantity", lambda text, _: text + ".5"),
        Spoil("impossible_date", 0.0001, "type", "order_date", lambda text, _: text[:5] + "02-30"),
        Spoil("unknown_item", 0.0004, "references", "item_code", _item_unknown),
        Spoil("swapped_values", 0.0001, "pattern", "item_code", swap_with="location"),
        Spoil("missing_item", 0.0001, "required", "item_code", _one_of("")),
        Spoil("absurd_quantity", 0.00005, "range", "quantity", _one_of("999999", "-88888")),
        Spoil("unknown_line_type", 0.00005, "allowed", "line_type", _one_of("Z9", "sael")),
        Spoil("extra_field", 0.00002, "field_count", "line_type"),
    ),
    "inventory_snapshot": (
        Spoil("negative_stock", 0.00005, "range", "OnHand", lambda _, n: f"-{1 + n % 12}"),
        Spoil("text_in_quantity", 0.00002, "type", "OnHand", _one_of("#N/A", "none")),
        Spoil("unknown_item", 0.00002, "references", "Item", _item_unknown),
        Spoil("swapped_values", 0.00001, "pattern", "Item", swap_with="Location"),
    ),
    "purchase_order_line": (
        Spoil("text_in_quantity", 0.001, "type", "Order Qty", lambda text, _: text + " ea"),
        Spoil("impossible_date", 0.0005, "type", "Delivery Date", lambda text, _: "31.02" + text[5:]),
        Spoil("unknown_supplier", 0.0005, "references", "Vendor", _unknown("SUP-", 901)),
    ),
    "goods_receipt": (
        Spoil("unknown_order", 0.001, "references", "PO Number", _unknown("PO09", 99_001)),
        Spoil("text_in_quantity", 0.0005, "type", "Qty", _one_of("all", "see note")),
    ),
    "shipment_event": (
        Spoil("unknown_event", 0.0005, "allowed", "event_type", _one_of("delivrd", "lost?")),
        Spoil("impossible_time", 0.0005, "type", "event_at", lambda text, _: text[:11] + "25:61:00"),
    ),
    "carrier_event": (
        Spoil("unknown_event", 0.005, "allowed", "event.code", _one_of("DLV?", "customs hold")),
        Spoil("impossible_time", 0.005, "type", "event.at", lambda text, _: text[:11] + "24:30:00"),
    ),
    "freight_rate": (Spoil("text_in_rate", 0.0005, "type", "rate_per_kg", _one_of("tbd", "on request")),),
    "price": (Spoil("negative_price", 0.002, "range", "unit_price", lambda text, _: "-" + text),),
    "supplier_item": (Spoil("text_in_price", 0.003, "type", "NetPrice", _one_of("call", "on request")),),
    "supplier_price_list": (
        Spoil("foreign_decimals", 0.01, "type", "Stückpreis", lambda text, _: text.replace(",", ".")),
    ),
    "stock_count": (
        Spoil("text_in_quantity", 0.001, "type", "Units / Counted", _one_of("see note", "recount")),
        Spoil("unknown_item", 0.0005, "references", "Item / Code", _item_unknown),
    ),
    "promotion": (Spoil("absurd_discount", 0.002, "range", "Discount", _one_of("15.0000", "20.0000")),),
    "stock_ledger": (
        Spoil("unknown_item", 0.00002, "references", "Item", _item_unknown),
        Spoil("text_in_quantity", 0.00002, "type", "Units", _one_of("??", "1O")),
    ),
    "supplier_invoice": (Spoil("text_in_price", 0.001, "type", "Unit Price", _one_of("as agreed", "n/a")),),
    "hub_scan": (
        Spoil("impossible_time", 0.001, "type", "scanned_at", lambda text, _: text[:11] + "24:75:00"),
    ),
}
DUPLICATES = {
    "sales_order_line": 0.002,
    "shipment_event": 0.001,
    "purchase_order_line": 0.001,
    "stock_ledger": 0.0005,
}
"""Share of rows that are sent twice, whole, in the same file; their contracts say `duplicates: drop`."""
RESENT = ("sales_order_line", "inventory_snapshot", "shipment_event")
"""Datasets of which one month's file is delivered a second time under another name."""


_SNAPSHOTS = "erp/inventory_snapshot_*"


class Dirt:
    """Spoils exports one after the other and remembers what it did."""

    def __init__(self, world: World) -> None:
        """Choose the days that will be missing."""
        sizes = world.sizes
        self._factor = sizes.dirt
        self._random = sizes.random("dirt")
        self._clean_rows: dict[str, int] = {}
        self._months = sorted({sizes.day(d).isoformat()[:7] for d in range(sizes.days)})
        self._rows: list[pl.DataFrame] = []
        self._files: list[tuple[str, str, str, str | None, str | None]] = []
        self.missing = (-1, -1, -1)
        if self._factor > 0 and sizes.days >= 20:
            self.missing = (
                int(sizes.days * 0.6) - 1,
                int(sizes.days * 0.8) - 1,
                sizes.centres + sizes.stores // 2,
            )
            for day, location in (
                (self.missing[0], None),
                (self.missing[1], world.location_id[self.missing[2]]),
            ):
                self._files.append(
                    (_SNAPSHOTS, "missing_day", "warned", sizes.day(day).isoformat(), location)
                )

    def spoil(self, export: Export) -> Export:
        """Return the export as it is delivered; every row that is not as it should be is recorded."""
        frame = export.frame
        if SEEDED not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(SEEDED))
        additions = [self._spoiled(export.dataset, frame, s) for s in SPOILS.get(export.dataset, ())]
        additions.append(self._doubled(export.dataset, frame))
        self._clean_rows[export.dataset] = self._clean_rows.get(export.dataset, 0) + frame.height
        cut = self._is_month(export, 1 / 3, "sales_order_line")
        if cut:
            last = frame.tail(1).with_columns(pl.lit("truncated_line").alias(SEEDED))
            additions.append(last.with_columns(pl.lit(float(frame.height)).alias("_place")))
        places = pl.int_range(0, frame.height).cast(pl.Float64).alias("_place")
        whole = pl.concat([frame.with_columns(places), *(a for a in additions if a.height)])
        whole = whole.sort("_place", maintain_order=True).drop("_place")
        if self._is_month(export, 1 / 4, "sales_order_line"):
            whole = whole.select(sorted(whole.columns, key=lambda name: (name == SEEDED, name)))
            self._files.append((export.path, "reordered_columns", "loaded", None, None))
        spoiled = replace(with_frame(export, whole), cut_last_line=cut)
        self._rows.append(seeded_rows(spoiled))
        return spoiled

    def redelivery(self, export: Export) -> str | None:
        """Return the name under which the same file is delivered again, or None."""
        if not self._is_month(export, 1 / 2, *RESENT):
            return None
        stem, dot, ending = export.path.partition(".")
        again = f"{stem}_resent{dot}{ending}"
        self._files.append((again, "duplicate_delivery", "duplicate", None, None))
        return again

    def bad_rows(self) -> pl.DataFrame:
        """Return dataset, file, line, kind, expected_outcome, expected_rule of every seeded row, in order."""
        rules = {(dataset, s.kind): s.rule for dataset, spoils in SPOILS.items() for s in spoils}
        rules["sales_order_line", "truncated_line"] = "final_newline"
        outcomes = {"late_correction": "corrected", "duplicate_row": "duplicate"}
        rows = pl.concat(self._rows)
        pairs = list(zip(rows["dataset"], rows["kind"], strict=True))
        return rows.with_columns(
            pl.Series(
                "expected_outcome", [outcomes.get(kind, "quarantined") for _, kind in pairs], dtype=pl.String
            ),
            pl.Series("expected_rule", [rules.get(pair, "") for pair in pairs], dtype=pl.String),
        )

    def bad_files(self) -> pl.DataFrame:
        """Return file, kind, expected_outcome, day, location of what is wrong with whole files."""
        names = ["file", "kind", "expected_outcome", "day", "location"]
        return pl.DataFrame(self._files, schema=dict.fromkeys(names, pl.String), orient="row").sort(names)

    def rates(self) -> pl.DataFrame:
        """Return dataset, kind, rate, clean_rows and the number of rows that the rate asks for."""
        table = [(dataset, s.kind, s.rate) for dataset, spoils in SPOILS.items() for s in spoils]
        table += [(dataset, "duplicate_row", rate) for dataset, rate in DUPLICATES.items()]
        rows = []
        for dataset, kind, rate in table:
            count = self._clean_rows.get(dataset, 0)
            rows.append((dataset, kind, rate, count, _due(rate * self._factor, count)))
        wrong = self.bad_rows().filter(pl.col("kind") == "late_correction").height
        lines = self._clean_rows.get("sales_order_line", 0) - wrong  # each has two versions
        rows.append(("sales_order_line", "late_correction", CORRECTION_SHARE, lines, wrong))
        return pl.DataFrame(
            rows, schema=["dataset", "kind", "rate", "clean_rows", "seeded_rows"], orient="row"
        )

    def _spoiled(self, dataset: str, frame: pl.DataFrame, spoil: Spoil) -> pl.DataFrame:
        chosen = self._choose(dataset, frame, spoil.rate)
        rows = frame[chosen].with_columns(pl.lit(spoil.kind).alias(SEEDED))
        old = rows[spoil.column].to_list()
        if spoil.swap_with:
            rows = rows.with_columns(
                pl.Series(spoil.column, rows[spoil.swap_with]),
                pl.Series(spoil.swap_with, old, dtype=pl.String),
            )
        else:
            draws = self._random.integers(0, 1_000_000, len(old))
            new = [spoil.change(text, int(n)) for text, n in zip(old, draws, strict=True)]
            rows = rows.with_columns(pl.Series(spoil.column, new, dtype=pl.String))
        return rows.with_columns(pl.Series("_place", chosen + 0.5, dtype=pl.Float64))

    def _doubled(self, dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
        chosen = self._choose(dataset, frame, DUPLICATES.get(dataset, 0.0))
        rows = frame[chosen].with_columns(pl.lit("duplicate_row").alias(SEEDED))
        later = chosen + (frame.height - chosen) * self._random.random(len(chosen)) ** 3
        return rows.with_columns(pl.Series("_place", np.maximum(later, chosen + 0.6), dtype=pl.Float64))

    def _choose(self, dataset: str, frame: pl.DataFrame, rate: float) -> np.ndarray:
        """Return as many good rows as are due by now and not seeded yet."""
        before = self._clean_rows.get(dataset, 0)
        due = _due(rate * self._factor, before + frame.height) - _due(rate * self._factor, before)
        good = np.flatnonzero(frame[SEEDED].is_null().to_numpy())
        return np.sort(self._random.choice(good, min(due, len(good)), replace=False)) if due else good[:0]

    def _is_month(self, export: Export, share: float, *datasets: str) -> bool:
        if self._factor <= 0 or export.dataset not in datasets:
            return False
        return self._months[int(len(self._months) * share)] in export.path


def _due(rate: float, rows: int) -> int:
    return math.ceil(round(rate * rows, 6))
