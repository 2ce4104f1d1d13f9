"""Systems of several stages, suppliers or periods of lead time, against brute force and their limits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inventory import dual_sourcing, lost_sales
from models.inventory.distributions import poisson_probabilities
from models.inventory.guaranteed_service import Stage, optimise_service_times
from models.inventory.newsvendor import (
    newsvendor_poisson,
)
from models.inventory.serial_systems import SerialSystem, clark_scarf, serial_cost, shang_song


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.tuples(st.floats(0.2, 3), st.integers(0, 2)), min_size=1, max_size=3),
    st.floats(4, 60), st.floats(1, 8), st.booleans(),
)  # fmt: skip
def test_serial_systems(stages: list[tuple[float, int]], p: float, mean: float, is_normal: bool) -> None:
    holding, lead = (list(column) for column in zip(*stages, strict=True))
    lead = [max(each, 1) if at == 0 else each for at, each in enumerate(lead)]
    system = SerialSystem(holding, lead, p, mean, mean / 5 if is_normal else None)
    best = clark_scarf(system, step_std=0.02)
    told = serial_cost(system, best.echelon_base_stock_units, step_std=0.02)
    assert told == pytest.approx(best.cost_per_period, rel=1e-3)
    for stage in range(len(stages)):
        for step in (-1, 1):
            moved = best.echelon_base_stock_units.copy()
            moved[stage] += step
            assert serial_cost(system, moved, step_std=0.02) >= told * (1 - 1e-3)
    bounds = shang_song(system)
    room = 0.05 * mean if is_normal else 0
    assert (bounds.lower_units - room <= best.echelon_base_stock_units).all()
    assert (best.echelon_base_stock_units <= bounds.upper_units + room).all()
    assert serial_cost(system, bounds.approximate_units, step_std=0.02) <= best.cost_per_period * 1.1


def test_a_serial_system_of_one_stage_is_the_newsvendor() -> None:
    plan = clark_scarf(SerialSystem([1.5], [2], 9, 6))
    level, cost = newsvendor_poisson(1.5, 9, 12)
    assert (plan.echelon_base_stock_units[0], plan.cost_per_period) == (level, pytest.approx(float(cost)))


def every_promise(stages: dict[str, Stage], arcs: list[tuple[str, str]], std: dict[str, float]) -> float:
    best, longest = (
        math.inf,
        sum(stage.processing_periods + stage.inbound_service_periods for stage in stages.values()),
    )
    for promises in itertools.product(range(longest + 1), repeat=len(stages)):
        promise = dict(zip(stages, promises, strict=True))
        cost = 0.0
        for name, stage in stages.items():
            is_last = all(supplier != name for supplier, _ in arcs)
            limit = stage.outbound_service_periods
            limit = (0 if is_last else longest) if limit is None else limit
            inbound = max([promise[up] for up, down in arcs if down == name], default=0)
            covered = max(inbound, stage.inbound_service_periods) + stage.processing_periods - promise[name]
            if covered < 0 or promise[name] > limit:
                cost = math.inf
                break
            cost += stage.holding_cost_per_unit_period * std[name] * math.sqrt(covered)
        best = min(best, cost)
    return best


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_guaranteed_service_against_every_promise(data: st.DataObject) -> None:
    names = [f"n{at}" for at in range(data.draw(st.integers(1, 4)))]
    arcs = []
    for at in range(1, len(names)):
        other = names[data.draw(st.integers(0, at - 1))]
        arcs.append((names[at], other) if data.draw(st.booleans()) else (other, names[at]))
    stages = {
        name: Stage(
            data.draw(st.floats(0.1, 9)),
            data.draw(st.integers(0, 2)),
            demand_std_units=data.draw(st.floats(0.1, 3)) if all(up != name for up, _ in arcs) else 0.0,
            inbound_service_periods=data.draw(st.integers(0, 1))
            if all(down != name for _, down in arcs)
            else 0,
            outbound_service_periods=data.draw(st.sampled_from([None, 0, 1]))
            if all(up != name for up, _ in arcs)
            else None,
        )
        for name in names
    }
    variance = {name: stages[name].demand_std_units ** 2 for name in names}
    for _ in names:  # as often as the longest path is long
        for name in names:
            below = sum(variance[down] for up, down in arcs if up == name)
            variance[name] = stages[name].demand_std_units ** 2 + below
    std = {name: math.sqrt(each) for name, each in variance.items()}
    plan = optimise_service_times(stages, arcs)
    assert plan.cost_per_period == pytest.approx(every_promise(stages, arcs, std))
    told = sum(
        stages[name].holding_cost_per_unit_period * units for name, units in plan.safety_stock_units.items()
    )
    assert told == pytest.approx(plan.cost_per_period)
    assert min(plan.covered_periods.values()) >= 0


def test_an_arc_said_twice_is_said_once() -> None:
    stages = {"plant": Stage(1, 2), "shop": Stage(3, 1, 2.0)}
    once = optimise_service_times(stages, [("plant", "shop")])
    assert optimise_service_times(stages, [("plant", "shop")] * 2) == once


def test_lost_sales_bounds_leave_the_optimum_alone() -> None:
    # The optimum against the best of every policy that a table can hold: one unit of demand at most, lead time 1.
    problem = lost_sales.LostSales(1, 3, 1, [0.4, 0.6])
    tables = itertools.product(range(3), repeat=4)
    costs = [
        lost_sales.average_cost(
            problem,
            lambda states, table=table: np.array(table)[np.minimum(states[:, 0], 3)] * (states[:, 0] < 3),
        )
        for table in tables
    ]
    assert lost_sales.optimal_cost(problem) == pytest.approx(min(costs))


def test_lost_sales_cost_more_as_lead_times_and_penalties_grow() -> None:
    demand = poisson_probabilities(3, tail=1e-8)
    costs = [
        [lost_sales.optimal_cost(lost_sales.LostSales(1, p, lead, demand)) for lead in (1, 2, 3)]
        for p in (4, 9)
    ]
    assert (np.diff(costs, axis=0) > 0).all() and (np.diff(costs, axis=1) > 0).all()


def test_dual_sourcing_lies_between_its_suppliers() -> None:
    demand = [0.1, 0.3, 0.3, 0.2, 0.1]
    mean = float(np.arange(5) @ demand)
    for express_lead in (0, 1):
        problem = dual_sourcing.DualSourcing(1, 19, 10, 11, 3, demand, express_lead)
        best = dual_sourcing.optimal_cost(problem)
        assert best == pytest.approx(
            dual_sourcing.optimal_cost(problem, 7), rel=1e-8
        )  # no larger order is of use

        def single(lead: int, price: float) -> float:
            covered = np.array([1.0])
            for _ in range(lead + 1):
                covered = np.convolve(covered, demand)
            left = np.arange(30)[:, None] - np.arange(len(covered))
            return price * mean + float(((np.maximum(left, 0) + 19 * np.maximum(-left, 0)) @ covered).min())

        assert best <= min(single(express_lead, 11), single(3, 10)) + 1e-6
        tuned = dual_sourcing.tune_capped_dual_index(problem)
        assert dual_sourcing.average_cost(problem, tuned.policy) == pytest.approx(tuned.cost_per_period)
        assert best <= tuned.cost_per_period <= dual_sourcing.tune_dual_index(problem).cost_per_period + 1e-9
