"""Formulas against simulations that share no code with them; three standard errors unless said."""

import math

import numpy as np
import pytest

from models.inventory.bullwhip import bullwhip_of_moving_average, bullwhip_ratio, moving_average_orders
from models.inventory.distributions import demand_probability, poisson_probabilities
from models.inventory.lost_sales import LostSales, average_cost, base_stock, capped_base_stock, myopic
from models.inventory.newsvendor import newsvendor_normal, newsvendor_poisson
from models.inventory.performance import expected_performance
from models.inventory.periodic_review import periodic_review_cost
from models.inventory.s_s import s_s_cost, s_s_power_approximation
from models.inventory.safety_stock import (
    continuous_fill_rate,
    cycle_service_level,
    order_up_to_for_fill_rate,
    reorder_point_for_fill_rate,
    safety_stock,
)
from models.inventory.serial_systems import SerialSystem, clark_scarf


def close(simulated: np.ndarray, expected: float, errors: float = 3.0) -> None:
    """The mean of independent replications lies within `errors` standard errors."""
    error = simulated.std(ddof=1) / math.sqrt(len(simulated))
    assert abs(simulated.mean() - expected) <= errors * error, (simulated.mean(), expected, error)


def test_newsvendor_cost_with_lead_time() -> None:
    generator = np.random.default_rng(1)
    level, cost = newsvendor_normal(0.18, 0.70, 50, 8, lead_time_periods=2)
    demand = generator.normal(50, 8, (200_000, 3)).sum(axis=1)
    close(0.18 * np.maximum(level - demand, 0) + 0.70 * np.maximum(demand - level, 0), float(cost))
    level, cost = newsvendor_poisson(1, 4, 6, lead_time_periods=1)
    demand = generator.poisson(12, 200_000)
    close(np.maximum(level - demand, 0) + 4 * np.maximum(demand - level, 0), float(cost))


def serial_normal(levels: np.ndarray, replications: int, periods: int) -> np.ndarray:
    """Average cost of ex. 6.1: receive, demand, order in each period; stock under way costed where it left."""
    generator = np.random.default_rng(3)
    local, lead, penalty = [7.0, 4.0, 2.0], [1, 1, 2], 37.12
    gaps = np.diff(levels, prepend=0.0)
    stock = np.tile(gaps, (replications, 1))
    owed = np.zeros((replications, 3))  # to the customer, to stage 1, to stage 2
    under_way = [np.zeros((replications, each)) for each in lead]
    cost, counted = np.zeros(replications), 0
    for period in range(periods):
        for stage in range(3):
            stock[:, stage] += under_way[stage][:, 0]
            under_way[stage] = np.roll(under_way[stage], -1, axis=1)
            under_way[stage][:, -1] = 0.0
        demand = generator.normal(5, 1, replications)
        for stage in range(3):  # base stock: every stage orders what the customer took
            owed[:, stage] += demand
            sent = np.minimum(owed[:, stage], stock[:, stage])
            stock[:, stage] -= sent
            owed[:, stage] -= sent
            if stage:
                under_way[stage - 1][:, -1] += sent
        under_way[2][:, -1] += demand
        if period >= 50:
            counted += 1
            held = stock[:, 0] * local[0] + (stock[:, 1] + under_way[0].sum(axis=1)) * local[1]
            held += (stock[:, 2] + under_way[1].sum(axis=1)) * local[2]
            cost += held + penalty * owed[:, 0]
    return cost / counted


def test_serial_normal_system_costs_what_clark_scarf_says() -> None:
    plan = clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, demand_mean_units=5, demand_std_units=1))
    simulated = serial_normal(plan.echelon_base_stock_units, replications=2_000, periods=550)
    close(simulated, plan.cost_per_period)
    assert simulated.mean() == pytest.approx(47.66, abs=0.02)


def test_fill_rate_of_continuous_review() -> None:
    # Poisson demand and a fixed lead time: the position is uniform on r + 1 .. r + Q, the net stock it less the demand.
    generator = np.random.default_rng(5)
    mean, quantity = 30.0, 12
    point = float(reorder_point_for_fill_rate(0.95, quantity, (mean, math.sqrt(mean)), "normal"))
    expected = float(continuous_fill_rate(point, quantity, (mean, math.sqrt(mean)), "normal"))
    assert expected == pytest.approx(0.95, abs=1e-6)
    position = point + quantity * generator.random(400_000)
    in_stock = position - generator.normal(mean, math.sqrt(mean), 400_000) > 0
    close(in_stock.astype(float), expected)


