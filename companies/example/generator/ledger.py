"""The ERP's stock ledger: one posting per movement, and the few that were posted wrongly.

The book (inventory_snapshot) is right every day; the ledger lacks a posting, has one twice, with other units, on a later day
or under another item. `BREAKS` says how many of each; truth `stock_break` says which, and by how much the book then
differs from what the ledger lets expect.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from generator.operations import WAREHOUSE, receipt_lines, shipments
from generator.simulation import History, movements
from generator.texts import Days, clock, codes, pick
from generator.world import World
from generator.writing import Export

BREAKS = {"missing": 6, "doubled": 4, "wrong_units": 5, "wrong_day": 4, "wrong_item": 3}
"""Postings that go wrong, by kind, at --discrepancies 1."""
SCRAP_SHARE = 0.25
"""Of the units that a count finds missing and that were seen to be broken: scrapped, not adjusted."""
_SECONDS = {
    "adjustment": 21_600,
    "scrap": 21_600,
    "transfer_in": 27_000,
    "receipt": 61_200,
    "transfer_out": 64_800,
    "sale": 81_000,
    "return": 80_000,
}


@dataclass
class Ledger:
    """The postings as exported, and the truth about those that are wrong.

    `postings`: movement, day (on which it counts), location, item (indices), kind, units (signed), document, line.
    `breaks`: kind, movement, location, item, day, units (book less expected), resolved (day or null).
    """

    postings: pl.DataFrame
    breaks: list[tuple[str, int, int, int, int, int, int | None]] = field(default_factory=list)


def make_ledger(
    world: World, history: History, missing: tuple[int, int, int], discrepancies: float
) -> Ledger:
    """Return the ledger; on the days of `missing` nobody can see a break, so none begins there."""
    ledger = Ledger(_postings(world, history))
    counts = {kind: math.ceil(count * discrepancies) for kind, count in BREAKS.items()}
    _Errors(world, ledger, missing).make(counts)
    return ledger


def _postings(world: World, history: History) -> pl.DataFrame:
    """Return one row per true movement: a receipt line, an item of a transfer, an item's sales of a store and day."""
    random = world.sizes.random("scrap")
    receipts = receipt_lines(world, history)
    sent = shipments(world, history, receipts).filter(pl.col("order") < 0)
    numbers = {(to, day): n for to, day, n in sent.select("destination", "left", "shipment").iter_rows()}
    moved = movements(world, history)
    broken = (moved["kind"] == "adjustment") & (moved["units"] < 0)
    broken &= pl.Series(random.random(moved.height) < SCRAP_SHARE)
    moved = moved.with_columns(
        pl.when(broken).then(pl.lit("scrap")).otherwise("kind").alias("kind"),
        pl.lit(None, pl.Int64).alias("line"),
    )
    plain = moved.filter(~pl.col("kind").is_in(["receipt", "transfer_in", "transfer_out"]))
    place, start = pl.Series(world.location_id).gather(plain["location"]), pl.lit(world.sizes.start)
    prefix = plain["kind"].replace_strict(
        {"sale": "POS", "return": "RET", "adjustment": "CNT", "scrap": "CNT"}
    )
    date = plain.select((start + pl.duration(days=pl.col("day"))).dt.strftime("%Y%m%d").alias("date"))["date"]
    plain = plain.with_columns((prefix + "-" + place + "-" + date).alias("document"))
    came = receipts.filter(pl.col("day") < world.sizes.days).select(
        "day",
        pl.col("centre").alias("location"),
        "item",
        "units",
        pl.lit("receipt").alias("kind"),
        "line",
        codes("GR", receipts.filter(pl.col("day") < world.sizes.days)["receipt"], 7).alias("document"),
    )
    frame = pl.concat(
        [plain, came.select(plain.columns), _transfers(world, history, numbers).select(plain.columns)]
    )
    frame = frame.sort("day", "location", "kind", "document", "item")
    return frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("movement"))


def _transfers(world: World, history: History, numbers: dict[tuple[str, int], int]) -> pl.DataFrame:
    """Return what left the centres and what has come to the stores, under the number of its shipment."""
    rows: dict[str, list] = {name: [] for name in ("day", "location", "item", "units", "kind", "number")}
    for left, arrives, store, items, units in history.transfer_log:
        number = numbers[world.location_id[world.centres + store], left]
        sides = [("transfer_out", left, world.centre_of_store[store], -1)]
        if arrives < world.sizes.days:
            sides.append(("transfer_in", arrives, world.centres + store, 1))
        for kind, day, location, sign in sides:
            rows["day"] += [day] * len(items)
            rows["location"] += [int(location)] * len(items)
            rows["item"] += items.tolist()
            rows["units"] += (sign * units).tolist()
            rows["kind"] += [kind] * len(items)
            rows["number"] += [number] * len(items)
    schema = {name: pl.String if name == "kind" else pl.Int64 for name in rows}
    frame = pl.DataFrame(rows, schema=schema)
    return frame.with_columns(
        codes("SH", frame["number"], 7).alias("document"), pl.lit(None, pl.Int64).alias("line")
    )


