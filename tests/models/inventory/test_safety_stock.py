"""Quantiles and losses against sums and simulation that share no code with them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inventory.distributions import Distribution, demand_quantile, distribution_for, expected_shortage
from models.inventory.safety_stock import fill_rate, protection_period

LAWS: list[Distribution] = ["normal", "gamma", "negative_binomial"]


def draws(law: Distribution, mean: float, std: float, size: int = 400_000) -> np.ndarray:
    generator = np.random.default_rng(7)
    if law == "normal":
        return generator.normal(mean, std, size)
    if law == "gamma":
        return generator.gamma((mean / std) ** 2, std**2 / mean, size)
    if std**2 <= mean:
        return generator.poisson(mean, size).astype(float)
    return generator.negative_binomial(mean**2 / (std**2 - mean), mean / std**2, size).astype(float)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("mean", "std"), [(4.0, 3.0), (6.0, math.sqrt(6)), (80.0, 50.0)])
def test_quantile_and_loss_by_sampling(law: Distribution, mean: float, std: float) -> None:
    demand = draws(law, mean, std)
    for probability in (0.6, 0.9, 0.98):
        stock = float(demand_quantile(probability, mean, std, law))
        assert (demand <= stock).mean() >= probability - 0.003
        if law == "negative_binomial":  # the smallest whole stock that reaches it
            assert (demand <= stock - 1).mean() < probability + 0.003
        else:
            assert (demand <= stock).mean() <= probability + 0.003
        short = np.maximum(demand - stock, 0)
        tolerance = 4 * short.std() / math.sqrt(len(demand))
        assert float(expected_shortage(stock, mean, std, law)) == pytest.approx(short.mean(), abs=tolerance)


def test_published_normal_newsvendor_quantile() -> None:
    # Snyder & Shen, ex. 4.3: N(50, 8), critical ratio .70 / .88.
    assert f"{float(demand_quantile(0.7 / 0.88, 50, 8, 'normal')):.10f}" == "56.6039559274"


@given(
    st.sampled_from(LAWS),
    st.floats(0.1, 500),
    st.floats(0.05, 3),
    st.floats(0, 1_000),
)
@settings(deadline=None, max_examples=60)
def test_loss_falls_with_stock_and_is_at_least_the_gap(
    law: str, mean: float, spread: float, stock: float
) -> None:
    std = spread * mean
    here, more = expected_shortage([stock, stock + 1], mean, std, law)
    assert here >= more >= 0
    assert here >= mean - stock - 1e-6 * (1 + mean)
    assert here - more <= 1 + 1e-9


def test_degenerate_demand() -> None:
    assert demand_quantile(0.95, [0, 5, 0], [0, 0, 2], ["normal", "gamma", "negative_binomial"]).tolist() == [
        0,
        5,
        0,
    ]
    assert expected_shortage([0, 3], [0, 5], [0, 0], "gamma").tolist() == [0, 2]
    with pytest.raises(ValueError, match="unknown distribution 'weibull'"):
        demand_quantile(0.9, 1, 1, "weibull")


def test_nature_decides_the_distribution() -> None:
    assert distribution_for([9.9, 10, 10, 0], [1, 5, 5.1, 0]).tolist() == [
        "negative_binomial",
        "normal",
        "gamma",
        "negative_binomial",
    ]


def simulate(level: float, *, review: int, seed: int, cycles: int) -> tuple[float, float]:
    """Order up to `level` every `review` days, day by day: share of cycles without stock-out, share of units served.

    Demand N(20, 6) a day, backlogged; lead time 4 days + binomial(4, .5). An order is placed at a day's start
    and arrives `lead` days later at the start of that day.
    """
    generator = np.random.default_rng(seed)
    on_hand, position, arrivals, short_in_cycle = level, level, {}, False
    good, served, demanded, seen = 0, 0.0, 0.0, 0
    for day in range(cycles * review):
        if day in arrivals:
            good, seen = good + (not short_in_cycle), seen + 1
            short_in_cycle = False
            on_hand += arrivals.pop(day)
        if day % review == 0:
            arrives = day + 4 + int(generator.binomial(4, 0.5))
            arrivals[arrives] = arrivals.get(arrives, 0.0) + level - position
            position = level
        demand = max(float(generator.normal(20, 6)), 0.0)
        served += min(max(on_hand, 0.0), demand)
        demanded += demand
        on_hand, position = on_hand - demand, position - demand
        short_in_cycle |= on_hand < 0
    return good / seen, served / demanded


@pytest.mark.parametrize("target", [0.85, 0.95, 0.98])
def test_service_is_what_was_asked_for(target: float) -> None:
    # The day an order is placed counts as the first day of its lead time, so demand until the next arrival spans
    # exactly review + lead days; the lead time has mean 6 and variance 1.
    mean, std = protection_period(20, 36, 6, 1, 7)
    level = float(demand_quantile(target, mean, std, "normal"))
    cycle_service, units_served = simulate(level, review=7, seed=11, cycles=12_000)
    assert cycle_service == pytest.approx(target, abs=0.015)
    until_arrival = protection_period(20, 36, 6, 1, 0)
    expected = float(fill_rate(level, (mean, std), until_arrival, "normal"))
    assert units_served == pytest.approx(expected, abs=0.004)
    assert expected > target  # the two meanings of service are not the same number


def test_fill_rate_edges() -> None:
    assert float(fill_rate(0, (0, 0), (0, 0), "normal")) == 1
    assert float(fill_rate(0, (100, 10), (50, 8), "normal")) == pytest.approx(0, abs=1e-3)
