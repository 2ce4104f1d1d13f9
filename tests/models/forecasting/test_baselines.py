import warnings
from datetime import timedelta

import numpy as np
import pytest

from models.forecasting.baselines import (
    QUANTILES,
    SEASONAL_NAIVE,
    WEEKDAY_MEAN,
    forecast_baseline,
    quantiles_of_known,
)
from models.forecasting.history import read_history
from tests.models.forecasting.panels import FIRST_DAY, future_of, panel_of


def history_of(demand: dict, stockouts: dict | None = None):
    days = max(len(units) for units in demand.values())
    as_of = FIRST_DAY + timedelta(days=days - 1)
    panel = panel_of(demand, as_of)
    return read_history(panel, future_of(panel), as_of)


def by_hand(units: list[float], origin: int, horizon: int, averaged: int) -> list[float]:
    """p10, p50, p90 and mean of one series without stock-outs, one day at a time."""
    weeks = -(-horizon // 7)

    def point(target: int) -> float:
        last = target - 7 * weeks
        return float(np.mean([units[day] for day in range(last, last - 7 * averaged, -7) if day >= 0]))

    past = [day for day in range(origin - 181, origin + 1) if day - 7 * weeks >= 0]
    errors = [units[day] - point(day) for day in past]
    ahead = point(origin + horizon)
    return [max(0.0, ahead + float(np.quantile(errors, q))) for q in QUANTILES] + [ahead]


@pytest.mark.parametrize(("name", "averaged"), [(SEASONAL_NAIVE, 1), (WEEKDAY_MEAN, 4)])
@pytest.mark.parametrize("origin", [120, 251])
def test_a_baseline_equals_the_sum_done_by_hand(name, averaged, origin):
    random = np.random.default_rng(5)
    demand = {(f"I{index}", "S"): random.poisson(index + 1, 252) for index in range(4)}
    forecast = forecast_baseline(history_of(demand), origin, name)
    assert forecast.shape == (28, 4, 4)
    for index, units in enumerate(demand.values()):
        for horizon in (1, 7, 8, 15, 28):
            expected = by_hand(units.tolist(), origin, horizon, averaged)
            assert forecast[horizon - 1, index].tolist() == pytest.approx(expected, abs=1e-4)


def test_the_naive_repeats_last_week():
    week = [1, 2, 3, 4, 5, 6, 7]
    forecast = forecast_baseline(history_of({("I", "S"): np.array(week * 30)}), 209, SEASONAL_NAIVE)
    assert forecast[:, 0, 3].tolist() == week * 4
    assert (forecast[:, 0, 0] == forecast[:, 0, 2]).all()  # it was never wrong, so its band has no width


def test_a_stockout_day_counts_as_the_weekday_before_it():
    units = np.tile([1, 2, 3, 4, 5, 6, 7], 30)
    units[-7:] = 0
    as_of = FIRST_DAY + timedelta(days=len(units) - 1)
    panel = panel_of({("I", "S"): units}, as_of)
    out = panel.with_columns(is_stockout=panel["day"] > as_of - timedelta(days=7))
    forecast = forecast_baseline(read_history(out, future_of(panel), as_of), len(units) - 1, SEASONAL_NAIVE)
    assert forecast[:7, 0, 3].tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", [SEASONAL_NAIVE, WEEKDAY_MEAN])
def test_young_and_silent_series_get_a_finite_forecast(name):
    demand = {
        ("old", "S"): np.random.default_rng(1).poisson(5, 200),
        ("three days", "S"): np.array([4, 2, 6]),
        ("never", "S"): np.zeros(200, dtype=int),
    }
    history = history_of(demand)
    forecast = forecast_baseline(history, history.origin, name)
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast[:, :, :3], axis=2) >= 0).all()
    young = history.series["item_id"].to_list().index("three days")
    silent = history.series["item_id"].to_list().index("never")
    first_week = forecast[:7, young, 3].tolist()
    assert sorted(first_week) == [2, 4, 4, 4, 4, 4, 6]  # its three weekdays, else its mean
    assert forecast[10, young, 0] < forecast[10, young, 2]  # borrowed spread
    assert (forecast[:, silent] == 0).all()


def test_quantiles_equal_numpys():
    values = np.random.default_rng(2).normal(size=(50, 6))
    values[np.random.default_rng(3).random((50, 6)) < 0.3] = np.nan
    values[:, 5] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's all-NaN column
        expected = np.nanquantile(values, QUANTILES, axis=0)
    np.testing.assert_allclose(quantiles_of_known(values), expected, rtol=1e-6)