def simulated_review(
    level: float, review: int, lead_times: list[int], cycles: int
) -> tuple[np.ndarray, np.ndarray]:
    """Order-up-to every `review` days, lead times drawn, N(20, 6) a day: served share and stock-out-free, by cycle.

    An order does not overtake the one before: the longest lead time is shorter than the review.
    """
    generator = np.random.default_rng(7)
    arrivals = generator.choice(lead_times, cycles + 1) + review * np.arange(cycles + 1)
    demand = generator.normal(20, 6, (cycles + 2) * review)
    total = np.concatenate([[0.0], np.cumsum(demand)])
    start, end = arrivals[:-1], arrivals[1:]
    # What is on hand after an arrival is the level less the demand since its order was placed.
    placed = review * np.arange(cycles)
    left, needed = level - (total[start] - total[placed]), total[end] - total[start]
    short = np.maximum(needed - np.maximum(left, 0), 0)
    return 1 - np.minimum(short, needed) / needed, (left - needed >= 0).astype(float)


def test_both_services_under_random_demand_and_lead_time() -> None:
    # Lead time 2 or 4 days alike (mean 3, std 1), review every 5: demand over L + R and over L.
    protection = (20 * 8, math.sqrt(8 * 36 + 400))
    until_arrival = (20 * 3, math.sqrt(3 * 36 + 400))
    level = float(order_up_to_for_fill_rate(0.98, protection, until_arrival, "normal"))
    served, _ = simulated_review(level, 5, [2, 4], 40_000)
    # Two lead times are not a normal: the moments are right, the shape is an approximation (1 point).
    assert served.mean() == pytest.approx(0.98, abs=0.01)
    _, whole_cycles = simulated_review(level, 5, [3], 40_000)
    steady = (20 * 8, math.sqrt(8 * 36))
    close(whole_cycles, float(cycle_service_level(level, *steady, "normal")))
    stock = 160 + float(safety_stock(0.9, *steady, "normal"))
    close(simulated_review(stock, 5, [3], 40_000)[1], 0.9)


def test_base_stock_with_exponential_lead_times_is_the_queue_with_endless_servers() -> None:
    # Palm's theorem: orders under way are Poisson(demand rate x mean lead time), whatever the lead time's law.
    generator = np.random.default_rng(9)
    rate, mean_lead, level, runs = 4.0, 2.0, 11, 40_000
    orders = generator.poisson(
        rate * 40, runs
    )  # 20 mean lead times back: what was ordered before has arrived
    which = np.repeat(np.arange(runs), orders)
    is_under_way = generator.exponential(mean_lead, len(which)) > generator.uniform(0, 40, len(which))
    under_way = np.bincount(which[is_under_way], minlength=runs)
    served = under_way < level
    close(served.astype(float), float(demand_probability(level - 1, rate * mean_lead, 0, "poisson")))


def lost_sales_simulated(policy, penalty: float, lead: int) -> np.ndarray:
    generator = np.random.default_rng(11)
    states, cost = np.zeros((2_000, lead), dtype=np.int64), np.zeros(2_000)
    for period in range(600):
        order = policy(states)
        demand = generator.poisson(5, 2_000)
        left = states[:, 0] - demand
        if period >= 100:
            cost += np.where(left > 0, left, -penalty * left)
        states = np.concatenate([states[:, 1:], order[:, None]], axis=1)
        states[:, 0] += np.maximum(left, 0)
    return cost / 500


def test_lost_sales_policies_cost_what_they_cost() -> None:
    problem = LostSales(1, 9, 2, poisson_probabilities(5, tail=1e-8))
    for policy in (base_stock(19), capped_base_stock(19, 6), myopic(problem)):
        close(lost_sales_simulated(policy, 9, 2), average_cost(problem, policy))


def test_s_s_with_lead_time() -> None:
    generator = np.random.default_rng(13)
    point, level, lead = 22, 45, 2
    on_hand, arriving = np.full(4_000, level), np.zeros((4_000, lead + 1), dtype=np.int64)
    cost = np.zeros(4_000)
    for period in range(500):
        position = on_hand + arriving.sum(axis=1)
        order = np.where(position <= point, level - position, 0)
        arriving = np.concatenate([arriving[:, 1:], order[:, None]], axis=1)
        on_hand = on_hand + arriving[:, 0] - generator.poisson(6, 4_000)
        arriving[:, 0] = 0
        if period >= 100:
            cost += np.where(on_hand > 0, on_hand, -9 * on_hand) + 64 * (order > 0)
    close(cost / 400, s_s_cost(point, level, 1, 9, 64, poisson_probabilities(6), lead_time_periods=lead))


