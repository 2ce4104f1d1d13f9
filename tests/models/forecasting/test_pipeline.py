"""The whole forecast on small panels: what it promises about rows, time, choice and repetition."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lake.errors import InputError
from models.forecasting.backtest import backtest_origins, forecast_by, training_set
from models.forecasting.baselines import WEEKDAY_MEAN
from models.forecasting.frame import FeatureFrame
from models.forecasting.history import read_history
from models.forecasting.pipeline import ForecastResult, ForecastSettings, forecast
from models.forecasting.plots import fan_plot
from models.forecasting.xgboost import XGBOOST, TrainingSettings, train_each
from tests.models.forecasting.panels import (
    FIRST_DAY,
    calendar_of,
    future_of,
    locations_of,
    panel_of,
    reader_of,
    shop,
)

SETTINGS = ForecastSettings(TrainingSettings(rows=8_000, trees=25))
TABLES = ("demand_forecast", "accuracy", "chosen_model", "calibration", "series_segment")


def forecast_of(panel: pl.DataFrame, future: pl.DataFrame | None = None) -> ForecastResult:
    return forecast(
        panel,
        future_of(panel) if future is None else future,
        calendar_of(panel),
        locations_of(panel),
        reader_of(panel),
        panel["day"].max(),
        SETTINGS,
    )


def promoted_shop() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A planted pattern that no baseline can know: in promoted weeks, planned at random, demand is fourfold."""
    random = np.random.default_rng(11)
    days, demand, promoted = 300 + 28, {}, {}
    for item in range(6):
        weeks = random.random(days // 7 + 1) < 0.3
        promoted[f"I{item}"] = np.repeat(weeks, 7)[:days]
        for store in ("S0", "S1"):
            demand[f"I{item}", store] = random.poisson(5 * np.where(promoted[f"I{item}"], 4, 1))
    whole = panel_of(demand, FIRST_DAY + timedelta(days=days - 1))
    flags = pl.concat(
        pl.DataFrame(
            {
                "item_id": item,
                "day": [FIRST_DAY + timedelta(days=d) for d in range(days)],
                "is_promoted": flag,
            }
        )
        for item, flag in promoted.items()
    )
    whole = whole.drop("is_promoted").join(flags, on=["item_id", "day"])
    whole = whole.with_columns(discount_share=pl.when("is_promoted").then(0.3).otherwise(0.0))
    as_of = FIRST_DAY + timedelta(days=299)
    return whole.filter(pl.col("day") <= as_of), whole.filter(pl.col("day") > as_of)


@pytest.fixture(scope="module")
def planted() -> tuple[ForecastResult, pl.DataFrame]:
    panel, future = promoted_shop()
    return forecast_of(panel, future), future


def test_a_planted_pattern_is_found(planted):
    result, future = planted
    assert set(result.chosen_model["model"]) == {XGBOOST}
    assert result.skill_vs_seasonal_naive > 0.3
    beside = result.demand_forecast.join(
        future,
        left_on=["item_id", "location_id", "forecast_date"],
        right_on=["item_id", "location_id", "day"],
    )
    means = dict(beside.group_by("is_promoted").agg(pl.col("mean").mean()).iter_rows())
    assert means[True] == pytest.approx(20, rel=0.15)
    assert means[False] == pytest.approx(5, rel=0.25)
    covered = beside.select(pl.col("demand_units").is_between("p10", "p90").mean()).item()
    assert 0.65 < covered < 0.95


def test_the_tables_have_the_columns_of_the_architecture(planted):
    result, _ = planted
    assert result.demand_forecast.columns == [
        "item_id", "location_id", "forecast_date", "horizon_days", "model", "p10", "p50", "p90", "mean",
    ]  # fmt: skip
    assert result.accuracy.columns == [
        "segment", "model", "origin", "horizon_days", "pinball_loss", "mae", "bias", "coverage_80", "series", "rows",
    ]  # fmt: skip
    assert result.chosen_model.columns == ["segment", "model", "pinball_loss", "skill_vs_seasonal_naive"]
    assert result.calibration.columns == ["segment", "variance_factor"]
    for name in TABLES:
        table = getattr(result, name)
        text = [column for column in ("model", "segment") if column in table.columns]
        assert all(table[column].dtype == pl.String for column in text)
        assert table.null_count().sum_horizontal().item() == 0


def test_every_series_has_28_ordered_days(planted):
    result, _ = planted
    rows = result.demand_forecast
    assert result.series_forecast == 12
    assert (
        rows.group_by("item_id", "location_id").agg(pl.col("horizon_days").sort())["horizon_days"].to_list()
        == [list(range(1, 29))] * 12
    )
    assert rows.filter((pl.col("p10") > pl.col("p50")) | (pl.col("p50") > pl.col("p90"))).is_empty()
    assert rows.filter(pl.min_horizontal("p10", "mean") < 0).is_empty()
    assert (rows["forecast_date"] - FIRST_DAY).dt.total_days().min() == 300


def test_accuracy_counts_every_scored_day(planted):
    result, _ = planted
    assert result.accuracy["origin"].n_unique() == 3
    assert result.accuracy["rows"].sum() == 3 * 3 * 28 * 12  # models x origins x days x series
    assert result.accuracy["origin"].max() == FIRST_DAY + timedelta(days=299 - 28)


def test_the_same_input_in_another_order_gives_the_same_bits():
    panel = shop(series=8, days=200)
    first = forecast_of(panel)
    second = forecast_of(panel.sample(fraction=1, shuffle=True, seed=4))
    for name in TABLES:
        assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
    assert first.skill_vs_seasonal_naive == second.skill_vs_seasonal_naive


def test_no_forecast_of_the_backtest_knows_the_days_it_is_scored_on():
    panel = shop(series=8, days=200)
    as_of = panel["day"].max()

    def first_forecast(panel: pl.DataFrame) -> np.ndarray:
        history = read_history(panel, future_of(panel), as_of)
        frame = FeatureFrame(history, calendar_of(panel), reader_of(panel))
        origin = backtest_origins(history)[0]
        (model,) = train_each([training_set(frame, origin, SETTINGS.training)], SETTINGS.training)
        names = ("seasonal_naive", WEEKDAY_MEAN, XGBOOST)
        return np.stack([forecast_by(name, frame, origin, model) for name in names])

    cut = as_of - timedelta(days=84)
    later = pl.col("day") > cut
    wild = panel.with_columns(
        demand_units=pl.when(later).then(pl.col("demand_units") * 50 + 7).otherwise("demand_units"),
        is_stockout=later & (pl.col("day").dt.weekday() == 3),
    )
    np.testing.assert_array_equal(first_forecast(panel), first_forecast(wild))
    edge = panel.with_columns(demand_units=pl.when(pl.col("day") == cut).then(500).otherwise("demand_units"))
    assert (first_forecast(panel) != first_forecast(edge)).any()  # the origin itself is known


def test_noise_alone_gives_no_false_skill_over_the_mean():
    random = np.random.default_rng(8)
    as_of = FIRST_DAY + timedelta(days=249)
    panel = panel_of({(f"I{index}", "S"): random.poisson(6, 250) for index in range(10)}, as_of)
    result = forecast_of(panel)
    loss = result.accuracy.group_by("model").agg(pl.col("pinball_loss").mean())
    losses = dict(loss.iter_rows())
    assert losses[WEEKDAY_MEAN] < losses["seasonal_naive"]
    assert losses[XGBOOST] < losses[WEEKDAY_MEAN] * 1.05
    mean = result.demand_forecast["mean"].mean()
    assert mean == pytest.approx(6, rel=0.1)


def test_odd_series_are_forecast_and_never_dropped():
    """Intermittent, all-zero, three days old, one with a weekday missing and one that begins after the backtest."""
    random = np.random.default_rng(6)
    as_of = FIRST_DAY + timedelta(days=249)
    demand = {(f"I{index}", "S"): random.poisson(5, 250) for index in range(8)}
    demand["rare", "S"] = (random.random(250) < 0.1) * 4
    demand["zero", "S"] = np.zeros(250, dtype=int)
    demand["three days", "S"] = np.array([7, 3, 5])
    demand["two months", "S"] = random.poisson(9, 60)
    panel = panel_of(demand, as_of)
    panel = panel.filter(~((pl.col("item_id") == "I0") & (pl.col("day").dt.weekday() == 7)))
    result = forecast_of(panel)
    rows = result.demand_forecast
    assert len(rows) == 12 * 28
    assert rows.select(pl.col("p10", "p50", "p90", "mean").is_finite().all()).row(0) == (True,) * 4
    level = dict(rows.group_by("item_id").agg(pl.col("mean").mean()).iter_rows())
    assert level["zero"] < 0.1
    assert level["two months"] == pytest.approx(9, rel=0.4)
    assert 0 < level["rare"] < 2
    assert 1 < level["three days"] < 10
    segments = dict(result.series_segment.select("item_id", "segment").iter_rows())
    assert segments["rare"] == "intermittent"
    assert segments["three days"] == segments["two months"] == segments["zero"] == "new"
    assert (result.calibration["variance_factor"] > 0).all()


def test_days_out_of_stock_do_not_pull_the_forecast_down():
    panel = shop(series=8, days=200)
    empty = pl.col("day").is_between(FIRST_DAY + timedelta(days=150), FIRST_DAY + timedelta(days=160))
    censored = panel.with_columns(
        demand_units=pl.when(empty).then(0).otherwise("demand_units"), is_stockout=empty
    )
    result = forecast_of(censored)
    whole = forecast_of(panel)
    assert result.accuracy["rows"].sum() < whole.accuracy["rows"].sum()
    assert result.demand_forecast["mean"].mean() == pytest.approx(
        whole.demand_forecast["mean"].mean(), rel=0.1
    )


@pytest.mark.parametrize("days", [1, 5, 20, 70])
def test_a_short_history_falls_back_and_says_so(days):
    panel = shop(series=4, days=days)
    result = forecast_of(panel)
    assert len(result.demand_forecast) == 4 * 28
    assert set(result.demand_forecast["model"]) == {WEEKDAY_MEAN}
    assert result.demand_forecast["mean"].is_finite().all()
    assert result.facts["training_rows"] == 0
    if days < 56:
        assert result.skill_vs_seasonal_naive is None
        assert result.calibration["variance_factor"].to_list() == [1.0]


def test_series_whose_features_are_gone_take_the_weekday_mean(planted):
    panel, future = promoted_shop()
    known = reader_of(panel.filter(pl.col("item_id") != "I3"))
    result = forecast(
        panel, future, calendar_of(panel), locations_of(panel), known, panel["day"].max(), SETTINGS
    )
    history = read_history(panel, future, panel["day"].max())
    baseline = forecast_by(
        WEEKDAY_MEAN, FeatureFrame(history, calendar_of(panel), known), history.origin, None
    )
    place = history.series["item_id"].to_list().index("I3")
    mine = result.demand_forecast.filter(item_id="I3", location_id="S0")
    assert set(mine["model"]) == {WEEKDAY_MEAN}
    np.testing.assert_allclose(mine["mean"], baseline[:, place, 3], rtol=1e-6)


def test_bad_frames_are_one_clear_sentence():
    panel = shop(series=2, days=60)
    with pytest.raises(InputError, match="has no rows up to"):
        forecast(
            panel.clear(), future_of(panel), calendar_of(panel), locations_of(panel), reader_of(panel),
            panel["day"].max(), SETTINGS,
        )  # fmt: skip
    with pytest.raises(InputError, match=r"core.dim_location lacks purchasing_location_id"):
        forecast(
            panel, future_of(panel), calendar_of(panel), pl.DataFrame({"location_id": ["S0"]}), reader_of(panel),
            panel["day"].max(), SETTINGS,
        )  # fmt: skip


def test_the_fan_is_a_small_picture(planted):
    panel, _ = promoted_shop()
    picture = fan_plot(planted[0].demand_forecast, panel, "I0", "S0")
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 60_000
    assert fan_plot(planted[0].demand_forecast, panel, "unknown", "S0").startswith(b"\x89PNG")
