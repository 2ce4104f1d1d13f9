"""How well each model would have done: 3 rolling origins, 28 days apart, the last ending at as_of.

One XGBoost is trained on what was known at the *earliest* origin and forecasts at all three; so no day that is scored
was ever trained on. It is a strict test: the model in use is trained on up to 84 days more. Training anew at each origin
would cost the same only with a third of the rows, which was worse (60,000 rows against 150,000: skill .292 against .296).
"""

import numpy as np
import polars as pl

from models.forecasting import metrics
from models.forecasting.baselines import SEASONAL_NAIVE, WEEKDAY_MEAN, forecast_baseline
from models.forecasting.frame import FeatureFrame, rows_at, sample_rows
from models.forecasting.history import HORIZON_DAYS, BoolArray, FloatArray, History
from models.forecasting.xgboost import XGBOOST, DemandModel, TrainingSet, TrainingSettings

ORIGINS = 3
MIN_ORIGIN_DAYS = 28
MIN_TRAINING_ROWS = 1_000
MIN_SERIES = 5
MODELS = pl.Enum([SEASONAL_NAIVE, WEEKDAY_MEAN, XGBOOST])
FORECAST_COLUMNS = ("p10", "p50", "p90", "mean")
SCORED: dict[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.Int64,
    "model": MODELS,
    "origin": pl.Int64,
    "horizon_days": pl.Int32,
    "demand_units": pl.Float64,
    **dict.fromkeys(FORECAST_COLUMNS, pl.Float64),
}


def training_set(frame: FeatureFrame, last_target: int, settings: TrainingSettings) -> TrainingSet | None:
    """Return sampled rows from demand up to day index `last_target`; None if fewer than 1,000 can be learned from."""
    rows = sample_rows(frame.history, last_target, settings.rows, settings.seed)
    if len(rows.series) < MIN_TRAINING_ROWS:
        return None
    features, level = frame.features(rows)
    known = np.flatnonzero(~np.isnan(level))
    if len(known) < MIN_TRAINING_ROWS:
        return None
    demand = frame.history.demand[rows.target, rows.series]
    return TrainingSet(features[known], level[known], demand[known])


def forecast_by(name: str, frame: FeatureFrame, origin: int, model: DemandModel | None) -> FloatArray:
    """Return `[horizon, series, (p10, p50, p90, mean)]` in units of the model `name`, made at day index `origin`.

    XGBoost leaves a series NaN that has no features at the origin; see `fill_unknown`.
    """
    if name != XGBOOST:
        return forecast_baseline(frame.history, origin, name)
    assert model is not None
    values = model.predict(*frame.features(rows_at(frame.history, origin)))
    return values.reshape(HORIZON_DAYS, -1, len(FORECAST_COLUMNS))


def fill_unknown(values: FloatArray, history: History, origin: int) -> tuple[FloatArray, BoolArray]:
    """Give series without a forecast the same-weekday mean; return the forecast, and which series they are."""
    unknown: BoolArray = np.asarray(np.isnan(values).any(axis=(0, 2)))
    if unknown.any():
        values = np.where(unknown[:, None], forecast_baseline(history, origin, WEEKDAY_MEAN), values)
    return values, unknown


def backtest_origins(history: History) -> list[int]:
    """Return the day indexes of the origins, oldest first; those with less than 28 days behind them are left out."""
    origins = [history.origin - HORIZON_DAYS * back for back in range(ORIGINS, 0, -1)]
    return [origin for origin in origins if origin >= MIN_ORIGIN_DAYS - 1]


def backtest(frame: FeatureFrame, origins: list[int], model: DemandModel | None) -> pl.DataFrame:
    """Return what each model forecast beside what was demanded.

    One row per model, origin, horizon and series: series, model, origin (day index), horizon_days, demand_units,
    p10, p50, p90, mean. Left out are days out of stock (their sales are not their demand) and series that had not
    begun at the origin.
    """
    names = [SEASONAL_NAIVE, WEEKDAY_MEAN, *([XGBOOST] if model else [])]
    parts = [
        _beside_demand(frame.history, origin, name, forecast_by(name, frame, origin, model))
        for origin in origins
        for name in names
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCORED)


