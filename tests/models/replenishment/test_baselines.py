"""The legacy policies beside the plan: what they order, and their cost and service against a day-by-day simulation."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from models.replenishment.baselines import COLUMNS
from models.replenishment.plan import plan
from tests.models.replenishment.cases import (
    AS_OF,
    forecast,
    locations,
    option,
    options,
    position,
    settings,
    steady,
)

REVIEW, ORDER_COST, RATE, PRICE = 7, 50.0, 0.25, 10.0


@pytest.fixture(scope="module")
def row() -> dict[str, object]:
    """Demand of 15 a day (variance 16), contract lead time 7 days, 7 or 10 in truth (mean 8.5, std 1.5), packs of 24."""
    planned = plan(
        forecast({("A", "DC"): steady(15, 4 * 2.563)}),
        None,
        locations(DC="DC"),
        position(("A", "DC", 50, 0, 20)),
        options(option("A", pack_size_units=24, lead_time_mean_days=8.5, lead_time_std_days=1.5)),
        settings=settings(order_cost=ORDER_COST, holding_cost_rate_per_year=RATE),
        as_of=AS_OF,
    )
    return planned.row(0, named=True)


def simulate(order: Callable[[np.ndarray], np.ndarray], every: int) -> tuple[float, float]:
    """Cost per year and fill rate of a policy that maps positions to orders: 400 replications of 900 days."""
    generator, runs, days = np.random.default_rng(3), 400, 900
    on_hand, arriving = np.full(runs, 300.0), np.zeros((days + 11, runs))
    cost, short, demanded = np.zeros(runs), np.zeros(runs), 0.0
    for day in range(days):
        on_hand += arriving[day]
        if day % every == 0:
            ordered = order(on_hand + arriving[day + 1 :].sum(axis=0))
            arrives = day + generator.choice([7, 10], runs)
            arriving[arrives, np.arange(runs)] += ordered
        demand = generator.normal(15, 4, runs)
        left = on_hand - demand
        if day >= 200:
            cost += ORDER_COST * (ordered > 0) * (day % every == 0) + RATE / 365 * PRICE * np.maximum(
                on_hand - demand / 2, 0
            )
            short += np.maximum(-left, 0) - np.maximum(-on_hand, 0)
            demanded += 15
        on_hand = left
    return float(cost.mean() * 365 / (days - 200)), float(1 - short.mean() / demanded)


def test_what_they_order(row: dict[str, object]) -> None:
    z = 1.6448536269514722
    assert row["eoq_units"] == pytest.approx(np.sqrt(2 * 50 * 15 * 365 / 2.5))
    assert row["legacy_reorder_point_units"] == pytest.approx(15 * 7 + z * 4 * np.sqrt(7), rel=1e-6)
    assert row["weekly_review_order_up_to_units"] == pytest.approx(15 * 14 + z * 4 * np.sqrt(14), rel=1e-6)
    assert (row["legacy_order_units"], row["weekly_review_order_units"]) == (
        480,
        168,
    )  # 468 and 164.6 in packs of 24


def test_fixed_reorder_point_by_simulation(row: dict[str, object]) -> None:
    point = float(str(row["legacy_reorder_point_units"]))
    cost, fill_rate = simulate(lambda at: np.where(at <= point, 480.0, 0.0), 1)
    assert cost == pytest.approx(float(str(row["legacy_cost_per_year"])), rel=0.02)
    assert fill_rate == pytest.approx(
        row["legacy_fill_rate"], abs=0.02
    )  # the shortfall below r at a look is left out


def test_weekly_review_by_simulation(row: dict[str, object]) -> None:
    level = float(str(row["weekly_review_order_up_to_units"]))
    cost, fill_rate = simulate(lambda at: np.maximum(level - at, 0), 7)
    assert cost == pytest.approx(float(str(row["weekly_review_cost_per_year"])), rel=0.01)
    assert fill_rate == pytest.approx(row["weekly_review_fill_rate"], abs=0.01)


def test_the_plans_own_policy_by_simulation(row: dict[str, object]) -> None:
    point, level = float(str(row["reorder_point_units"])), float(str(row["order_up_to_units"]))
    cost, fill_rate = simulate(lambda at: np.where(at <= point, np.ceil((level - at) / 24) * 24, 0.0), REVIEW)
    assert cost == pytest.approx(float(str(row["policy_cost_per_year"])), rel=0.02)
    assert fill_rate == pytest.approx(row["policy_fill_rate"], abs=0.005)
    assert fill_rate > float(str(row["legacy_fill_rate"]))  # what trusting the contract costs


def test_who_has_no_supplier_or_stock_has_no_baseline() -> None:
    planned = plan(
        forecast({("A", "DC"): steady(15, 8), ("B", "DC"): steady(1, 1), ("Z", "DC"): steady(0)}),
        None,
        locations(DC="DC"),
        position(("A", "DC", 50, 0, 20), ("Z", "DC", 5, 0, 0)),
        options(option("B"), option("Z")),
        settings=settings(order_cost=ORDER_COST),
        as_of=AS_OF,
    )
    no_supplier, no_stock, no_demand = planned.select("item_id", *COLUMNS).iter_rows(named=True)
    assert [no_supplier[name] for name in COLUMNS] == [None] * len(COLUMNS)
    assert no_stock["legacy_order_units"] is None and no_stock["weekly_review_order_units"] is None
    assert no_stock["legacy_reorder_point_units"] > 7 and no_stock["legacy_cost_per_year"] > 0
    assert (no_demand["legacy_order_units"], no_demand["weekly_review_order_units"]) == (0, 0)
    assert (no_demand["policy_cost_per_year"], no_demand["policy_fill_rate"]) == (0, 1)
    assert isinstance(planned.schema["policy_cost_per_year"], pl.Decimal)
