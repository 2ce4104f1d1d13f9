"""Every published value of the references, to the digits given; the simulated ones stand in test_by_simulation.py.

Sources: Snyder & Shen, Fundamentals of Supply Chain Theory (examples); Zheng & Federgruen 1991; Shang & Song 2003;
Zipkin 2008; Veeraraghavan & Scheller-Wolf 2008; Gijsbrechts et al. 2022; Chen et al. 2000.
"""

import math

import numpy as np
import pytest

from models.inventory import dual_sourcing, lost_sales
from models.inventory.bullwhip import bullwhip_of_moving_average
from models.inventory.disruptions import economic_order_quantity_with_disruptions, newsvendor_with_disruptions
from models.inventory.distributions import poisson_probabilities
from models.inventory.eoq import economic_order_quantity_with_backorders, economic_production_quantity
from models.inventory.guaranteed_service import Stage, optimise_service_times
from models.inventory.joint_replenishment import joint_replenishment
from models.inventory.lot_sizing import wagner_whitin
from models.inventory.newsvendor import newsvendor_normal, newsvendor_poisson
from models.inventory.r_q import r_q_expected_inventory_approximation, r_q_poisson
from models.inventory.s_s import s_s_exact, s_s_poisson
from models.inventory.serial_systems import SerialSystem, clark_scarf, shang_song

TEN_DIGITS = {"abs": 5e-11, "rel": 1e-11}


def test_eoq_family() -> None:
    # ex. 3.8 and 3.1 (EPQ); the plain EOQ stands in test_eoq.py
    backorders = economic_order_quantity_with_backorders(8, 0.225, 5, 1300)
    assert [float(part) for part in backorders] == pytest.approx(
        [310.8125551590, 0.0430622010, 66.9213635510], **TEN_DIGITS
    )
    production = economic_production_quantity(8, 0.225, 1300, 2000)
    assert [float(part) for part in production] == pytest.approx(
        [513.9328595517, 40.4722126897], **TEN_DIGITS
    )


def test_wagner_whitin() -> None:
    plan = wagner_whitin(500, 2, [90, 120, 80, 70])
    assert (plan.order_units.tolist(), float(plan.total_cost)) == ([210, 0, 150, 0], 1380)


def test_joint_replenishment() -> None:
    # Silver's heuristic of stockpyl 1.0.2 finds this plan as well; here it is proved the best.
    plan = joint_replenishment(600, [120, 840, 300], [160, 20, 50], [1, 1, 1])
    assert (plan.multiples.tolist(), plan.cost_per_year) == (
        [1, 3, 1],
        pytest.approx(837.8544026261366, rel=1e-12),
    )


def test_newsvendors() -> None:
    normal = newsvendor_normal(0.18, 0.70, 50, 8)
    assert [float(part) for part in normal] == pytest.approx([56.6039559274, 1.9976051932], **TEN_DIGITS)
    poisson = newsvendor_poisson(1, 4, 6)
    assert [float(part) for part in poisson] == pytest.approx([8, 3.5701069458], **TEN_DIGITS)


def test_disruptions() -> None:
    plan = economic_order_quantity_with_disruptions(8, 0.225, 5, 1300, 1.5, 14)
    # The published quantity comes from a search that stops early; the cost is flat there. Ours is the root of the slope.
    assert [float(part) for part in plan] == pytest.approx([772.8110631910, 173.9500025732], rel=1e-8)
    assert float(plan.cost_per_year) == pytest.approx(173.9500025732, **TEN_DIGITS)
    stock = newsvendor_with_disruptions(0.25, 3, 2000, 0.04, 0.25)
    # The published 2737.068965490 is a sum cut short; the whole is 79375 / 29.
    assert (float(stock.base_stock_units), float(stock.cost_per_period)) == (8000, pytest.approx(79375 / 29))
    assert float(stock.cost_per_period) == pytest.approx(2737.068965490, abs=5e-8)


def test_s_s_exact() -> None:
    plan = s_s_exact(1, 4, 5, poisson_probabilities(6))
    assert [float(part) for part in plan] == pytest.approx([4, 10, 8.0341115615], abs=5e-10)
    means = [10, 15, 20, 25, 30, 35, 52, 64]
    table = s_s_poisson(1, 9, 64, means)
    assert table.reorder_point_units.tolist() == [6, 10, 14, 19, 23, 28, 44, 55]
    assert table.order_up_to_units.tolist() == [40, 49, 62, 56, 66, 77, 112, 74]
    costs = [35.022, 42.698, 49.173, 54.262, 57.819, 61.215, 72.246, 78.402]
    assert table.cost_per_period.round(3).tolist() == costs


def test_r_q() -> None:
    lead_time_demand = (1300 / 12, 150 / math.sqrt(12))
    plan = r_q_expected_inventory_approximation(0.225, 7.5, 8, 1300, lead_time_demand)
    # Published with an iteration that stops at 1e-8.
    assert [float(part) for part in plan] == pytest.approx(
        [213.9704421358, 318.5901810769, 95.4511402229], abs=2e-8
    )
    # stockpyl 1.0.2 (Federgruen & Zheng), from its documentation
    assert [float(part) for part in r_q_poisson(20, 150, 100, 1.5, 2)] == pytest.approx(
        [3, 5, 107.92358063314975]
    )


