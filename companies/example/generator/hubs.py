"""Scans of the hubs that long shipments pass: in and out, and the few that were never made."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from generator.operations import receipt_lines, shipments
from generator.simulation import History
from generator.texts import Days, clock, codes
from generator.world import World
from generator.writing import Export

HUBS = {"road": "HUB-MEM", "rail": "HUB-CHI", "air": "HUB-ANC"}
LONG_WAY_DAYS = 3
MISSED_SHARE = 0.02
"""Of the scans that nobody made."""


@dataclass(frozen=True)
class Scans:
    """Every scan that was due by the last day: shipment, hub, event, day, second, is_missed."""

    frame: pl.DataFrame


def make_scans(world: World, history: History) -> Scans:
    """Return the scans: a shipment from a supplier that is 3 days or more on its way passes its mode's hub."""
    random = world.sizes.random("hubs")
    sent = shipments(world, history, receipt_lines(world, history))
    long = sent.filter((pl.col("order") >= 0) & (pl.col("arrives") - pl.col("left") >= LONG_WAY_DAYS))
    left, way = long["left"].to_numpy(), (long["arrives"] - long["left"]).to_numpy()
    arrived = left + np.maximum(1, np.round(way * random.uniform(0.3, 0.6, long.height))).astype(int)
    dwell = np.minimum(random.integers(0, 3, long.height), left + way - arrived - 1).clip(0)
    morning = 21_600 + random.integers(0, 14_400, long.height)
    evening = 50_400 + random.integers(0, 21_600, long.height)
    hub = (
        long["mode"].cast(pl.String).replace_strict(HUBS, return_dtype=pl.String)
    )  # of no row the type is null
    parts = [
        pl.DataFrame({"shipment": long["shipment"], "hub": hub, "day": day, "second": second}).with_columns(
            pl.lit(event).alias("event")
        )
        for event, day, second in (
            ("hub_arrived", arrived, morning),
            ("hub_departed", arrived + dwell, evening),
        )
    ]
    frame = pl.concat(parts).with_columns(
        pl.Series("is_missed", random.random(2 * long.height) < MISSED_SHARE)
    )
    seen = (pl.col("day") >= 0) & (pl.col("day") < world.sizes.days)
    return Scans(frame.filter(seen).sort("day", "second", "shipment", "event"))


def scan_exports(world: World, scans: Scans) -> Iterator[Export]:
    """Yield a month's scans after the other."""
    days = Days(world.sizes.start, world.sizes.days)
    made = scans.frame.filter(~pl.col("is_missed"))
    made = made.with_columns(days(made["day"]).str.slice(0, 7).alias("month"))
    for (month,), part in made.partition_by("month", as_dict=True, maintain_order=True).items():
        frame = pl.DataFrame(
            {
                "shipment": codes("SH", part["shipment"], 7),
                "hub": part["hub"],
                "scan": part["event"],
                "scanned_at": days(part["day"]) + " " + clock(part["second"]),
                "sent_at": days(part["day"]) + " " + clock(part["second"] + 600),
            }
        )
        yield Export("hub_scan", f"logistics/hub_scan_{month}.csv", frame)


def scans_frame(world: World, scans: Scans) -> pl.DataFrame:
    """Return the truth about the scans: shipment_id, hub, event, at, is_missed."""
    start = pl.lit(world.sizes.start).cast(pl.Datetime)
    return scans.frame.select(
        codes("SH", scans.frame["shipment"], 7).alias("shipment_id"),
        "hub",
        "event",
        (start + pl.duration(days=pl.col("day"), seconds=pl.col("second"))).alias("at"),
        "is_missed",
    )
