"""Suppliers' invoices: one for each receipt, some days later, and the few that are not as ordered and received."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from generator.operations import PURCHASING, order_lines, receipt_lines
from generator.simulation import History
from generator.texts import Days, clock, codes, decimals, pick
from generator.world import World
from generator.writing import Export

DISCREPANCIES = {"price_above_order": 5, "units_above_receipt": 4, "without_order": 3, "doubled": 4}
"""Invoice lines that are wrong, by kind, at --discrepancies 1."""


@dataclass(frozen=True)
class Invoices:
    """Invoice lines (invoice, line, day, supplier, item, order, order_line, units, cents) and what is wrong with them.

    `wrong`: kind, invoice, line, order (-1: of no order), order_line.
    """

    lines: pl.DataFrame
    wrong: list[tuple[str, int, int, int, int]]


def make_invoices(world: World, history: History, discrepancies: float) -> Invoices:
    """Return the invoices that came by the last day."""
    random = world.sizes.random("invoices")
    prices = order_lines(world, history).select("order", "line", "cents")
    lines = receipt_lines(world, history).join(
        prices, on=["order", "line"], how="left", maintain_order="left"
    )
    wait = random.integers(1, 10, int(lines["receipt"].max() or 0) + 1)
    lines = lines.select(
        pl.col("receipt").alias("invoice"),
        "line",
        (pl.col("day") + pl.Series(wait).gather(lines["receipt"])).alias("day"),
        "supplier",
        "item",
        "order",
        pl.col("line").alias("order_line"),
        "units",
        "cents",
        (pl.len().over("order", "line") == 1).alias("came_at_once"),
    ).filter(pl.col("day") < world.sizes.days)
    counts = {kind: math.ceil(count * discrepancies) for kind, count in DISCREPANCIES.items()}
    return _with_errors(world, random, lines, counts)


def _with_errors(
    world: World, random: np.random.Generator, lines: pl.DataFrame, counts: dict[str, int]
) -> Invoices:
    early = (lines["day"] < world.sizes.days - 15).to_numpy() & lines["came_at_once"].to_numpy()
    order = iter(random.permutation(np.flatnonzero(early)).tolist())
    rows = lines.drop("came_at_once").to_dicts()
    number = int(lines["invoice"].max() or 0)
    wrong = []
    for kind in (kind for kind, count in counts.items() for _ in range(count)):
        at = next(order, None)
        if at is None:
            break  # a world too small for its errors
        row = rows[at]
        if kind == "price_above_order":
            row["cents"] = max(row["cents"] + 2, math.ceil(row["cents"] * random.uniform(1.03, 1.12)))
        elif kind == "units_above_receipt":
            row["units"] += max(1, round(row["units"] * random.uniform(0.05, 0.3)))
        else:
            number += 1
            later = row["day"] + int(random.integers(3, 15))
            row = {**row, "invoice": number, "line": 1, "day": later}
            if kind == "without_order":
                row |= {"order": -1 - len(wrong) % 2, "order_line": 1}
            rows.append(row)
        wrong.append((kind, row["invoice"], row["line"], row["order"], row["order_line"]))
    frame = pl.DataFrame(rows, schema=lines.drop("came_at_once").schema)
    return Invoices(frame.sort("day", "invoice", "line"), wrong)


def _order_code(orders: pl.Series) -> pl.Series:
    """Return the order's number as the supplier wrote it: none where it is -1, one that nobody knows where it is -2."""
    unknown = pl.when(orders == -2).then(pl.lit("PO0999901")).otherwise(None)
    return pl.select(pl.when(orders >= 0).then(codes("PO", orders + 1, 7)).otherwise(unknown).alias("order"))[
        "order"
    ]


def invoice_exports(world: World, invoices: Invoices) -> Iterator[Export]:
    """Yield a month's invoices after the other."""
    days = Days(world.sizes.start, world.sizes.days, PURCHASING.date_format)
    iso = Days(world.sizes.start, world.sizes.days)
    lines = invoices.lines.with_columns(iso(invoices.lines["day"]).str.slice(0, 7).alias("month"))
    for (month,), part in lines.partition_by("month", as_dict=True, maintain_order=True).items():
        of_order = part["order"] != -1
        frame = pl.DataFrame(
            {
                "Invoice": codes("IV", part["invoice"], 7),
                "Line": part["line"].cast(pl.String),
                "Vendor": pick(world.supplier_id, part["supplier"]),
                "Invoice Date": days(part["day"]),
                "PO Number": _order_code(part["order"]),
                "PO Line": part["order_line"].cast(pl.String).set(~of_order, None),
                "Material": pick(world.item_id, part["item"]),
                "Qty": part["units"].cast(pl.String),
                "Unit Price": decimals(part["cents"], 2),
                "Amount": decimals(part["cents"] * part["units"], 2),
                "Booked At": days(part["day"]) + " " + clock(36_000 + part["invoice"] * 17 % 9_000),
            }
        )
        yield Export("supplier_invoice", f"erp/supplier_invoice_{month}.csv", frame, PURCHASING)


def wrong_frame(invoices: Invoices) -> pl.DataFrame:
    """Return the truth about wrong invoice lines: kind, invoice_id, invoice_line, purchase_order_id, purchase_order_line."""
    names = {"kind": pl.String} | dict.fromkeys(("invoice", "line", "order", "order_line"), pl.Int64)
    frame = pl.DataFrame(invoices.wrong, schema=names, orient="row")
    return frame.select(
        "kind",
        codes("IV", frame["invoice"], 7).alias("invoice_id"),
        pl.col("line").cast(pl.String).alias("invoice_line"),
        _order_code(frame["order"]).alias("purchase_order_id"),
        frame["order_line"].cast(pl.String).set(frame["order"] == -1, None).alias("purchase_order_line"),
    )
