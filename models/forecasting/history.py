"""The panel as arrays `[day, series]`: what the models slice by time, so that nothing after an origin can leak in.

What belongs here: the checked way from frames to arrays. Features, models and scores do not.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HORIZON_DAYS = 28
KEYS = ("item_id", "location_id")
KNOWN_AHEAD = ("unit_price", "discount_share", "is_promoted")
PANEL_COLUMNS = (*KEYS, "day", "demand_units", "is_stockout", *KNOWN_AHEAD)


@dataclass(frozen=True)
class History:
    """Demand of every series up to `as_of`, and what is known 28 days further ahead (prices, promotions).

    Day index 0 is `first_day`; the last index of `demand` is `as_of`. Series are sorted by item and location, so
    results do not depend on the order of the panel's rows.
    """

    series: pl.DataFrame
    """One row per series: item_id, location_id; the row number is the series index."""
    first_day: date
    demand: FloatArray = field(repr=False)
    """[day, series] units; NaN where there is no row, or where the day was out of stock (sales are censored)."""
    first_row: IntArray = field(repr=False)
    """[series] day index of the first row of the series."""
    unit_price: FloatArray = field(repr=False)
    """[day + 28, series] company currency, NaN before the first row; likewise the next two."""
    discount_share: FloatArray = field(repr=False)
    is_promoted: FloatArray = field(repr=False)

    @property
    def days(self) -> int:
        """Number of days from the first one to as_of."""
        return int(self.demand.shape[0])

    @property
    def origin(self) -> int:
        """Day index of as_of: the newest origin there is."""
        return self.days - 1

    def day(self, index: int) -> date:
        """Return the date of a day index, past as_of too."""
        return self.first_day + timedelta(days=int(index))

    @cached_property
    def last_in_stock(self) -> FloatArray:
        """[day, series] demand, where unknown that of the same weekday one week before (and so on); causal."""
        filled = self.demand.copy()
        for day in range(7, self.days):
            np.copyto(filled[day], filled[day - 7], where=np.isnan(filled[day]))
        return filled


def read_history(panel: pl.DataFrame, future: pl.DataFrame, as_of: date) -> History:
    """Return the panel (marts.item_location_day) and the plan ahead (marts.item_location_future) as arrays.

    Rows after `as_of` are left out. A stock-out day's sales are censored demand and become NaN: such a day is
    never trained on, never scored, and in a baseline the same weekday before it stands in.
    Raises `InputError` when the panel is empty, lacks a column or repeats an item, location and day.
    """
    require_columns(panel, PANEL_COLUMNS, "marts.item_location_day")
    require_columns(future, (*KEYS, "day", *KNOWN_AHEAD), "marts.item_location_future")
    rows = panel.select(PANEL_COLUMNS).filter(pl.col("day") <= as_of)
    if rows.is_empty():
        raise InputError(
            f"The panel item_location_day has no rows up to {as_of}, so there is nothing to forecast from: "
            "load sales order lines and run again."
        )
    series = rows.select(KEYS).unique().sort(KEYS)
    first_day: date = rows["day"].min()  # type: ignore[assignment]
    days = (as_of - first_day).days + 1
    at, which = _positions(rows, series, first_day)
    _refuse_repeats(rows, at, which, len(series))

    demand = _grid(days, len(series), at, which, rows["demand_units"])
    stockout = rows["is_stockout"].fill_null(False).to_numpy()
    demand[at[stockout], which[stockout]] = np.nan
    first_row = np.full(len(series), days, dtype=np.int64)
    np.minimum.at(first_row, which, at)
    ahead = {name: _known_ahead(name, rows, future, series, first_day, days) for name in KNOWN_AHEAD}
    return History(series, first_day, demand, first_row, **ahead)


def require_columns(frame: pl.DataFrame, columns: tuple[str, ...], table: str) -> None:
    """Raise `InputError` that names the columns which `frame`, read from `table`, lacks."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(
            f"The frame of {table} lacks {', '.join(missing)}: build the marts again, or select all columns."
        )


def _positions(rows: pl.DataFrame, series: pl.DataFrame, first_day: date) -> tuple[IntArray, IntArray]:
    """Return day index and series index of each row; series that are not in `series` get -1."""
    which = rows.select(KEYS).join(
        series.with_row_index("series"), on=KEYS, how="left", maintain_order="left"
    )["series"]
    at = (rows["day"].cast(pl.Date) - first_day).dt.total_days()
    return at.to_numpy().astype(np.int64), which.cast(pl.Int64).fill_null(-1).to_numpy().astype(np.int64)


def _refuse_repeats(rows: pl.DataFrame, at: IntArray, which: IntArray, series: int) -> None:
    cells = at * series + which
    unique, first = np.unique(cells, return_index=True)
    if len(unique) < len(cells):
        again = np.setdiff1d(np.arange(len(cells)), first)[0]
        item, location, day = rows.select(*KEYS, "day").row(int(again))
        raise InputError(
            f"The panel item_location_day has item {item}, location {location}, day {day} more than once "
            f"({len(cells) - len(unique)} repeated rows): build the marts again so that each day stands once."
        )


def _grid(days: int, series: int, at: IntArray, which: IntArray, values: pl.Series) -> FloatArray:
    grid = np.full((days, series), np.nan, dtype=np.float32)
    grid[at, which] = values.cast(pl.Float32).fill_null(np.nan).to_numpy()
    return grid


def _known_ahead(
    name: str, rows: pl.DataFrame, future: pl.DataFrame, series: pl.DataFrame, first_day: date, days: int
) -> FloatArray:
    """Return what was in force on each past day and is planned for the next 28.

    Where the plan is silent the last price holds on, and nothing is promoted.
    """
    grid = _grid(days + HORIZON_DAYS, len(series), *_positions(rows, series, first_day), rows[name])
    at, which = _positions(future, series, first_day)
    planned = (which >= 0) & (at >= days) & (at < days + HORIZON_DAYS)
    values = future[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
    grid[at[planned], which[planned]] = values[planned]
    if name == "unit_price":
        for day in range(1, days + HORIZON_DAYS):
            np.copyto(grid[day], grid[day - 1], where=np.isnan(grid[day]))
        return grid
    return np.nan_to_num(grid, nan=0.0)
