"""The whole forecast: from the panel to demand quantiles, their accuracy, the models in use and the calibration.

A function of frames: the caller reads the release, gives a feature reader, and writes the frames with its release_id.
"""

import time
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lake import progress
from models.forecasting.backtest import (
    FORECAST_COLUMNS,
    accuracy,
    backtest,
    backtest_origins,
    choose_models,
    fill_unknown,
    forecast_by,
    in_use,
    skill_vs_seasonal_naive,
    training_set,
)
from models.forecasting.baselines import WEEKDAY_MEAN
from models.forecasting.calibration import variance_factors
from models.forecasting.frame import FeatureFrame, FeatureReader, rows_at
from models.forecasting.history import HORIZON_DAYS, FloatArray, History, read_history, require_columns
from models.forecasting.segments import SEGMENTS, segment_series
from models.forecasting.xgboost import DemandModel, TrainingSettings, train_each


@dataclass(frozen=True)
class ForecastSettings:
    """What a run may cost, and its seed; see `TrainingSettings`."""

    training: TrainingSettings = field(default_factory=TrainingSettings)


@dataclass(frozen=True)
class ForecastResult:
    """The tables of schema `forecasts`, without the release_id that the caller adds."""

    demand_forecast: pl.DataFrame
    """item_id, location_id, forecast_date, horizon_days, model, p10, p50, p90, mean: 28 rows per series of the panel."""
    accuracy: pl.DataFrame
    """segment, model, origin, horizon_days, pinball_loss, mae, bias, coverage_80, series, rows."""
    chosen_model: pl.DataFrame
    """segment, model, pinball_loss, skill_vs_seasonal_naive."""
    calibration: pl.DataFrame
    """segment, variance_factor."""
    series_segment: pl.DataFrame
    """item_id, location_id, segment: how the calibration and the chosen model find their series."""
    series_forecast: int
    skill_vs_seasonal_naive: float | None
    """1 - pooled pinball loss of the models in use / the seasonal naive's; None when nothing could be scored."""
    facts: dict[str, Any] = field(repr=False)
    """Of the training: rows, trees, seconds, and the like."""


def forecast(
    panel: pl.DataFrame,
    future: pl.DataFrame,
    calendar: pl.DataFrame,
    locations: pl.DataFrame,
    feature_reader: FeatureReader,
    as_of: date,
    settings: ForecastSettings = ForecastSettings(),
) -> ForecastResult:
    """Forecast the 28 days after `as_of` for every item and location of the panel.

    `panel` is marts.item_location_day, `future` marts.item_location_future, `calendar` core.dim_calendar, `locations`
    core.dim_location. The model of lowest pinball loss over the backtest is used, per segment; equal input gives
    equal output. Raises `InputError` when the panel is empty, repeats a day, or a frame lacks a column.
    """
    started = time.perf_counter()
    with progress.stage("forecasts", total=4) as stage:
        require_columns(locations, ("location_id", "purchasing_location_id"), "core.dim_location")
        history = read_history(panel, future, as_of)
        frame = FeatureFrame(history, calendar, feature_reader)
        origins = backtest_origins(history)
        segment = segment_series(history, before=origins[0] + 1 if origins else 0)
        stage.advance(note=f"{len(history.series)} series")

        tested, final = _train(frame, origins, settings.training)
        stage.advance(note="training")

        scored = _with_keys(backtest(frame, origins, tested), history, locations, segment)
        stage.advance(rows=len(scored), note="backtest")

        segments = [name for name in SEGMENTS if name in set(segment.tolist())]
        chosen = choose_models(scored, segments)
        demand = _demand_forecast(frame, chosen, segment, final)
        stage.advance(rows=len(demand), note="forecast")
    return ForecastResult(
        demand_forecast=demand,
        accuracy=_dated(accuracy(scored), history),
        chosen_model=chosen,
        calibration=variance_factors(in_use(scored, chosen), segments),
        series_segment=history.series.with_columns(segment=pl.Series(segment)),
        series_forecast=len(history.series),
        skill_vs_seasonal_naive=skill_vs_seasonal_naive(scored, chosen),
        facts={
            "training_rows": final.rows if final else 0,
            "backtest_training_rows": tested.rows if tested else 0,
            "scored_rows": len(scored),
            "origins": [history.day(origin).isoformat() for origin in origins],
            "trees": settings.training.trees,
            "seed": settings.training.seed,
            "seconds": round(time.perf_counter() - started, 1),
        },
    )


def _train(
    frame: FeatureFrame, origins: list[int], settings: TrainingSettings
) -> tuple[DemandModel | None, DemandModel | None]:
    """Return the model for the backtest, of demand up to the first origin, and the one in use, up to as_of."""
    tested = training_set(frame, origins[0], settings) if origins else None
    final = training_set(frame, frame.history.origin, settings)
    if tested is None or final is None:
        return None, None  # a model that cannot be tested is not used
    first, second = train_each([tested, final], settings)
    return first, second


def _with_keys(
    scored: pl.DataFrame, history: History, locations: pl.DataFrame, segment: npt.NDArray[np.str_]
) -> pl.DataFrame:
    """Add item, purchasing location and segment of each series; a location unknown to `locations` buys for itself."""
    buys_at = locations.select("location_id", "purchasing_location_id").unique("location_id")
    series = (
        history.series.join(buys_at, on="location_id", how="left", maintain_order="left")
        .with_row_index("series")
        .select(
            pl.col("series").cast(pl.Int64),
            "item_id",
            pl.col("purchasing_location_id").fill_null(pl.col("location_id")),
            segment=pl.Series(segment),
        )
    )
    return scored.join(series, on="series", how="left", maintain_order="left")


def _demand_forecast(
    frame: FeatureFrame, chosen: pl.DataFrame, segment: npt.NDArray[np.str_], final: DemandModel | None
) -> pl.DataFrame:
    """Return 28 rows per series by the model of its segment; without features, by the same-weekday mean."""
    history = frame.history
    of_segment = dict(chosen.select("segment", "model").iter_rows())
    model = np.array([of_segment[name] for name in segment.tolist()])
    values: FloatArray = np.empty((HORIZON_DAYS, len(model), len(FORECAST_COLUMNS)), dtype=np.float32)
    for name in np.unique(model):
        mine = model == name
        values[:, mine] = forecast_by(name, frame, history.origin, final)[:, mine]
    values, unknown = fill_unknown(values, history, history.origin)
    model = np.where(unknown, WEEKDAY_MEAN, model)
    rows = rows_at(history, history.origin)
    flat = values.reshape(-1, len(FORECAST_COLUMNS)).astype(np.float64)
    return (
        history.series[rows.series]
        .with_columns(
            forecast_date=pl.Series(
                [history.day(day) for day in range(history.days, history.days + HORIZON_DAYS)]
            )[rows.horizon - 1],
            horizon_days=pl.Series(rows.horizon.astype(np.int32)),
            model=pl.Series(model[rows.series]),
            **{name: pl.Series(flat[:, column]) for column, name in enumerate(FORECAST_COLUMNS)},
        )
        .sort("item_id", "location_id", "horizon_days")
    )


def _dated(frame: pl.DataFrame, history: History) -> pl.DataFrame:
    """Turn the origin's day index into its date."""
    return frame.with_columns(
        origin=(pl.lit(history.first_day) + pl.duration(days=pl.col("origin"))).cast(pl.Date)
    )
