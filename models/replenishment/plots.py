"""One picture of a plan's row: projected stock, the fan of demand around it, and when an order would arrive.

Belongs here: figures as PNG bytes. Matplotlib is imported when one is drawn: it costs a second that a plan does not.
"""

import io
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from models.inventory.distributions import demand_quantile, distribution_for
from models.replenishment.demand import demand_ahead

DAYS_SHOWN = 56


def projected_stock_plot(
    row: dict[str, Any],
    demand_forecast: pl.DataFrame,
    locations: pl.DataFrame,
    calibration: pl.DataFrame | None = None,
) -> bytes:
    """Return a PNG of one row of the plan: its stock with and without the order, 56 days ahead.

    The fan is the 10 % to 90 % quantile of *cumulated* demand, not a sum of daily quantiles. What is on order and in
    transit counts as it does there: the plan's inventory position.
    """
    keys = pl.DataFrame({"item_id": [row["item_id"]], "location_id": [row["location_id"]]})
    forecast = demand_forecast.filter(pl.col("item_id") == row["item_id"])
    demand = demand_ahead(forecast, locations, calibration, None, keys, DAYS_SHOWN)
    mean, std = np.cumsum(demand.mean[0, :DAYS_SHOWN]), np.sqrt(np.cumsum(demand.variance[0, :DAYS_SHOWN]))
    law = distribution_for(mean, std)
    low, high = demand_quantile(0.1, mean, std, law), demand_quantile(0.9, mean, std, law)
    days = [row["as_of"] + timedelta(days=day) for day in range(1, DAYS_SHOWN + 1)]
    return _draw(row, days, mean, low, high)


def _draw(row: dict[str, Any], days: Any, mean: Any, low: Any, high: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    position = row["inventory_position_units"] or 0
    axes.fill_between(
        days, position - high, position - low, alpha=0.2, label="demand, 10 % to 90 %", linewidth=0
    )
    axes.plot(days, position - mean, label="projected stock, no order")
    if row["order_quantity_units"]:
        lead = int(np.ceil(row["lead_time_mean_days"]))
        arrives = row["as_of"] + timedelta(days=max(lead, 1))
        arrived = np.array([day >= arrives for day in days]) * row["order_quantity_units"]
        axes.plot(
            days,
            position - mean + arrived,
            linestyle="--",
            label=f"with {row['order_quantity_units']} ordered",
        )
        axes.axvline(arrives, linewidth=0.8, color="grey")
        axes.annotate(
            f"arrives {arrives}", (arrives, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8
        )
    if row["reorder_point_units"] is not None:
        axes.axhline(row["reorder_point_units"], linestyle=":", color="tab:red", label="reorder point")
        axes.axhline(row["safety_stock_units"], linestyle=":", color="tab:green", label="safety stock")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title(f"Item {row['item_id']} at {row['location_id']}, as of {row['as_of']}", parse_math=False)
    axes.set_ylabel("units")
    axes.legend(fontsize=8)
    for label in axes.get_xticklabels():
        label.set(rotation=30, ha="right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
