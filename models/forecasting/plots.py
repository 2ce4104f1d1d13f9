"""One picture of a forecast, for people: demand of the last quarter and the fan ahead."""

import io

import polars as pl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

PAST_DAYS = 91


def fan_plot(demand_forecast: pl.DataFrame, panel: pl.DataFrame, item_id: str, location_id: str) -> bytes:
    """Return a PNG of one series: daily demand of the last 91 days, then median, mean and the 80 % band ahead.

    Takes the frames of forecasts.demand_forecast and marts.item_location_day. Drawn on a Figure of its own, without
    pyplot: no display, no global state, safe in any thread.
    """
    mine = (pl.col("item_id") == item_id) & (pl.col("location_id") == location_id)
    past = panel.filter(mine).sort("day").tail(PAST_DAYS)
    ahead = demand_forecast.filter(mine).sort("forecast_date")
    figure = Figure(figsize=(7.0, 2.6), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(past["day"], past["demand_units"], color="0.45", linewidth=1, label="demand")
    dates = ahead["forecast_date"]
    axes.fill_between(
        dates, ahead["p10"], ahead["p90"], color="tab:blue", alpha=0.25, linewidth=0, label="p10 to p90"
    )
    axes.plot(dates, ahead["p50"], color="tab:blue", linewidth=1.5, label="p50")
    axes.plot(dates, ahead["mean"], color="tab:orange", linewidth=1, label="mean")
    axes.set_title(f"{item_id} at {location_id}", fontsize=9)
    axes.set_ylabel("units a day", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False, ncols=4, loc="upper left")
    axes.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
