import numpy as np
import polars as pl
import pytest

from models.forecasting.calibration import daily_variance, variance_factors

SPREAD_OF_ONE_SIGMA = 2.563 / 2


def scored_of(errors: np.ndarray, segment: str = "smooth") -> pl.DataFrame:
    """Errors `[item, day]` around a mean of 1 with an implied daily standard deviation of 10."""
    items, days = errors.shape
    return pl.DataFrame(
        {
            "item_id": np.repeat([f"I{item}" for item in range(items)], days),
            "purchasing_location_id": "DC",
            "segment": segment,
            "origin": 0,
            "horizon_days": np.tile(np.arange(1, days + 1), items),
            "demand_units": errors.ravel() + 1.0,
            "mean": 1.0,
            "p10": -10 * SPREAD_OF_ONE_SIGMA,
            "p90": 10 * SPREAD_OF_ONE_SIGMA,
        }
    )


def factor_of(scored: pl.DataFrame, segment: str = "smooth") -> float:
    return variance_factors(scored, [segment])["variance_factor"][0]


def test_independent_errors_of_the_implied_size_give_one():
    errors = np.random.default_rng(1).normal(0, 10, (3_000, 28))
    assert factor_of(scored_of(errors)) == pytest.approx(1, rel=0.05)


def test_errors_that_last_all_window_give_its_length():
    errors = np.repeat(np.random.default_rng(2).normal(0, 10, (3_000, 1)), 28, axis=1)
    assert factor_of(scored_of(errors)) == pytest.approx((14 + 28) / 2, rel=0.15)


def test_stores_of_one_centre_are_summed():
    one = scored_of(np.repeat(np.random.default_rng(3).normal(0, 10, (1_000, 28)), 1, axis=0))
    both = pl.concat([one, one])  # two stores that err together: twice the error, four times its square
    assert factor_of(both) == pytest.approx(2 * factor_of(one))


def test_a_thin_segment_takes_the_factor_of_all():
    many = scored_of(np.random.default_rng(4).normal(0, 20, (500, 28)))
    few = scored_of(np.zeros((2, 28)), "lumpy").with_columns(item_id="L" + pl.col("item_id"))
    factors = variance_factors(pl.concat([many, few]), ["smooth", "lumpy", "new"])
    values = dict(factors.iter_rows())
    assert values["lumpy"] == values["new"] == pytest.approx(4, rel=0.1)


def test_a_few_items_that_come_back_do_not_widen_all():
    errors = np.random.default_rng(5).normal(0, 10, (1_000, 28))
    errors[:20] += 300
    assert factor_of(scored_of(errors)) == pytest.approx(1, rel=0.25)


def test_without_a_backtest_the_factor_is_one():
    assert factor_of(scored_of(np.zeros((1, 28))).clear(), "new") == 1.0


def test_the_variance_is_at_least_poissons():
    days = pl.DataFrame({"p10": [0.0, 0.0], "p90": [0.0, 25.63], "mean": [0.3, 2.0]})
    assert days.select(daily_variance()).to_series().round(6).to_list() == [0.3, 100.0]
