"""Rows to learn from and rows to forecast: (series, origin, horizon) with features known at the origin.

Features at the origin come from a `FeatureReader` (in production Feast's historical features of the service
demand_forecast_v1); what is known ahead of the target day (calendar, planned price and promotion) and what a whole
item or location tells is added here. Nothing of a day after the origin is read except what is planned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.errors import StocklakeError
from models.forecasting.history import HORIZON_DAYS, KEYS, FloatArray, History, IntArray, require_columns

FeatureReader = Callable[[pl.DataFrame], pl.DataFrame]
"""Entity rows (item_id, location_id, event_timestamp: UTC, naive) -> the same rows in the same order + features."""

DOW_MEANS = tuple(f"dow_mean_{day}" for day in range(1, 8))
LEVELS = ("demand_units", "lag_7", "lag_14", "lag_28", "mean_7", "mean_28", "mean_91", "std_28")
"""In units: the model sees them as a share of the series' own level."""
STATES = ("zero_share_28", "days_since_last_sale")
ORIGIN_FEATURES = (*LEVELS, *DOW_MEANS, *STATES, "unit_price", "discount_share", "is_promoted")

MIN_HISTORY_DAYS = 7
TRAINING_DAYS = 364
MIN_LEVEL_UNITS = 0.05
_WEEK = 7
GROUP_WEEKS = 8


@dataclass(frozen=True)
class Rows:
    """Parallel arrays, one element per row: series index, day index of the origin, horizon in days (1..28)."""

    series: IntArray
    origin: IntArray
    horizon: IntArray

    @property
    def target(self) -> IntArray:
        """Day index of the day that is forecast."""
        return self.origin + self.horizon

    def take(self, keep: IntArray) -> "Rows":
        """Return the rows at the given positions."""
        return Rows(self.series[keep], self.origin[keep], self.horizon[keep])


