"""Demand ahead, per item and purchasing location: daily mean and variance, and their sums over any stretch of days.

Belongs here: from quantile forecasts of selling locations to what a purchasing location has to supply.
Not here: stock, suppliers, orders.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import InputError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

P10_TO_P90_IN_SIGMAS = 2.563
"""Distance of the 10 % and 90 % quantile of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class DemandAhead:
    """Row i is item `keys[i]`; column t is day `as_of` + 1 + t. The days beyond the forecast repeat its weekdays."""

    keys: pl.DataFrame
    """item_id, location_id (purchasing), in the order of the rows."""
    mean: Floats
    """[rows, days], units."""
    variance: Floats
    """[rows, days], units^2, of the cumulative error: the segment's factor is in it."""

    known_days: int
    """Days of the forecast itself; rates are taken over these, so that no item depends on another's lead time."""

    @property
    def mean_per_day(self) -> Floats:
        """[rows], units: mean daily demand over the forecast."""
        return np.asarray(self.mean[:, : self.known_days].mean(axis=1))

    @property
    def variance_per_day(self) -> Floats:
        """[rows], units^2: mean daily variance over the forecast."""
        return np.asarray(self.variance[:, : self.known_days].mean(axis=1))

    @property
    def days(self) -> int:
        """Number of days ahead."""
        return int(self.mean.shape[1])

    def over(self, rows: Rows, days: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance of the demand of the first `days` (may be fractional) of each of `rows`."""
        return _sum_over(self.mean, rows, days), _sum_over(self.variance, rows, days)

    def days_covered(self, rows: Rows, units: Floats) -> Floats:
        """Return how many days of mean demand `units` cover; infinite where no demand is expected."""
        daily = self.mean[rows]
        total = np.cumsum(daily, axis=1)
        whole = (total <= units[:, None] + 1e-9).sum(axis=1)
        inside = np.minimum(whole, self.days - 1)
        at = np.arange(len(rows))
        used = np.where(whole > 0, total[at, np.maximum(whole, 1) - 1], 0.0)
        rate = np.where(whole < self.days, daily[at, inside], self.mean_per_day[rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            covered = whole + np.maximum(units - used, 0.0) / rate
        return np.where(daily.sum(axis=1) > 0, covered, np.inf)

    def first_day_below(self, rows: Rows, units: Floats, floor_units: Floats) -> Rows:
        """Return the first day (1 is tomorrow) at whose end `units` less mean demand is below the floor; else -1."""
        left = units[:, None] - np.cumsum(self.mean[rows], axis=1)
        is_below = np.round(left - floor_units[:, None], 6) < 0
        return np.where(is_below.any(axis=1), is_below.argmax(axis=1) + 1, -1)


def demand_ahead(
    forecast: pl.DataFrame,
    locations: pl.DataFrame,
    calibration: pl.DataFrame | None,
    series_segment: pl.DataFrame | None,
    keys: pl.DataFrame,
    days: int,
) -> DemandAhead:
    """Return demand of `keys` (item_id, purchasing location_id) for `days` days; keys without forecast have none.

    Daily variance of a series is max(((p90 - p10) / 2.563)^2, mean) times its segment's variance factor. Series of
    one purchasing location add up as if independent: what they share is in the factor, which is measured on sums.
    """
    series = (
        forecast.join(
            series_factor(forecast, calibration, series_segment), on=["item_id", "location_id"], how="left"
        )
        .join(purchasing_location(locations), on="location_id", how="left")
        .with_columns(
            pl.max_horizontal(
                ((pl.col("p90").cast(pl.Float64) - pl.col("p10").cast(pl.Float64)) / P10_TO_P90_IN_SIGMAS)
                ** 2,
                pl.col("mean").cast(pl.Float64),
            ).alias("variance")
            * pl.col("variance_factor")
        )
    )
    lost = series.filter(pl.col("purchasing_location_id").is_null())
    if lost.height:
        raise InputError(
            f"forecasts.demand_forecast: location_id {lost['location_id'][0]} is not in core.dim_location: "
            "add it to the location export and run again."
        )
    sums = (
        series.sort("item_id", "location_id")  # a fixed order of addition: the same bits every time
        .group_by("item_id", "purchasing_location_id", "horizon_days", maintain_order=True)
        .agg(pl.col("mean").cast(pl.Float64).sum(), pl.col("variance").sum())
        .rename({"purchasing_location_id": "location_id"})
    )
    rows = keys.with_row_index("row").join(sums, on=["item_id", "location_id"], how="inner")
    known = int(str(forecast["horizon_days"].max())) if forecast.height else 7
    at = rows["row"].to_numpy(), rows["horizon_days"].cast(pl.Int64).to_numpy() - 1
    mean, variance = np.zeros((keys.height, known)), np.zeros((keys.height, known))
    mean[at], variance[at] = rows["mean"].to_numpy(), rows["variance"].to_numpy()
    return DemandAhead(keys, _repeat_weekdays(mean, days), _repeat_weekdays(variance, days), known)


def series_factor(
    forecast: pl.DataFrame, calibration: pl.DataFrame | None, series_segment: pl.DataFrame | None
) -> pl.DataFrame:
    """Return item_id, location_id, variance_factor of every series: of its segment, else of segment 'all', else 1."""
    series = forecast.select(
        "item_id", "location_id", *(["segment"] if "segment" in forecast.columns else [])
    )
    series = series.unique(["item_id", "location_id"])
    if series_segment is not None and series_segment.height and "segment" not in series.columns:
        segments = series_segment.select("item_id", "location_id", "segment").unique(
            ["item_id", "location_id"]
        )
        series = series.join(segments, on=["item_id", "location_id"], how="left")
    if calibration is None or not calibration.height:
        return series.select("item_id", "location_id", pl.lit(1.0).alias("variance_factor"))
    factors = calibration.select("segment", pl.col("variance_factor").cast(pl.Float64))
    bad = factors.filter(~(pl.col("variance_factor") > 0) | pl.col("variance_factor").is_null())
    if bad.height or factors["segment"].is_duplicated().any():
        raise InputError(
            "forecasts.calibration needs one variance_factor above 0 for each segment: calibrate the forecast again."
        )
    of_all = factors.filter(pl.col("segment") == "all")["variance_factor"]
    fallback = float(of_all[0]) if of_all.len() else 1.0
    if "segment" not in series.columns:
        return series.select("item_id", "location_id", pl.lit(fallback).alias("variance_factor"))
    joined = series.join(factors, on="segment", how="left")
    return joined.select("item_id", "location_id", pl.col("variance_factor").fill_null(fallback))


def purchasing_location(locations: pl.DataFrame) -> pl.DataFrame:
    """Return location_id, purchasing_location_id: where each location's stock is bought, itself by default."""
    return locations.select(
        "location_id", pl.coalesce("purchasing_location_id", "location_id").alias("purchasing_location_id")
    )


def _repeat_weekdays(values: Floats, days: int) -> Floats:
    """Extend [rows, known] to [rows, days] by the mean of each weekday, so that a weekly rhythm goes on."""
    known = values.shape[1]
    if days <= known:
        return values
    pattern = np.stack([values[:, weekday::7].mean(axis=1) for weekday in range(7)], axis=1)
    return np.concatenate([values, pattern[:, np.arange(known, days) % 7]], axis=1)


def _sum_over(values: Floats, rows: Rows, days: Floats) -> Floats:
    total = np.concatenate([np.zeros((values.shape[0], 1)), np.cumsum(values, axis=1)], axis=1)
    whole = np.minimum(np.floor(days).astype(np.int64), values.shape[1] - 1)
    return np.asarray(total[rows, whole] + (days - whole) * values[rows, whole])