def test_serial_poisson() -> None:
    plan = clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, demand_mean_units=5))
    assert plan.echelon_base_stock_units.tolist() == [9, 15, 26]
    assert plan.cost_per_period == pytest.approx(72.0467, abs=5e-5)


def test_serial_normal() -> None:
    plan = clark_scarf(SerialSystem([3, 2, 2], [1, 1, 2], 37.12, demand_mean_units=5, demand_std_units=1))
    assert plan.echelon_base_stock_units == pytest.approx([6.50, 12.02, 22.70], abs=0.01)
    assert plan.cost_per_period == pytest.approx(47.66, abs=0.005)


def test_shang_song() -> None:
    system = SerialSystem([0.25] * 4, [0.25] * 4, 9, demand_mean_units=16)
    exact = clark_scarf(system)
    assert exact.echelon_base_stock_units.tolist() == [8, 13, 18, 22]
    assert exact.cost_per_period == pytest.approx(12.688, abs=5e-4)
    assert shang_song(system).approximate_units.tolist() == [8, 13, 18, 22]


def test_guaranteed_service() -> None:
    chain = {
        "1": Stage(7, 1, demand_std_units=1, outbound_service_periods=1),
        "2": Stage(4, 0),
        "3": Stage(2, 1, inbound_service_periods=1),
    }
    plan = optimise_service_times(chain, [("3", "2"), ("2", "1")])
    assert plan.service_periods == {"1": 1, "2": 0, "3": 0}
    assert plan.cost_per_period == pytest.approx(2 * math.sqrt(2))
    tree = {
        "1": Stage(1, 2, inbound_service_periods=1),
        "2": Stage(3, 1, demand_std_units=1, outbound_service_periods=0),
        "3": Stage(2, 1),
        "4": Stage(3, 1, demand_std_units=1, outbound_service_periods=1),
    }
    plan = optimise_service_times(tree, [("1", "3"), ("3", "2"), ("3", "4")])
    assert list(plan.service_periods.values()) == [0, 0, 0, 1]
    assert plan.cost_per_period == pytest.approx(8.277916867529, abs=5e-13)


@pytest.mark.parametrize(
    ("penalty", "lead_time", "optimum", "gaps"),
    [
        (4, 1, 4.041, (3.0, 0.61, 1.7)),
        (4, 2, 4.395, (5.5, 0.25, 3.7)),
        (4, 4, 4.729, (9.9, 1.47, 7.1)),
        (9, 1, 5.438, (2.0, 0.79, 0.1)),
        (9, 2, 6.094, (3.7, 0.42, 2.1)),
        (9, 4, 6.836, (6.4, 1.12, 5.3)),
        (19, 1, 6.676, (0.8, 0.17, 0.1)),
        (19, 2, 7.664, (2.3, 0.74, 1.4)),
        (19, 4, 8.887, (3.9, 0.74, 3.3)),
    ],
)
def test_lost_sales(penalty: float, lead_time: int, optimum: float, gaps: tuple[float, ...]) -> None:
    problem = lost_sales.LostSales(1, penalty, lead_time, poisson_probabilities(5, tail=1e-8))
    best = lost_sales.optimal_cost(problem)
    assert best == pytest.approx(optimum, abs=6e-4)
    costs = [
        lost_sales.tune_base_stock(problem).cost_per_period,
        lost_sales.tune_capped_base_stock(problem).cost_per_period,
        lost_sales.average_cost(problem, lost_sales.myopic(problem)),
    ]
    assert [100 * (cost / best - 1) for cost in costs] == pytest.approx(gaps, abs=0.1)


@pytest.mark.parametrize(
    ("lead_time", "express_price", "optimum", "gaps"),
    [
        (2, 105, 216.770, (0.00, 0.11, 0.56, 0.06)),
        (2, 110, 219.733, (0.03, 0.18, 1.03, 0.99)),
        (4, 105, 216.893, (0.00, 0.36, 1.43, 0.00)),
        (4, 110, 220.612, (0.11, 0.49, 2.44, 0.58)),
    ],
)
def test_dual_sourcing(lead_time: int, express_price: float, optimum: float, gaps: tuple[float, ...]) -> None:
    problem = dual_sourcing.DualSourcing(5, 495, 100, express_price, lead_time, np.full(5, 0.2))
    best = dual_sourcing.optimal_cost(problem)
    assert best == pytest.approx(optimum, abs=6e-4)
    tuned = [
        dual_sourcing.tune_capped_dual_index(problem),
        dual_sourcing.tune_dual_index(problem),
        dual_sourcing.tune_single_index(problem),
        dual_sourcing.tune_tailored_base_surge(problem),
    ]
    assert [100 * (each.cost_per_period / best - 1) for each in tuned] == pytest.approx(gaps, abs=0.02)
    for each in tuned:  # at the levels told, the policy costs what was said
        assert dual_sourcing.average_cost(problem, each.policy) == pytest.approx(each.cost_per_period)
        assert each.cost_per_period >= best - 1e-6


def test_bullwhip() -> None:
    assert float(bullwhip_of_moving_average(2, 5)) == pytest.approx(2.12, abs=1e-12)
