"""What is true, for tests that score the platform against it. The platform never reads these files."""

import io

import numpy as np
import polars as pl

from generator.demand import Demand
from generator.dirt import Dirt
from generator.operations import order_lines, receipt_lines
from generator.signals import truth as signal_truth
from generator.simulation import History, movements
from generator.world import CLASSES, World
from generator.writing import Folder


def write_truth(
    truth: Folder, world: World, demand: Demand, history: History, lines: pl.DataFrame, dirt: Dirt
) -> None:
    """Write every true table, and the record of what was made wrong in the exports."""
    for name, frame in (
        ("bad_rows", dirt.bad_rows()),
        ("bad_files", dirt.bad_files()),
        ("dirt", dirt.rates()),
    ):
        truth.write(f"{name}.csv", frame.write_csv().encode())
    tables = {
        "item": _items(world),
        "supplier": pl.DataFrame(
            {
                "supplier_id": world.supplier_id,
                "lead_time_mean_days": world.lead_mean,
                "lead_time_std_days": world.lead_mean * world.lead_cv,
            }
        ),
        "demand": _demand(world, demand, history),
        "stock": _stock(world, history),
        "opening_stock": _opening(world, history),
        "movement": _named(world, movements(world, history)),
        "lead_time": _lead_times(world, history),
        "sales_order_line": _lines(world, lines),
        "signal": signal_truth(world, demand),
    }
    for name, frame in tables.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1)
        truth.write(f"{name}.parquet", buffer.getvalue())


def _items(world: World) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": world.item_id,
            "demand_class": [CLASSES[k] for k in world.item_class],
            "price_elasticity": world.elasticity,
            "introduced_day": world.introduced,
            "discontinued_day": world.discontinued,
        }
    )


def _demand(world: World, demand: Demand, history: History) -> pl.DataFrame:
    """Return one row per day, store and item that customers wanted: demand, sold and lost units."""
    day, store, item = np.nonzero(demand.units)
    wanted, sold = demand.units[day, store, item], history.sales[day, store, item].astype(np.int64)
    columns = {"day": day, "location": store + world.centres, "item": item}
    frame = pl.DataFrame({**columns, "demand_units": wanted, "sold_units": sold, "lost_units": wanted - sold})
    return _named(world, frame)


def _stock(world: World, history: History) -> pl.DataFrame:
    """Return one row per day, location and item, zeros too: closing stock and what is on its way to the location."""
    days, locations, items = history.closing.shape
    grid = {
        "day": np.repeat(np.arange(days), locations * items),
        "location": np.tile(np.repeat(np.arange(locations), items), days),
        "item": np.tile(np.arange(items), days * locations),
    }
    units = {"closing_units": history.closing.ravel(), "in_transit_units": history.in_transit.ravel()}
    return _named(world, pl.DataFrame({**grid, **units}))


def _opening(world: World, history: History) -> pl.DataFrame:
    location, item = np.nonzero(history.opening)
    frame = pl.DataFrame(
        {"location": location, "item": item, "opening_units": history.opening[location, item]}
    )
    return _named(world, frame)


def _lead_times(world: World, history: History) -> pl.DataFrame:
    """Return one row per receipt line that was or, after the last day, will be: ordered, expected, received."""
    orders = order_lines(world, history).select(
        "order", "line", "expected", pl.col("units").alias("ordered_units")
    )
    frame = receipt_lines(world, history).join(
        orders, on=["order", "line"], how="left", maintain_order="left"
    )
    start = pl.lit(world.sizes.start)
    return frame.select(
        pl.format("PO{}", (pl.col("order") + 1).cast(pl.String).str.zfill(7)).alias("purchase_order_id"),
        pl.col("line").alias("purchase_order_line"),
        pl.Series("supplier_id", world.supplier_id).gather(frame["supplier"]),
        pl.Series("item_id", world.item_id).gather(frame["item"]),
        pl.Series("location_id", world.location_id).gather(frame["centre"]),
        *((start + pl.duration(days=pl.col(name))).alias(f"{new}_on") for name, new in _LEAD_DAYS),
        "ordered_units",
        pl.col("units").alias("received_units"),
        (pl.col("day") - pl.col("ordered")).alias("lead_time_days"),
    )


_LEAD_DAYS = (("ordered", "ordered"), ("expected", "expected"), ("day", "received"))


def _lines(world: World, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the true sales lines: what the exports hold once duplicates are gone and corrections have come."""
    frame = lines.with_columns(
        (pl.col("store") + world.centres).alias("location"),
        pl.format("SO{}", pl.col("order").cast(pl.String).str.zfill(8)).alias("order_id"),
    )
    frame = frame.select("day", "location", "item", "order_id", "line", "quantity", "cents")
    return _named(world, frame).rename(
        {"line": "order_line", "quantity": "quantity_units", "cents": "unit_price_cents"}
    )


def _named(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with dates and codes in place of indices."""
    start = pl.lit(world.sizes.start)
    columns = []
    for name in frame.columns:
        if name == "day":
            columns.append((start + pl.duration(days=pl.col("day"))).alias("day"))
        elif name == "location":
            columns.append(pl.Series("location_id", world.location_id).gather(frame[name]))
        elif name == "item":
            columns.append(pl.Series("item_id", world.item_id).gather(frame[name]))
        else:
            columns.append(pl.col(name))
    return frame.select(columns)