def _beside_demand(history: History, origin: int, model: str, forecast: FloatArray) -> pl.DataFrame:
    rows = rows_at(history, origin)
    demand = history.demand[rows.target, rows.series]
    forecast, _ = fill_unknown(forecast, history, origin)
    scored = np.flatnonzero(~np.isnan(demand) & (history.first_row[rows.series] <= origin))
    values = forecast.reshape(-1, len(FORECAST_COLUMNS))[scored]
    return pl.DataFrame(
        {
            "series": rows.series[scored],
            "model": pl.repeat(model, len(scored), dtype=MODELS, eager=True),
            "origin": rows.origin[scored],
            "horizon_days": rows.horizon[scored],
            "demand_units": demand[scored],
            **{name: values[:, column] for column, name in enumerate(FORECAST_COLUMNS)},
        },
        schema_overrides=SCORED,
        strict=False,
    )


def accuracy(scored: pl.DataFrame) -> pl.DataFrame:
    """Return pinball_loss, mae, bias, coverage_80, series and rows per segment, model, origin and horizon_days."""
    by = ["segment", "model", "origin", "horizon_days"]
    result = metrics.pinball_loss(scored, by)
    for metric in (metrics.mae, metrics.bias, metrics.coverage_80):
        result = result.join(metric(scored, by), on=by, how="left", maintain_order="left")
    counts = scored.group_by(by).agg(series=pl.col("series").n_unique(), rows=pl.len())
    return result.join(counts, on=by, how="left", maintain_order="left").with_columns(
        pl.col("model").cast(pl.String)
    )


def choose_models(scored: pl.DataFrame, segments: list[str]) -> pl.DataFrame:
    """Return for each segment the model of lowest pooled pinball loss: segment, model, pinball_loss, skill.

    A tie goes to a baseline. A segment with fewer than 5 scored series is too small to judge by: it gets the
    same-weekday mean; its loss and skill are null where nothing was scored.
    """
    losses = metrics.pinball_loss(scored, ["segment", "model"])
    naive = losses.filter(pl.col("model") == SEASONAL_NAIVE).select("segment", naive_loss="pinball_loss")
    series = scored.group_by("segment").agg(series=pl.col("series").n_unique())
    candidates = losses.join(naive, on="segment").join(series, on="segment")
    judged = candidates.filter((pl.col("series") >= MIN_SERIES) | (pl.col("model") == WEEKDAY_MEAN))
    best = (
        judged.sort("segment", "pinball_loss", pl.col("model") == XGBOOST, "model")
        .group_by("segment", maintain_order=True)
        .first()
        .with_columns(skill_vs_seasonal_naive=_skill(pl.col("pinball_loss"), pl.col("naive_loss")))
        .select("segment", "model", "pinball_loss", "skill_vs_seasonal_naive")
    )
    wanted = pl.DataFrame({"segment": segments}, schema={"segment": pl.String})
    return wanted.join(best, on="segment", how="left", maintain_order="left").with_columns(
        pl.col("model").cast(pl.String).fill_null(WEEKDAY_MEAN)
    )


def in_use(scored: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each segment's chosen model: what the forecast in use would have said."""
    return scored.join(
        chosen.select("segment", pl.col("model").cast(MODELS)), on=["segment", "model"], how="semi"
    )


def skill_vs_seasonal_naive(scored: pl.DataFrame, chosen: pl.DataFrame) -> float | None:
    """Return 1 - pooled pinball loss of the models in use / that of the seasonal naive; None if nothing was scored.

    Pooled over all series, origins and horizons, each day counting once. The model is chosen on the same days; with
    three candidates and thousands of days that flatters by far less than the figure's third decimal.
    """
    everything = pl.lit(0).alias("pool")
    ours = metrics.pinball_loss(in_use(scored, chosen).with_columns(everything), ["pool"])
    naive = metrics.pinball_loss(
        scored.filter(pl.col("model") == SEASONAL_NAIVE).with_columns(everything), ["pool"]
    )
    if ours.is_empty() or not naive["pinball_loss"][0] > 0:
        return None
    return float(1 - ours["pinball_loss"][0] / naive["pinball_loss"][0])


def _skill(loss: pl.Expr, naive: pl.Expr) -> pl.Expr:
    return pl.when(naive > 0).then(1 - loss / naive)