def test_power_approximation_is_near_the_optimum() -> None:
    from models.inventory.s_s import s_s_poisson

    for mean, fixed in ((10, 64), (25, 64), (40, 20)):
        best = float(s_s_poisson(1, 9, fixed, mean).cost_per_period)
        point, level = (
            round(float(part)) for part in s_s_power_approximation(1, 9, fixed, mean, math.sqrt(mean))
        )
        assert best <= s_s_cost(point, level, 1, 9, fixed, poisson_probabilities(mean)) <= 1.05 * best


def test_periodic_review_cost() -> None:
    generator = np.random.default_rng(15)
    review, level, lead, runs = 0.25, 500.0, 1 / 12, 60_000
    moment = lead + review * generator.random(runs)  # a random moment of the cycle that the order governs
    net = level - generator.normal(1300 * moment, 150 * np.sqrt(moment))
    rate = 0.225 * np.maximum(net, 0) + 7.5 * np.maximum(-net, 0) + 8 / review
    close(rate, float(periodic_review_cost(review, level, 0.225, 7.5, 8, (1300, 150), lead)))


def simulated_days(order, every: int, start: float) -> tuple[float, float]:
    """Fill rate and mean stock at the end of a day: sparse negative binomial demand (mean .3, variance 1.41), 7 days."""
    generator, runs, days, lead = np.random.default_rng(21), 800, 1_600, 7
    on_hand, arriving = np.full(runs, start), np.zeros((days + lead + 1, runs))
    short, held, demanded = 0.0, 0.0, 0.0
    for day in range(days):
        on_hand = on_hand + arriving[day]
        if day % every == 0:
            arriving[day + lead] += order(on_hand + arriving[day + 1 : day + lead].sum(axis=0))
        demand = generator.negative_binomial(0.09 / 1.11, 0.3 / 1.41, runs)
        if day >= 100:
            short += float((np.maximum(demand - on_hand, 0) - np.maximum(-on_hand, 0)).mean())
            held += float((np.maximum(on_hand, 0) + np.maximum(on_hand - demand, 0)).mean()) / 2
            demanded += float(demand.mean())
        on_hand = on_hand - demand
    return 1 - short / demanded, held / (days - 100)


def test_performance_of_policies_for_sparse_demand() -> None:
    demand, lead = (0.3, 1.41), (7, 0)
    fixed = expected_performance(6.5, 26.5, 1, demand, lead)  # positions 7 .. 26
    fill_rate, held = simulated_days(lambda at: np.where(at <= 6, 20.0, 0.0), 1, 20.0)
    assert fill_rate == pytest.approx(float(fixed.fill_rate), abs=0.005)
    assert held == pytest.approx(float(fixed.on_hand_units), rel=0.02)
    weekly = expected_performance(12, 12, 7, demand, lead)
    fill_rate, held = simulated_days(lambda at: 12.0 - at, 7, 12.0)
    assert fill_rate == pytest.approx(float(weekly.fill_rate), abs=0.005)
    assert held == pytest.approx(float(weekly.on_hand_units), rel=0.02)


def test_bullwhip_of_chen() -> None:
    demand = np.random.default_rng(17).normal(100, 10, (400, 3_000))
    ratio = bullwhip_ratio(moving_average_orders(demand, lead_time_periods=2, window_periods=5), demand)
    close(ratio, 2.12)


def test_bullwhip_of_correlated_demand() -> None:
    generator, rho = np.random.default_rng(19), 0.6
    demand = np.zeros((400, 3_000))
    demand[:, 0] = generator.normal(0, 10 / math.sqrt(1 - rho**2), 400)
    for period in range(1, 3_000):
        demand[:, period] = rho * demand[:, period - 1] + generator.normal(0, 10, 400)
    ratio = bullwhip_ratio(moving_average_orders(demand, 3, 4), demand)
    close(
        ratio, float(bullwhip_of_moving_average(3, 4, rho)), errors=4
    )  # a ratio of variances is a little biased