def sample_rows(history: History, last_target: int, count: int, seed: int) -> Rows:
    """Return at most `count` training rows whose target day is known and not after day index `last_target`.

    Series and origins of the last 364 days are drawn evenly without replacement, each with one horizon out of
    each of the four weeks ahead. Stock-out days are never a target: their sales are not their demand.
    """
    random = np.random.default_rng(seed)
    first = max(0, last_target - TRAINING_DAYS)
    origins = np.arange(first, last_target)
    eligible = origins[:, None] >= history.first_row[None, :] + MIN_HISTORY_DAYS - 1
    pairs = np.flatnonzero(eligible)
    weeks = HORIZON_DAYS // _WEEK
    wanted = min(len(pairs), max(1, count // weeks))
    pairs = np.sort(random.choice(pairs, size=wanted, replace=False)) if len(pairs) else pairs
    origin, series = np.divmod(pairs, eligible.shape[1])
    horizon = random.integers(1, _WEEK + 1, size=(len(pairs), weeks)) + _WEEK * np.arange(weeks)
    rows = Rows(np.repeat(series, weeks), np.repeat(origin + first, weeks), horizon.ravel())
    inside = np.flatnonzero(rows.target <= last_target)
    rows = rows.take(inside)
    return rows.take(np.flatnonzero(~np.isnan(history.demand[rows.target, rows.series])))


def rows_at(history: History, origin: int) -> Rows:
    """Return 28 rows for every series at one origin, ordered by horizon, then series."""
    series = np.arange(len(history.series))
    horizons = np.arange(1, HORIZON_DAYS + 1)
    return Rows(
        np.tile(series, HORIZON_DAYS),
        np.full(len(series) * HORIZON_DAYS, origin),
        np.repeat(horizons, len(series)),
    )


class FeatureFrame:
    """Makes the model's features for rows; reads the origin's features once per (series, origin)."""

    def __init__(self, history: History, calendar: pl.DataFrame, reader: FeatureReader) -> None:
        """`calendar` is core.dim_calendar: calendar_date, is_weekend, is_holiday."""
        require_columns(calendar, ("calendar_date", "is_weekend", "is_holiday"), "core.dim_calendar")
        self.history = history
        self.reader = reader
        self.item = Group.of(history, "item_id")
        self.location = Group.of(history, "location_id")
        days = [history.day(index) for index in range(history.days + HORIZON_DAYS + 1)]
        known = pl.DataFrame({"calendar_date": days}).join(
            calendar.unique("calendar_date"), on="calendar_date", how="left", maintain_order="left"
        )
        self.is_holiday = _number(known, "is_holiday")
        self.is_weekend = _number(known, "is_weekend")
        self.day_of_month = known["calendar_date"].dt.day().to_numpy()
        self.day_of_year = known["calendar_date"].dt.ordinal_day().to_numpy()
        self.promoted = _cumulative(np.nan_to_num(history.is_promoted))

    def features(self, rows: Rows) -> tuple[pl.DataFrame, FloatArray]:
        """Return the features, one row per row, and each row's level in units: the scale of its target.

        The level is NaN where the reader knows nothing (the series had not begun, or its features are too old):
        such a row can be neither learned nor forecast.
        """
        count = len(self.history.series)
        entities, entity = np.unique(rows.origin * count + rows.series, return_inverse=True)
        origin, series = np.divmod(entities, count)
        known = self._read(origin, series)
        level = np.maximum((_number(known, "mean_28") + _number(known, "mean_91")) / 2, MIN_LEVEL_UNITS)
        columns: dict[str, npt.NDArray[Any]] = {
            f"{name}_ratio": (_number(known, name) / level)[entity] for name in LEVELS
        }
        columns |= {name: _number(known, name)[entity] for name in STATES}
        columns["log_level"] = np.log(level)[entity]
        columns["age_days"] = np.minimum(origin - self.history.first_row[series], TRAINING_DAYS)[entity]
        weekday = (rows.target + self.history.first_day.weekday()) % _WEEK
        weekday_means = np.stack([_number(known, name) for name in DOW_MEANS])
        columns["dow_mean_ratio"] = weekday_means[weekday, entity] / level[entity]
        newest = newest_same_weekday(rows)
        columns["same_weekday_ratio"] = self.history.last_in_stock[newest, rows.series] / level[entity]
        columns |= self.item.features("item", rows) | self.location.features("location", rows)
        columns["location_code"] = self.location.of_series[rows.series]
        columns |= self._target_day(rows) | self._price_and_promotion(rows, known, entity)
        columns["weekday"] = weekday
        frame = pl.DataFrame({name: np.asarray(values, dtype=np.float32) for name, values in columns.items()})
        return frame, level[entity]

    def _read(self, origin: IntArray, series: IntArray) -> pl.DataFrame:
        midnight = np.datetime64(self.history.first_day, "D") + origin + 1
        entities = self.history.series[series].with_columns(
            event_timestamp=pl.Series(midnight).cast(pl.Datetime("us"))
        )
        known = self.reader(entities)
        missing = [name for name in ORIGIN_FEATURES if name not in known.columns]
        if missing:
            raise StocklakeError(
                f"The feature reader returned no {', '.join(missing)}: add them to the feature service "
                "demand_forecast_v1 and apply it."
            )
        if not known.select(KEYS).equals(entities.select(KEYS)):
            raise StocklakeError(
                f"The feature reader returned {len(known)} rows for {len(entities)} entities, or in another order: "
                "it has to keep every entity row in its place."
            )
        return known

    def _target_day(self, rows: Rows) -> dict[str, FloatArray]:
        year = 2 * np.pi * self.day_of_year[rows.target] / 365.25
        return {
            "horizon_days": rows.horizon,
            "day_of_month": self.day_of_month[rows.target],
            "year_sin": np.sin(year),
            "year_cos": np.cos(year),
            "is_weekend": self.is_weekend[rows.target],
            "is_holiday": self.is_holiday[rows.target],
            "is_before_holiday": self.is_holiday[rows.target + 1],
        }

    def _price_and_promotion(
        self, rows: Rows, known: pl.DataFrame, entity: IntArray
    ) -> dict[str, FloatArray]:
        """Of the target day as planned, beside what the levels at the origin were made of."""
        at = (rows.target, rows.series)
        history, weeks = self.history, HORIZON_DAYS
        with np.errstate(divide="ignore", invalid="ignore"):
            price_ratio = history.unit_price[at] / _number(known, "unit_price")[entity]
        past = window_sum(self.promoted, rows.origin, rows.series, weeks) / weeks
        return {
            "price_ratio": np.where(np.isfinite(price_ratio), price_ratio, np.nan),
            "discount_share": history.discount_share[at],
            "is_promoted": history.is_promoted[at],
            "discount_share_at_origin": _number(known, "discount_share")[entity],
            "is_promoted_at_origin": _number(known, "is_promoted")[entity],
            "promoted_share_28": past,
            "promoted_same_weekday": history.is_promoted[newest_same_weekday(rows), rows.series],
        }


def newest_same_weekday(rows: Rows) -> IntArray:
    """Return the day index of the target's weekday in the last week that the origin knows."""
    return rows.target - _WEEK * ((rows.horizon + _WEEK - 1) // _WEEK)


@dataclass(frozen=True)
class Group:
    """Demand of all series of one item or location: a single series is often too thin to show trend or weekday."""

    of_series: IntArray
    by_day: FloatArray
    """[day, group] units accumulated over all days."""
    by_week: FloatArray
    """[day, group] units accumulated over the same weekdays."""

    @classmethod
    def of(cls, history: History, key: str) -> "Group":
        """Sum what was demanded by `key`; a stock-out day counts as the same weekday before it."""
        of_series = history.series[key].rank("dense").to_numpy().astype(np.int64) - 1
        totals = np.zeros((history.days, int(of_series.max()) + 1), dtype=np.float64)
        demand = np.nan_to_num(history.last_in_stock)
        np.add.at(totals.T, of_series, demand.T)
        return cls(of_series, _cumulative(totals), _cumulative(totals, step=_WEEK))

    def features(self, name: str, rows: Rows) -> dict[str, FloatArray]:
        """Return trend (a week against four, four against thirteen) and the target's weekday against all days."""
        group = self.of_series[rows.series]
        week, month, quarter = (
            window_sum(self.by_day, rows.origin, group, days) / days for days in (7, 28, 91)
        )
        weekday = window_sum(self.by_week, newest_same_weekday(rows), group, GROUP_WEEKS, step=_WEEK)
        every_day = window_sum(self.by_day, rows.origin, group, GROUP_WEEKS * _WEEK) / _WEEK
        return {
            f"{name}_trend_7": _ratio(week, month),
            f"{name}_trend_28": _ratio(month, quarter),
            f"{name}_weekday": _ratio(weekday, every_day),
        }


def window_sum(
    cumulative: FloatArray, last: IntArray, column: IntArray, count: int, step: int = 1
) -> FloatArray:
    """Return the sum over `count` days, `step` apart, that end with day index `last`."""
    before = last - count * step
    earlier = np.where(before >= 0, cumulative[np.maximum(before, 0), column], 0.0)
    return cumulative[last, column] - earlier


def _cumulative(values: FloatArray, step: int = 1) -> FloatArray:
    total = values.astype(np.float64)
    for day in range(step, len(total)):
        total[day] += total[day - step]
    return total


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.where(whole > 0, part / np.maximum(whole, 1e-9), 1.0)


def _number(frame: pl.DataFrame, name: str) -> FloatArray:
    """A column as float, null as NaN."""
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
