"""How a company orders, read off its past: on which weekdays, in what packs, and below which stock its places are sent to.

Who replenishes stores is often nobody's plan but a rule in the till system. On a day on which a lane is ordered on, each item
of the place either was sent or was not, at a stock position that the lake knows. The reorder point is the one by which the
fewest of those answers would be wrong; the order-up-to level is the median position after an order, less half of what
rounding up to whole packs adds. Levels of most companies follow demand, so both are looked for in units over a power of
the demand of the weeks before: of the powers, the one by which the fewest answers are wrong. Cost: a sort of order days x
items for each power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.inventory import distributions, safety_stock
from models.twin.network import Lane, LeadTime

Floats = NDArray[np.float64]
FEWEST_ORDERS, FEWEST_LOOKS = 3, 8
"""Below so many orders, or days on which there could have been one, a level is a guess: the place is not read."""
POWERS = (0.0, 0.5, 0.75, 1.0)
"""0: levels in units; 1: in days of demand. What covers a mean follows it whole, what covers its spread by the root."""
DEMAND_DAYS = 56
UNSEEN_UNITS = 2.0
"""Added to the demand of the weeks before: an item of which nobody bought any is not expected to sell none."""
PLACE = ["location_id", "item_id"]
SHIPS_ON = 0.3
"""A weekday counts as one on which orders are placed when so many of the recent weeks had one (against the busiest)."""
CASES = (24, 12, 10, 8, 6, 5, 4, 3, 2)


@dataclass(frozen=True)
class Past:
    """What the lake knows of the recent past of such places."""

    inventory: pl.DataFrame
    """item_id, location_id, snapshot_date, on_hand_units, in_transit_units at the end of each day."""
    transfers: pl.DataFrame
    """destination, item_id, day, units that left for it."""
    demand: pl.DataFrame
    """item_id, location_id, day, units."""
    feeds: pl.DataFrame
    """location_id, replenished_from."""
    packs: pl.DataFrame
    """item_id, pack_units."""


@dataclass(frozen=True)
class Observed:
    """How places order."""

    levels: pl.DataFrame
    """location_id, item_id, point_units, level_units (as of the last day), looks, orders."""
    power: float
    """By which levels follow demand."""
    wrong_share: float
    """Of all answers, those that the levels found do not explain."""


def observed_levels(past: Past, since: date, as_of: date) -> Observed:
    """Return the levels of places whose transfers after `since` say how they order.

    Days on which the origin had not one pack left to send say nothing and are not looked at.
    """
    looks, rate = _looks(past, since), _rate(past.demand)
    found = []
    for power in POWERS:
        scaled = looks.join(rate.select(*PLACE, "day", per=pl.col("rate") ** power), on=[*PLACE, "day"])
        scaled = scaled.with_columns(
            before=pl.col("before") / pl.col("per"), after=pl.col("after") / pl.col("per")
        )
        levels = _points(scaled).join(_up_to(scaled), on=PLACE).filter(
            pl.col("orders") >= FEWEST_ORDERS, pl.col("looks") >= FEWEST_LOOKS, pl.col("level") >= pl.col("point")
        )  # fmt: skip
        wrong = float(levels["wrong"].sum()) / max(float(levels["looks"].sum()), 1.0)
        found.append((wrong, power, levels))
    wrong, power, levels = min(found, key=lambda each: each[:2])
    newest = (
        rate.filter(pl.col("day") <= as_of)
        .sort("day")
        .group_by(PLACE)
        .agg(per=pl.col("rate").last() ** power)
    )
    units = levels.join(newest, on=PLACE).select(
        *PLACE, "looks", "orders",
        point_units=(pl.col("point") * pl.col("per")).ceil(), level_units=(pl.col("level") * pl.col("per")).ceil(),
    )  # fmt: skip
    return Observed(units.sort(PLACE), power, wrong)


def _looks(past: Past, since: date) -> pl.DataFrame:
    """Return each item on each day that its place's lane was ordered on: position before and after, and whether it was sent."""
    asked = (
        past.transfers.filter(pl.col("day") > since)
        .group_by(pl.col("destination").alias("location_id"), "item_id", "day")
        .agg(pl.col("units").sum().cast(pl.Float64))
    )
    on_hand = pl.col("on_hand_units").cast(pl.Float64)
    stock = past.inventory.filter(pl.col("snapshot_date") > since).select(
        *PLACE, pl.col("snapshot_date").alias("day"), on_hand=on_hand,
        # counted at the end of the day: what was ordered has left the origin and is under way, or there
        after=on_hand + pl.col("in_transit_units").cast(pl.Float64).fill_null(0),
    )  # fmt: skip
    left = stock.select(pl.col("location_id").alias("replenished_from"), "item_id", "day", left="on_hand")
    return (
        asked.select("location_id", "day")
        .unique()
        .join(stock, on=["location_id", "day"])
        .join(past.feeds.drop_nulls(), on="location_id")
        .join(left, on=["replenished_from", "item_id", "day"])
        .join(past.packs, on="item_id", how="left")
        .with_columns(pl.col("pack_units").fill_null(1.0))
        .filter(pl.col("left") >= pl.col("pack_units"))
        .join(asked, on=[*PLACE, "day"], how="left")
        .with_columns(pl.col("units").fill_null(0.0))
        .with_columns(
            before=pl.col("after") - pl.col("units"),
            after=pl.col("after") - (pl.col("pack_units") - 1) / 2,
            ordered=pl.col("units") > 0,
        )
    )


