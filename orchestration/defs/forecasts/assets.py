"""Demand quantiles for the next 28 days, with the accuracy that decided which model speaks for which segment.

The models are imported when they work: XGBoost and Matplotlib cost 3 s, which loading definitions must not.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from lake.releases import Release
from orchestration import frames
from orchestration.house import WRITER_POOL, House, HouseResource, stage
from orchestration.metadata import picture, tables_metadata

if TYPE_CHECKING:
    from models.forecasting.pipeline import ForecastResult

SERVICE = "demand_forecast_v1"
TABLES = ("demand_forecast", "accuracy", "chosen_model", "calibration", "series_segment")
_DESCRIPTIONS = {
    "demand_forecast": "One row per item x location x day ahead (1 to 28): quantiles .1 .5 .9 and mean of demand, in units.",
    "accuracy": "One row per segment x model x origin x horizon: pinball loss, error, bias and coverage of the backtest.",
    "chosen_model": "One row per segment: the model with the lowest pinball loss, which made its forecast.",
    "calibration": "One row per segment: how much wider errors over weeks are than the daily quantiles say.",
    "series_segment": "One row per item x location: smooth, intermittent, erratic or lumpy demand (Syntetos, Boylan, Croston).",
}


def forecast_assets() -> dg.AssetsDefinition:
    """Return the one step that trains, tests against baselines, chooses and forecasts."""

    @dg.multi_asset(
        name="forecast",
        specs=[
            dg.AssetSpec(
                ["forecasts", table],
                group_name="forecasts",
                deps=[["gate", "release"], ["features", "online_store"]],
                kinds={"xgboost"},
                owners=["team:data_science"],
                description=_DESCRIPTIONS[table],
            )
            for table in TABLES
        ],
        pool=WRITER_POOL,
    )
    def forecast_demand(
        context: dg.AssetExecutionContext, house: HouseResource
    ) -> Iterator[dg.MaterializeResult]:
        opened = house.open()
        with stage(context, opened, "forecasts") as record:
            release = house.release(context.run.run_id)
            if frames.has_result(opened.lake, release, "forecasts"):
                context.log.info("Release %s has its forecast already.", release.release_id)
            else:
                result = forecast_release(opened, release)
                record.counts |= {
                    "series_forecast": result.series_forecast,
                    "skill_vs_seasonal_naive": result.skill_vs_seasonal_naive,
                }
        shown = tables_metadata(opened.lake, [f"forecasts.{table}" for table in TABLES])
        for table in TABLES:
            metadata = shown[f"forecasts.{table}"] | {"release": release.release_id}
            if table == "demand_forecast":
                metadata["forecast fan"] = picture(fan(opened, release))
            yield dg.MaterializeResult(["forecasts", table], metadata=metadata)

    return forecast_demand


def forecast_release(house: House, release: Release) -> "ForecastResult":
    """Forecast demand from the release, write the result under its id, and record the features it was made from."""
    from features.repository import historical, record_training_set
    from models.forecasting.history import PANEL_COLUMNS
    from models.forecasting.pipeline import forecast

    read = partial(frames.read, house.lake, release)
    served: list[pl.DataFrame] = []
    entity_columns: list[str] = []

    # Features of an origin are what was known when its day closed.
    closing = pl.duration(hours=house.company.settings.day_closes_after_hours)

    def features(entity_rows: pl.DataFrame) -> pl.DataFrame:
        entity_rows = entity_rows.with_columns(pl.col("event_timestamp") + closing)
        served.append(historical(house.company, release, entity_rows, service=SERVICE))
        entity_columns[:] = entity_rows.columns
        return served[-1]

    result = forecast(
        read("marts.item_location_day", ", ".join(PANEL_COLUMNS)),
        read("marts.item_location_future"),
        read("core.dim_calendar"),
        read("core.dim_location"),
        features,
        release.as_of,
    )
    frames.write_results(
        house.lake, release, {f"forecasts.{table}": getattr(result, table) for table in TABLES}
    )
    if served:
        record_training_set(house.company, release, pl.concat(served), entity_columns, SERVICE)
    return result


def fan(house: House, release: Release) -> bytes:
    """Draw the forecast of the series with the largest expected demand."""
    from models.forecasting.plots import fan_plot

    demand = frames.read_result(house.lake, release, "forecasts.demand_forecast")
    largest = (
        demand.group_by("item_id", "location_id")
        .agg(pl.sum("mean"))
        .sort("mean", "item_id", "location_id")
        .row(-1)
    )
    panel = frames.read(
        house.lake, release, "marts.item_location_day", "item_id, location_id, day, demand_units"
    )
    return fan_plot(demand, panel, largest[0], largest[1])