class _Errors:
    """Chooses postings and posts them wrongly, at most one error in each item's stock at a location."""

    def __init__(self, world: World, ledger: Ledger, missing: tuple[int, int, int]) -> None:
        self.world, self.ledger = world, ledger
        self.random = world.sizes.random("stock breaks")
        self.unseen = {day + shift for day in missing[:2] for shift in (-1, 0, 1) if day >= 0}
        self.used: set[tuple[int, int]] = set()

    def make(self, counts: dict[str, int]) -> None:
        postings = self.ledger.postings
        day, last = postings["day"], self.world.sizes.days - 9
        good = (day >= 4) & (day <= last) & ~day.is_in(list(self.unseen))
        candidates = np.flatnonzero(good.to_numpy())
        order = iter(self.random.permutation(candidates).tolist())
        edits: dict[int, dict] = {}
        more: list[dict] = []
        for kind, count in counts.items():
            for _ in range(count):
                row = next((r for r in order if self._is_free(postings.row(r, named=True), kind)), None)
                if row is None:
                    break  # a world too small for its errors
                self._post(kind, row, postings.row(row, named=True), edits, more)
        self._apply(edits, more)

    def _is_free(self, row: dict, kind: str) -> bool:
        """Whether the item's stock is read around the day, and nothing else is wrong with it."""
        listed = (
            self.world.introduced[row["item"]] + 1 < row["day"] < self.world.discontinued[row["item"]] - 8
        )
        is_long = kind != "wrong_day" or not self.unseen & set(range(row["day"], row["day"] + 6))
        return bool(listed) and is_long and (row["location"], row["item"]) not in self.used

    def _post(self, kind: str, at: int, row: dict, edits: dict[int, dict], more: list[dict]) -> None:
        units, resolved, edit = row["units"], None, dict(row)
        if kind == "missing":
            edit = {}
        elif kind == "doubled":
            more.append(dict(row))
            units = -units
        elif kind == "wrong_units":
            wrong_by = int(self.random.integers(1, 9)) * (1 if units > 0 else -1)
            edit["units"] += wrong_by
            units = -wrong_by
        elif kind == "wrong_day":
            resolved = row["day"] + int(self.random.integers(2, 6))
            edit["day"] = resolved
        elif (other := self._other_item(row)) is not None:
            edit["item"] = other
            self._note(kind, edit, -units, None)
        else:
            return
        self._note(kind, row, units, resolved)
        edits[at] = edit

    def _other_item(self, row: dict) -> int | None:
        for item in self.random.permutation(self.world.sizes.items).tolist():
            if item != row["item"] and self._is_free({**row, "item": item}, "wrong_item"):
                return int(item)
        return None

    def _note(self, kind: str, row: dict, units: int, resolved: int | None) -> None:
        self.used.add((row["location"], row["item"]))
        self.ledger.breaks.append(
            (kind, row["movement"], row["location"], row["item"], row["day"], units, resolved)
        )

    def _apply(self, edits: dict[int, dict], more: list[dict]) -> None:
        postings = self.ledger.postings
        left = np.ones(postings.height, bool)
        left[list(edits)] = False
        last = postings["movement"].max() if postings.height else 0
        changed = [edit for edit in edits.values() if edit]
        added = [{**row, "movement": last + n} for n, row in enumerate(more, start=1)]
        rows = pl.DataFrame([*changed, *added], schema=postings.schema)
        self.ledger.postings = pl.concat([postings.filter(pl.Series(left)), rows]).sort("day", "movement")


def ledger_exports(world: World, ledger: Ledger) -> Iterator[Export]:
    """Yield a month's postings after the other, by the day on which they count."""
    days = Days(world.sizes.start, world.sizes.days, WAREHOUSE.date_format)
    frame = ledger.postings.with_columns(
        Days(world.sizes.start, world.sizes.days)(ledger.postings["day"]).alias("date")
    )
    frame = frame.with_columns(pl.col("date").str.slice(0, 7).alias("month"))
    for (month,), part in frame.partition_by("month", as_dict=True, maintain_order=True).items():
        second = part["kind"].replace_strict(_SECONDS, return_dtype=pl.Int64) + part["movement"] % 900
        export = pl.DataFrame(
            {
                "Posting": codes("MV", part["movement"], 9),
                "Movement Date": days(part["day"]),
                "Posted At": days(part["day"]) + " " + clock(second),
                "Location": pick(world.location_id, part["location"]),
                "Item": pick(world.item_id, part["item"]),
                "Type": part["kind"],
                "Units": part["units"].cast(pl.String),
                "Document": part["document"],
                "Document Line": part["line"].cast(pl.String),
            }
        )
        yield Export("stock_ledger", f"erp/stock_ledger_{month}.csv", export, WAREHOUSE)


def breaks_frame(ledger: Ledger) -> pl.DataFrame:
    """Return the truth about wrong postings: kind, movement_id, location, item, day, units, resolved (day or null)."""
    names = {"kind": pl.String, "number": pl.Int64, "location": pl.Int64, "item": pl.Int64, "day": pl.Int64}
    frame = pl.DataFrame(
        ledger.breaks, schema=names | {"units": pl.Int64, "resolved": pl.Int64}, orient="row"
    )
    return frame.with_columns(codes("MV", frame["number"], 9).alias("movement_id")).drop("number")
