"""Forecast errors as functions from a frame and column names to a frame, one row per group of `by`.

Demand and forecasts are in units. Every function leaves the frame as it is and knows nothing of models or origins.
"""

from collections.abc import Sequence

import polars as pl

QUANTILE_COLUMNS = {0.1: "p10", 0.5: "p50", 0.9: "p90"}


def pinball_loss(frame: pl.DataFrame, by: Sequence[str], demand: str = "demand_units") -> pl.DataFrame:
    """Return the mean pinball loss over the quantiles .1, .5 and .9: a proper score of the whole distribution.

    For the forecast f of quantile q and demand y, in units (R. Koenker, G. Bassett, Econometrica 46, 1978):
    max(q (y - f), (q - 1) (y - f)).

    >>> day = pl.DataFrame({"model": ["m"], "demand_units": [10.0], "p10": [4.0], "p50": [8.0], "p90": [12.0]})
    >>> pinball_loss(day, ["model"])["pinball_loss"].round(4).to_list()  # (.1 * 6 + .5 * 2 + .1 * 2) / 3
    [0.6]
    """
    losses = [
        pl.max_horizontal(q * (pl.col(demand) - pl.col(name)), (q - 1) * (pl.col(demand) - pl.col(name)))
        for q, name in QUANTILE_COLUMNS.items()
    ]
    return _mean(frame, by, "pinball_loss", pl.mean_horizontal(losses))


def mae(
    frame: pl.DataFrame, by: Sequence[str], forecast: str = "p50", demand: str = "demand_units"
) -> pl.DataFrame:
    """Return the mean absolute error in units; the median is the forecast that it rewards.

    >>> days = pl.DataFrame({"model": ["m", "m"], "demand_units": [1.0, 5.0], "p50": [2.0, 2.0]})
    >>> mae(days, ["model"])["mae"].to_list()
    [2.0]
    """
    return _mean(frame, by, "mae", (pl.col(demand) - pl.col(forecast)).abs())


def bias(
    frame: pl.DataFrame, by: Sequence[str], forecast: str = "mean", demand: str = "demand_units"
) -> pl.DataFrame:
    """Return the mean of forecast minus demand in units: above 0 is forecast too high.

    >>> days = pl.DataFrame({"model": ["m", "m"], "demand_units": [1.0, 5.0], "mean": [2.0, 2.0]})
    >>> bias(days, ["model"])["bias"].to_list()
    [-1.0]
    """
    return _mean(frame, by, "bias", pl.col(forecast) - pl.col(demand))


def coverage_80(frame: pl.DataFrame, by: Sequence[str], demand: str = "demand_units") -> pl.DataFrame:
    """Return the share of demand within p10 and p90, both included; 0.8 is right, more where demand is often 0.

    >>> days = pl.DataFrame({"model": ["m"] * 2, "demand_units": [1.0, 9.0], "p10": [1.0] * 2, "p90": [4.0] * 2})
    >>> coverage_80(days, ["model"])["coverage_80"].to_list()
    [0.5]
    """
    return _mean(frame, by, "coverage_80", pl.col(demand).is_between(pl.col("p10"), pl.col("p90")))


def wape(
    frame: pl.DataFrame, by: Sequence[str], forecast: str = "p50", demand: str = "demand_units"
) -> pl.DataFrame:
    """Return the sum of absolute errors as a share of the sum of demand; null where nothing was demanded.

    >>> days = pl.DataFrame({"model": ["m", "m"], "demand_units": [1.0, 7.0], "p50": [2.0, 4.0]})
    >>> wape(days, ["model"])["wape"].to_list()
    [0.5]
    """
    total = pl.col(demand).sum()
    error = (pl.col(demand) - pl.col(forecast)).abs().sum()
    return frame.group_by(by).agg(wape=pl.when(total > 0).then(error / total)).sort(by)


def _mean(frame: pl.DataFrame, by: Sequence[str], name: str, value: pl.Expr) -> pl.DataFrame:
    return frame.group_by(by).agg(value.cast(pl.Float64).mean().alias(name)).sort(by)