def _rate(demand: pl.DataFrame) -> pl.DataFrame:
    """Return units a day over the weeks up to each day, per place and item."""
    units = pl.col("units").cast(pl.Float64).fill_null(0)
    asked = units.rolling_sum(DEMAND_DAYS, min_samples=1).over(PLACE)
    return demand.sort("day").select(*PLACE, "day", rate=(asked + UNSEEN_UNITS) / DEMAND_DAYS)


def _points(looks: pl.DataFrame) -> pl.DataFrame:
    """Return the reorder point of each place and item: positions below it order. Of equally good ones the middle."""
    orders, kept = pl.col("orders"), pl.col("kept")
    steps = (
        looks.group_by(*PLACE, "before")
        .agg(orders=pl.col("ordered").sum().cast(pl.Int64), kept=(~pl.col("ordered")).sum().cast(pl.Int64))
        .sort(*PLACE, "before")
        .with_columns(
            # the point just above this position: who did not order up to here is wrong, and who ordered above it
            wrong=kept.cum_sum().over(PLACE) + orders.sum().over(PLACE) - orders.cum_sum().over(PLACE),
            looks=(orders + kept).sum().over(PLACE), all_orders=orders.sum().over(PLACE),
            following=pl.col("before").shift(-1).over(PLACE),
        )
    )  # fmt: skip
    best = steps.filter(pl.col("wrong") == pl.col("wrong").min().over(PLACE))
    between = (pl.col("before") + pl.coalesce("following", "before")) / 2
    return best.group_by(PLACE).agg(
        point=between.mean(), wrong=pl.col("wrong").first(), looks=pl.col("looks").first(), orders=pl.col("all_orders").first()
    )  # fmt: skip


def _up_to(looks: pl.DataFrame) -> pl.DataFrame:
    return looks.filter("ordered").group_by(PLACE).agg(level=pl.col("after").median())


def protection_levels(
    rate: Floats, variance_ratio: Floats, lead_time: LeadTime, review_days: float, service: Floats
) -> tuple[Floats, Floats]:
    """Return (s, S) [item] by which a place that orders every `review_days` has enough with probability `service`.

    `rate`: units a day; `variance_ratio`: variance of a day's demand over its mean. 0 where nobody asks.
    """
    expected, spread = safety_stock.protection_period(
        rate, rate * variance_ratio, np.full_like(rate, lead_time.mean),
        np.full_like(rate, lead_time.variance**0.5), review_days,
    )  # fmt: skip
    law = distributions.distribution_for(expected, spread)
    needed = distributions.demand_quantile(service, expected, spread, law)
    point = np.where(rate > 0, np.ceil(needed), 0)
    return point, np.where(rate > 0, np.ceil(needed + np.maximum(rate * review_days, 1)), 0)


def case_units(transfers: pl.DataFrame, item_at: Mapping[str, int]) -> Floats:
    """Return the units in which an item moves between places [item]: the largest number that divides nearly all transfers."""
    found = np.ones(len(item_at))
    for item, units in transfers.group_by("item_id").agg("units").iter_rows():
        if item in item_at:
            values = np.asarray(units)
            fits = [size for size in CASES if (values % size == 0).mean() > 0.98]
            found[item_at[item]] = fits[0] if fits and len(values) > 5 else 1
    return found


def order_weekdays(ordered: pl.DataFrame, lanes: Sequence[Lane]) -> Floats:
    """Return 1 on the weekdays that a lane is ordered on, [7, lane]; every day, where there was too little to tell.

    `ordered`: origin, destination, day of the recent past.
    """
    days = ordered.unique().group_by("origin", "destination").agg(pl.col("day").dt.weekday())
    known = {(origin, destination): weekdays for origin, destination, weekdays in days.iter_rows()}
    found = np.ones((7, len(lanes)))
    for at, lane in enumerate(lanes):
        seen = np.bincount(np.asarray(known.get((lane.origin, lane.destination), []), int) - 1, minlength=7)
        if seen.sum() >= FEWEST_LOOKS:
            found[:, at] = seen >= SHIPS_ON * seen.max()
    return found
