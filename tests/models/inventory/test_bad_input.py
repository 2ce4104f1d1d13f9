"""What cannot be computed is refused in one sentence that says what is wrong."""

from collections.abc import Callable

import numpy as np
import pytest

from models.inventory import (
    bullwhip,
    disruptions,
    dual_sourcing,
    eoq,
    guaranteed_service,
    joint_replenishment,
    lost_sales,
    lot_sizing,
    newsvendor,
    periodic_review,
    r_q,
    random_yield,
    s_s,
    safety_stock,
    serial_systems,
)
from models.inventory.guaranteed_service import Stage

POISSON = [0.5, 0.3, 0.2]
CHAIN = {"a": Stage(1, 1), "b": Stage(2, 1, 1.0), "c": Stage(2, 1, 1.0)}


def tree(arcs: list[tuple[str, str]], **stages: Stage) -> object:
    return guaranteed_service.optimise_service_times({**CHAIN, **stages}, arcs)


@pytest.mark.parametrize(
    ("compute", "sentence"),
    [
        (lambda: eoq.economic_order_quantity([8, -8], 1, 5), "fixed_cost_per_order must not be negative or missing, and it is -8.0 at position 1"),
        (lambda: eoq.economic_order_quantity(8, np.nan, 5), "holding_cost_per_unit_year must not be negative or missing"),
        (lambda: eoq.economic_order_quantity([1, 2], [1, 2, 3], 5), "do not go together, item by item"),
        (lambda: eoq.economic_order_quantity_with_backorders(8, 1, 0, 5), "backorder_cost_per_unit_year must be above 0"),
        (lambda: eoq.economic_production_quantity(8, 1, 5, 5), "production_units_per_year must exceed demand"),
        (lambda: eoq.order_quantity_with_all_units_discount(8, 1, 5, [0, 9], [1]), "each of the 2 break_units"),
        (lambda: eoq.order_quantity_with_all_units_discount(8, 1, 5, [1, 9], [2, 1]), "must begin with 0"),
        (lambda: eoq.order_quantity_with_incremental_discount(8, 1, 5, [0, 9, 9], [3, 2, 1]), "break_units must rise"),
        (lambda: eoq.order_quantity_with_incremental_discount(8, 1, 5, [0, 9], [1, 2]), "must not rise with the quantity"),
        (lambda: joint_replenishment.joint_replenishment(0, [1], [1], [1]), "fixed_cost_per_joint_order must be above 0"),
        (lambda: joint_replenishment.joint_replenishment(1, [], [], []), "takes one family"),
        (lambda: lot_sizing.wagner_whitin(1, 1, []), "demand_units is empty"),
        (lambda: lot_sizing.wagner_whitin(1, 1, [3, -1]), "demand_units must not be negative"),
        (lambda: newsvendor.newsvendor_normal(0, 1, 5, 2), "holding_cost_per_unit_period must be above 0"),
        (lambda: newsvendor.newsvendor_normal(1, 1, 5, -2), "demand_std_units must not be negative"),
        (lambda: newsvendor.newsvendor_empirical(1, 1, []), "demand_units is empty"),
        (lambda: newsvendor.newsvendor_empirical(1, 1, [3, 4], 2), "too few for a lead time of 2"),
        (lambda: disruptions.economic_order_quantity_with_disruptions(8, 1, 0.001, 5, 1, 1), "lost_sale_cost_per_unit is too low"),
        (lambda: disruptions.newsvendor_with_disruptions(1, 1, 5, 1, 0.5), "disruption_probability must lie between 0 and 1"),
        (lambda: random_yield.order_quantity_with_multiplicative_yield(8, 1, 5, 0, 0.1), "yield_mean_share must be above 0"),
        (lambda: random_yield.newsvendor_with_multiplicative_yield(1, 1, (5, 2, "normal"), [0.5], [0.5]), "must sum to 1"),
        (lambda: s_s.s_s_power_approximation(1, 1, 5, 10, 3), "must exceed holding_cost_per_unit_period"),
        (lambda: s_s.s_s_exact(1, 9, 5, [1.0]), "no demand at all"),
        (lambda: s_s.s_s_exact(1, 9, 5, [0.5, 0.4]), "must sum to 1, and they sum to 0.9"),
        (lambda: s_s.s_s_cost(5, 5, 1, 9, 5, POISSON), "order_up_to_units must exceed reorder_point_units"),
        (lambda: r_q.r_q_expected_inventory_approximation(9, 0.01, 8, 5, (1, 1)), "backorder_cost_per_unit is too low"),
        (lambda: r_q.r_q_exact(1, 9, 8, 5, (1, 0)), "lead_time_demand_std_units must be above 0"),
        (lambda: periodic_review.periodic_review_level(0, 1, 9, (5, 2), 1), "review_period_years must be above 0"),
        (lambda: safety_stock.safety_stock(95, 10, 2, "normal"), "cycle_service_level must lie between 0 and 1"),
        (lambda: safety_stock.order_up_to_for_fill_rate(0.9, (5, 1), (5, 1), "normal"), "a fill rate needs demand"),
        (lambda: safety_stock.protection_period(1, -1, 1, 1, 1), "variance_per_day must not be negative"),
        (lambda: serial_systems.SerialSystem([1, 2], [1], 9, 5), "there are 2 and 1"),
        (lambda: serial_systems.SerialSystem([1, -2], [1, 1], 9, 5), "echelon_holding_costs must be above 0"),
        (lambda: serial_systems.SerialSystem([], [], 9, 5), "there are 0 and 0"),
        (lambda: lost_sales.LostSales(1, 9, 0, POISSON), "lead_time_periods must be a whole number from 1 on"),
        (lambda: lost_sales.LostSales(-1, 9, 1, POISSON), "holding_cost_per_unit_period must be above 0"),
        (lambda: lost_sales.average_cost(lost_sales.LostSales(1, 9, 1, POISSON), lambda states: states[:, 0] - 1), "one whole order of at least 0"),
        (lambda: lost_sales.optimal_cost(lost_sales.LostSales(1, 9, 40, POISSON)), "states are too many"),
        (lambda: dual_sourcing.DualSourcing(1, 9, 10, 10, 2, POISSON), "express_price must exceed regular_price"),
        (lambda: dual_sourcing.DualSourcing(1, 9, 10, 11, 1, POISSON, 1), "regular_lead_time_periods must be a whole number from 2 on"),
        (lambda: dual_sourcing.average_cost(dual_sourcing.DualSourcing(1, 9, 10, 11, 2, POISSON), dual_sourcing.tailored_base_surge(2, 1)), "stock grows without end"),
        (lambda: bullwhip.moving_average_orders([1, 2], 2, 5), "too few for a mean over 5"),
        (lambda: bullwhip.bullwhip_ratio([], []), "at least one period"),
        (lambda: tree([("a", "b"), ("b", "c"), ("c", "a")]), "close a circle"),
        (lambda: tree([("a", "b")]), "'c' is not connected with 'a'"),
        (lambda: tree([("a", "b"), ("a", "moon")]), "leads to 'moon', which is no stage"),
        (lambda: tree([("a", "b"), ("a", "c")], b=Stage(-2, 1)), "stage 'b': holding_cost_per_unit_period must not be negative"),
        (lambda: guaranteed_service.optimise_service_times({}, []), "stages is empty"),
        (lambda: tree([("a", "b"), ("a", "c")], a=Stage(1, 1_000_000)), "count time in longer periods"),
        (lambda: joint_replenishment.joint_replenishment(1e-9, [9], [1], [1]), "too small beside fixed_cost_per_item_order"),
        (lambda: s_s.s_s_exact(1e-3, 9, 1e9, POISSON), "count demand in larger units"),
        (lambda: s_s.s_s_poisson(1, 9, 1, np.inf), "count demand in larger units"),
    ],
)  # fmt: skip
def test_one_clear_sentence(compute: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        compute()
    assert sentence in str(refused.value)
