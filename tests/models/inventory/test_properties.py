"""What must hold for any input: limits, convexity, and the best of all small cases by trying every one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inventory.disruptions import (
    disrupted_order_cost,
    economic_order_quantity_with_disruptions,
    newsvendor_with_disruptions,
)
from models.inventory.distributions import normal_probabilities, poisson_probabilities
from models.inventory.eoq import (
    annual_order_and_holding_cost,
    economic_order_quantity,
    economic_order_quantity_with_backorders,
    economic_production_quantity,
    order_quantity_with_all_units_discount,
    order_quantity_with_incremental_discount,
)
from models.inventory.joint_replenishment import joint_replenishment
from models.inventory.lot_sizing import wagner_whitin
from models.inventory.newsvendor import (
    newsvendor_cost,
    newsvendor_empirical,
    newsvendor_normal,
    newsvendor_poisson,
)
from models.inventory.periodic_review import (
    periodic_review_cost,
    periodic_review_level,
    periodic_review_optimum,
)
from models.inventory.r_q import (
    r_q_cost,
    r_q_eoq_with_backorders,
    r_q_eoq_with_safety_stock,
    r_q_exact,
    r_q_loss_function_approximation,
    r_q_poisson,
)
from models.inventory.random_yield import (
    newsvendor_with_additive_yield,
    newsvendor_with_multiplicative_yield,
    order_quantity_with_additive_yield,
    order_quantity_with_multiplicative_yield,
)
from models.inventory.s_s import s_s_cost, s_s_exact

money, units = st.floats(0.05, 500), st.floats(1, 1e5)
quick = settings(deadline=None, max_examples=40)


@quick
@given(money, money, money, units)
def test_eoq_family_has_the_eoq_as_limit(
    fixed: float, holding: float, backorder: float, demand: float
) -> None:
    plain = float(economic_order_quantity(fixed, holding, demand))
    least = float(annual_order_and_holding_cost(plain, fixed, holding, demand))
    dear = economic_order_quantity_with_backorders(fixed, holding, holding * 1e9, demand)
    assert [float(part) for part in dear] == pytest.approx([plain, 0, least], rel=1e-6, abs=1e-6)
    waiting = economic_order_quantity_with_backorders(fixed, holding, backorder, demand)
    assert float(waiting.cost_per_year) <= least * (1 + 1e-12) and waiting.order_quantity_units >= plain * (
        1 - 1e-12
    )
    fast = economic_production_quantity(fixed, holding, demand, demand * 1e9)
    assert [float(part) for part in fast] == pytest.approx([plain, least], rel=1e-6)
    whole = order_quantity_with_multiplicative_yield(fixed, holding, demand, 1, 0)
    added = order_quantity_with_additive_yield(fixed, holding, demand, 0, 0)
    for each in (whole, added):
        assert [float(part) for part in each] == pytest.approx([plain, least])
    goods = 3 * demand
    for discount in (order_quantity_with_all_units_discount, order_quantity_with_incremental_discount):
        one = discount(fixed, holding / 3, demand, [0], [3])
        assert [float(one.order_quantity_units), float(one.cost_per_year)] == pytest.approx(
            [plain, least + goods]
        )


def bought_for(
    units_ordered: np.ndarray, breaks: list[float], prices: list[float], all_units: bool
) -> np.ndarray:
    interval = np.searchsorted(breaks, units_ordered, side="right") - 1
    if all_units:
        return np.asarray(prices)[interval] * units_ordered
    ends = [*breaks[1:], np.inf]
    parts = [
        price * np.clip(units_ordered - start, 0, end - start)
        for start, end, price in zip(breaks, ends, prices, strict=True)
    ]
    return np.sum(parts, axis=0)


@quick
@given(
    st.floats(1, 200), st.floats(0.05, 1), st.floats(10, 5_000), st.lists(st.floats(1, 500), min_size=1, max_size=3),
    st.lists(st.floats(0.5, 0.99), min_size=3, max_size=3), st.booleans(),
)  # fmt: skip
def test_no_quantity_beats_the_discounted_one(
    fixed: float, rate: float, demand: float, steps: list[float], cuts: list[float], all_units: bool
) -> None:
    breaks = [0.0, *np.cumsum(steps).tolist()]
    prices = [2.0, *(2 * np.cumprod(cuts[: len(steps)])).tolist()]
    plan = (
        order_quantity_with_all_units_discount if all_units else order_quantity_with_incremental_discount
    )(fixed, rate, demand, breaks, prices)
    tried = np.concatenate([np.geomspace(1, 20_000, 4_000), breaks[1:], plan.order_quantity_units[None]])
    spent = bought_for(tried, breaks, prices, all_units)
    cost = (fixed + spent) * demand / tried + rate * spent / 2
    assert float(plan.cost_per_year) <= cost.min() * (1 + 1e-9)
    assert float(plan.cost_per_year) == pytest.approx(cost[-1])


@quick
@given(st.lists(st.integers(0, 60), min_size=1, max_size=7), st.integers(0, 200), st.floats(0, 5))
def test_wagner_whitin_against_every_plan(demand: list[int], fixed: int, holding: float) -> None:
    plan = wagner_whitin(fixed, holding, demand)

    def cost(lots: np.ndarray) -> float:
        left = np.cumsum(lots) - np.cumsum(demand)
        assert (left >= -1e-9).all()
        return float(fixed * (lots > 0).sum() + holding * left.sum())

    best = np.inf
    for starts in itertools.product([True, False], repeat=len(demand) - 1):
        lots, at = np.zeros(len(demand)), 0
        for period, wanted in enumerate(demand):
            at = period if period == 0 or starts[period - 1] else at
            lots[at] += wanted
        best = min(best, cost(lots))
    assert float(plan.total_cost) == pytest.approx(best) == cost(plan.order_units)


def test_wagner_whitin_takes_all_items_at_once() -> None:
    demand = np.random.default_rng(1).integers(0, 50, (20, 12))
    together = wagner_whitin(80, 1.5, demand)
    for item in range(20):
        alone = wagner_whitin(80, 1.5, demand[item])
        assert together.total_cost[item] == alone.total_cost
        assert together.order_units[item].tolist() == alone.order_units.tolist()


@quick
@given(
    st.floats(1, 500),
    st.lists(st.tuples(st.floats(0, 200), st.floats(0.1, 20), st.floats(1, 500)), min_size=1, max_size=3),
)
def test_joint_replenishment_against_every_small_plan(
    major: float, items: list[tuple[float, float, float]]
) -> None:
    minor, holding, demand = (np.array(column) for column in zip(*items, strict=True))
    plan = joint_replenishment(major, minor, holding, demand)
    every = np.array(list(itertools.product(range(1, 9), repeat=len(items))))
    costs = np.sqrt(2 * (major + (minor / every).sum(axis=1)) * (holding * demand * every).sum(axis=1))
    assert plan.cost_per_year <= costs.min() * (1 + 1e-9)
    assert plan.order_quantity_units == pytest.approx(plan.multiples * demand * plan.order_interval_years)


@quick
@given(st.floats(0.1, 5), st.floats(0.1, 50), st.floats(1, 200), st.floats(0.05, 1))
def test_newsvendor_cost_is_convex_and_least_at_its_level(
    h: float, p: float, mean: float, spread: float
) -> None:
    level, cost = newsvendor_normal(h, p, mean, spread * mean)
    around = newsvendor_cost(level + np.linspace(-mean, mean, 41), h, p, mean, spread * mean, "normal")
    assert (np.diff(around, 2) >= -1e-9 * mean * (h + p)).all()
    assert cost <= around.min() + 1e-9 * mean * (h + p)
    level, cost = newsvendor_poisson(h, p, mean)
    around = newsvendor_cost(np.arange(max(level - 5, 0), level + 6), h, p, mean, 0, "poisson")
    assert cost <= around.min() + 1e-9


@quick
@given(
    st.floats(0.1, 5),
    st.floats(0.1, 50),
    st.lists(st.integers(0, 40), min_size=4, max_size=30),
    st.integers(0, 2),
)
def test_empirical_newsvendor_against_every_level(h: float, p: float, demand: list[int], lead: int) -> None:
    plan = newsvendor_empirical(h, p, demand, lead)
    sums = np.array([sum(demand[at : at + lead + 1]) for at in range(len(demand) - lead)])
    levels = np.arange(0, sums.max() + 1)[:, None]
    costs = (h * np.maximum(levels - sums, 0) + p * np.maximum(sums - levels, 0)).mean(axis=1)
    assert float(plan.cost_per_period) == pytest.approx(costs.min())


@quick
@given(st.floats(0.1, 5), st.floats(1, 50), st.floats(10, 200), st.floats(0.02, 0.3))
def test_yield_that_is_certain_is_the_newsvendor(h: float, p: float, mean: float, spread: float) -> None:
    plain = newsvendor_normal(h, p, mean, spread * mean)
    added = newsvendor_with_additive_yield(h, p, (mean, spread * mean), (0, 0))
    share = newsvendor_with_multiplicative_yield(h, p, (mean, spread * mean, "normal"), [0.5], [1.0])
    assert [float(part) for part in added] == pytest.approx([float(part) for part in plain])
    assert float(share.base_stock_units) == pytest.approx(2 * float(plain.base_stock_units), rel=1e-6)
    assert float(share.cost_per_period) == pytest.approx(float(plain.cost_per_period), rel=1e-6)
    risky = newsvendor_with_multiplicative_yield(
        h, p, (mean, spread * mean, "normal"), [0.4, 0.6], [0.5, 0.5]
    )
    assert risky.cost_per_period >= share.cost_per_period


@quick
@given(
    st.floats(1, 50),
    st.floats(0.1, 2),
    st.floats(5, 50),
    st.floats(100, 5_000),
    st.floats(0.1, 5),
    st.floats(1, 50),
)
def test_disruptions(fixed: float, h: float, p: float, demand: float, down: float, up: float) -> None:
    never = economic_order_quantity_with_disruptions(fixed, h, p, demand, 0, up)
    assert float(never.order_quantity_units) == pytest.approx(
        float(economic_order_quantity(fixed, h, demand))
    )
    plan = economic_order_quantity_with_disruptions(fixed, h, p, demand, down, up)
    tried = disrupted_order_cost(
        plan.order_quantity_units * np.geomspace(0.02, 50, 200), fixed, h, p, demand, down, up
    )
    assert plan.cost_per_year <= tried.min() * (1 + 1e-12)


@quick
@given(st.floats(0.1, 2), st.floats(0.1, 50), st.floats(0.01, 0.9), st.floats(0.05, 0.95))
def test_disrupted_newsvendor_against_every_level(h: float, p: float, fails: float, recovers: float) -> None:
    plan = newsvendor_with_disruptions(h, p, 10, fails, recovers)
    periods = np.arange(4_000)
    down = fails / (fails + recovers)
    chances = down * recovers * (1 - recovers) ** (periods - 1.0)
    chances[0] = 1 - down
    levels = np.arange(1, 200)[:, None] * 10
    needed = (periods + 1) * 10
    costs = (h * np.maximum(levels - needed, 0) + p * np.maximum(needed - levels, 0)) @ chances
    assert float(plan.cost_per_period) == pytest.approx(costs.min(), rel=1e-6)


@quick
@given(st.floats(0.5, 3), st.floats(1, 30), st.floats(0, 100), st.floats(0.3, 20), st.integers(0, 2))
def test_s_s_against_its_neighbours(h: float, p: float, fixed: float, mean: float, lead: int) -> None:
    demand = poisson_probabilities(mean, tail=1e-10)
    point, level, cost = (float(part) for part in s_s_exact(h, p, fixed, demand, lead))
    around = [
        s_s_cost(int(point) + lower, int(level) + upper, h, p, fixed, demand, lead)
        for lower in range(-3, 4)
        for upper in range(-3, 4)
        if point + lower < level + upper
    ]
    assert cost <= min(around) + 1e-9 * (1 + cost)
    without = s_s_exact(h, p, 0, demand, lead)
    base = newsvendor_poisson(h, p, mean, lead)
    assert float(without.cost_per_period) == pytest.approx(float(base.cost_per_period), rel=1e-6)
    assert without.order_up_to_units == base.base_stock_units == without.reorder_point_units + 1


def test_s_s_of_normal_demand_beats_every_other() -> None:
    demand = normal_probabilities(12, 4, tail=1e-9)
    best = s_s_exact(1, 9, 30, demand)
    costs = [s_s_cost(s, S, 1, 9, 30, demand) for s in range(25) for S in range(s + 1, 70)]
    assert float(best.cost_per_period) == pytest.approx(min(costs))


def test_r_q() -> None:
    generator = np.random.default_rng(4)
    h, p, fixed = generator.uniform(0.1, 5, 60), generator.uniform(1, 50, 60), generator.uniform(1, 200, 60)
    demand, mean = generator.uniform(100, 5_000, 60), generator.uniform(1, 500, 60)
    std = mean * generator.uniform(0.05, 0.6, 60)
    best = r_q_exact(h, p, fixed, demand, (mean, std))
    for point, quantity in ((1, 0), (-1, 0), (0, 0.02), (0, -0.02), (1, -0.02)):
        moved = best.reorder_point_units + point * std * 0.02, best.order_quantity_units * (1 + quantity)
        assert (r_q_cost(*moved, h, p, fixed, demand, (mean, std)) >= best.cost_per_year * (1 - 1e-9)).all()
    near = r_q_eoq_with_backorders(h, p, fixed, demand, (mean, std)).cost_per_year / best.cost_per_year
    assert (near >= 1 - 1e-9).all() and (near <= 1.125).all()  # Zheng 1992
    apart = r_q_eoq_with_safety_stock(h, p, fixed, demand, (mean, std)).cost_per_year
    assert (apart >= best.cost_per_year * (1 - 1e-9)).all()
    loss = r_q_loss_function_approximation(h, p, fixed, demand, (mean, std)).cost_per_year
    assert (loss >= best.cost_per_year * (1 - 1e-9)).all()
    # Without uncertainty to speak of, it is the EOQ with backorders.
    calm = r_q_exact(h, p, fixed, demand, (mean, mean * 1e-4))
    steady = economic_order_quantity_with_backorders(fixed, h, p, demand)
    assert calm.cost_per_year == pytest.approx(steady.cost_per_year, rel=1e-3)


def test_r_q_poisson_against_every_small_policy() -> None:
    for h, p, fixed, rate, lead in ((20, 150, 100, 1.5, 2), (1, 9, 5, 10, 0.5), (2, 3, 0.5, 4, 1)):
        best = r_q_poisson(h, p, fixed, rate, lead)
        position = np.arange(-40, 60)
        cost = newsvendor_cost(position, h, p, rate * lead, 0, "poisson")
        total = np.concatenate([[0.0], np.cumsum(cost)])
        tried = [
            ((fixed * rate + total[top] - total[low]) / (top - low), position[low] - 1, top - low)
            for low in range(99)
            for top in range(low + 1, 100)
        ]
        least, point, quantity = min(tried)
        assert float(best.cost_per_year) == pytest.approx(least)
        assert (best.reorder_point_units, best.order_quantity_units) == (point, quantity)


def test_periodic_review() -> None:
    demand, lead = ([1300, 200, 5_000], [150, 90, 400]), [1 / 12, 0.02, 0.2]
    best = periodic_review_optimum(0.225, 7.5, 8, demand, lead)
    for factor in np.geomspace(0.1, 3, 21):
        review = best.review_period_years * factor
        level = periodic_review_level(review, 0.225, 7.5, demand, lead)
        cost = periodic_review_cost(review, level, 0.225, 7.5, 8, demand, lead)
        assert (cost >= best.cost_per_year * (1 - 1e-9)).all()
        for step in (0.97, 1.03):
            assert (periodic_review_cost(review, level * step, 0.225, 7.5, 8, demand, lead) >= cost).all()
