"""The twin against what theory says: published optima, closed forms, and events whose effect can be counted by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from models.twin import demand as sampling
from models.twin import events
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import (
    base_stock,
    capped_base_stock,
    dual_index,
    echelon_base_stock,
    moving_average_order_up_to,
)
from models.twin.simulate import run
from models.twin.state import Rules, initial_state
from tests.models.twin.worlds import fixed, serial_system


def play(network, policy, parameters, outside, rules, warm_up=0):
    layout = make_layout(network.checked())
    numbers = make_numbers(network, layout)
    made = {
        name: layout.at_nodes(np.reshape(value, (len(network.nodes), -1)))
        for name, value in parameters.items()
    }
    counts = jnp.asarray((np.arange(outside.periods) >= warm_up).astype(np.float32)) if warm_up else None
    paths = outside.paths(network, layout, counts=counts)
    return layout, run(
        layout, rules, policy, made, numbers, initial_state(network, layout, numbers, rules), paths
    )


def mean_and_error(costs, periods):
    each = np.asarray(costs) / periods
    return each.mean(), each.std(ddof=1) / np.sqrt(len(each))


@pytest.mark.parametrize(
    ("law", "levels", "expected", "slack"),
    [("normal", (22.70, 12.02, 6.50), 47.66, 0.02), ("poisson", (26, 15, 9), 72.045, 0.005)],
)
def test_serial_systems_cost_what_clark_and_scarf_say(law, levels, expected, slack):
    random, periods = np.random.default_rng(3), 1_100
    if law == "normal":
        drawn = sampling.normal(np.full((4, 1), 5.0), np.full((4, 1), 1.0), periods, 600, random)
    else:
        drawn = sampling.poisson(np.full((4, 1), 5.0), periods, 600, random)
    rules = Rules(whole_units=False, record=())
    _, outcome = play(
        serial_system(), echelon_base_stock, {"level": [0, *levels]}, Outside(drawn), rules, 100
    )
    cost, error = mean_and_error(outcome.cost, periods - 100)
    assert abs(cost - expected) < 3 * error + slack
    assert error < 0.08


def one_place(**node):
    return [Node("outside", "supplier"), Node("shop", "store", has_demand=True, **node)]


def test_newsvendor_and_its_disrupted_supplier_in_the_limit():
    """Base stock with lead time 0 and orders first: every period is a newsvendor's (Snyder and Shen, example 4.3)."""
    network = Network(
        ["item"],
        one_place(holding_cost=0.18, shortage_cost=0.70, backlog_share=1, on_hand=56),
        [Lane("outside", "shop", lead_time=fixed(0))],
    )
    drawn = sampling.normal(np.full((2, 1), 50.0), np.full((2, 1), 8.0), 400, 1_000, np.random.default_rng(5))
    rules = Rules(sequence="order_then_demand", whole_units=False, record=())
    _, outcome = play(network, base_stock, {"level": [0, 56.6039559274]}, Outside(drawn), rules, 10)
    cost, error = mean_and_error(outcome.cost, 390)
    assert abs(cost - 1.9976051932) < 3 * error


def test_a_base_stock_system_is_an_infinite_server_queue():
    """Units on order under base stock, Poisson demand, any lead times that cross: Poisson with mean rate x lead (Palm)."""
    times = LeadTime((1, 4, 9), (0.5, 0.3, 0.2))
    network = Network(
        ["item"], one_place(backlog_share=1, on_hand=200), [Lane("outside", "shop", lead_time=times)]
    )
    random, periods, replications, rate = np.random.default_rng(8), 60, 4_000, 3.0
    drawn = sampling.poisson(np.full((2, 1), rate), periods, replications, random)
    lead = sampling.lead_times(network, periods, replications, random)
    rules = Rules(record=(), daily="cells")
    _, outcome = play(network, base_stock, {"level": [0, 200]}, Outside(drawn, lead=lead[:, :, None]), rules)
    under_way = np.asarray(outcome.daily["in_transit"][1][-1, 0, 0])
    mean, error = mean_and_error(under_way, 1)
    # ordered in the evening of t, there in the morning of t + L: at the end of a day L days' orders are under way
    assert abs(mean - rate * times.mean) < 3 * error


def test_lost_sales_and_its_neighbours():
    """Zipkin 2008: Poisson 5, p 4, L 2; the best base stock costs 5.5 % more than the optimum, capped .25 %."""
    network = Network(
        ["item"],
        one_place(holding_cost=1, shortage_cost=4, on_hand=10),
        [Lane("outside", "shop", lead_time=fixed(2))],
    )
    periods = 1_100
    drawn = Outside(sampling.poisson(np.full((2, 1), 5.0), periods, 400, np.random.default_rng(4)))
    rules = Rules(sequence="order_then_demand", record=())
    optimum = 4.395

    def best(policy, choices):
        costs = []
        for choice in choices:
            parameters = dict(zip(("level", "cap"), [[0, value] for value in choice], strict=False))
            _, outcome = play(network, policy, parameters, drawn, rules, 100)
            costs.append(mean_and_error(outcome.cost, periods - 100))
        return min(costs)

    plain, error = best(base_stock, [(level,) for level in (15, 16, 17)])
    capped, _ = best(capped_base_stock, [(level, cap) for level in (16, 17) for cap in (5, 6)])
    assert abs(100 * (plain / optimum - 1) - 5.5) < 0.1 + 300 * error / optimum
    assert abs(100 * (capped / optimum - 1) - 0.25) < 0.1 + 300 * error / optimum


@pytest.mark.parametrize(
    ("lead", "quick", "slow", "optimum", "gap"), [(2, 4, 7, 216.770, 0.11), (4, 4, 8, 216.893, 0.36)]
)
def test_dual_sourcing_by_the_best_dual_index_policy(lead, quick, slow, optimum, gap):
    """Demand uniform on 0 to 4, h 5, b 495, 105 at once or 100 after `lead` periods: % above the optimum."""
    nodes = [
        Node("near", "supplier"),
        Node("far", "supplier"),
        Node("shop", "store", has_demand=True, holding_cost=5, shortage_cost=495, backlog_share=1, on_hand=5),
    ]
    lanes = [
        Lane("near", "shop", lead_time=fixed(0), unit_cost=105),
        Lane("far", "shop", lead_time=fixed(lead), unit_cost=100),
    ]
    periods, random = 2_200, np.random.default_rng(5)
    drawn = np.zeros((periods, 3, 1, 100), np.float32)
    drawn[:, 2, 0] = random.integers(0, 5, (periods, 100))
    network = Network(["item"], nodes, lanes).checked()
    layout = make_layout(network)
    numbers = make_numbers(network, layout)
    rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True)
    parameters = {
        name: layout.at_nodes([[0], [0], [value]]) for name, value in (("quick", quick), ("slow", slow))
    }
    counts = jnp.asarray((np.arange(periods) >= 200).astype(np.float32))
    paths = Outside(drawn).paths(network, layout, counts=counts)
    parameters["covered"] = jnp.zeros(
        lead - 1
    )  # what comes by the express order's arrival: it arrives at once
    outcome = run(
        layout, rules, dual_index, parameters, numbers, initial_state(network, layout, numbers, rules), paths
    )
    # the mean demand is known: what the sample lies off it is no cost of the policy
    luck = 100 * (drawn[200:, 2, 0].mean(0) - 2)
    each = np.asarray(outcome.cost, np.float64) / (periods - 200) - luck
    assert abs(100 * (each.mean() / optimum - 1) - gap) < 0.01 + 300 * each.std() / 10 / optimum


def test_bullwhip_of_a_moving_average():
    """Var(orders) / Var(demand) = 1 + 2L/n + 2L^2/n^2 = 2.12 for L 2, n 5 (Chen et al. 2000)."""
    network = Network(
        ["item"], one_place(backlog_share=1, on_hand=200), [Lane("outside", "shop", lead_time=fixed(2))]
    )
    drawn = sampling.normal(np.full((2, 1), 100.0), np.full((2, 1), 5.0), 600, 200, np.random.default_rng(6))
    rules = Rules(whole_units=False, record=(), daily="cells", demand_memory=5)
    _, outcome = play(network, moving_average_order_up_to, {"cover": [0, 2.0]}, Outside(drawn), rules)
    ordered = np.asarray(outcome.daily["ordered"][1][50:, 0, 0])
    ratios = ordered.var(0) / np.asarray(drawn[50:, 1, 0]).var(0)
    assert abs(ratios.mean() - 2.12) < 3 * ratios.std() / np.sqrt(len(ratios))


def chain(cover, transit, rate=10.0):
    """A hub that ships each evening what a shop sold; the shop has `cover` days in stock and under way."""
    nodes = [
        Node("outside", "supplier"),
        Node("hub", "hub", on_hand=1e5),
        Node("shop", "store", has_demand=True, price=5.0, on_hand=(cover - transit + 1) * rate),
    ]
    lanes = [
        Lane("outside", "hub", lead_time=fixed(1), unit_cost=1.0, freight_per_kg=0.10, fuel_share=0.2),
        Lane(
            "hub", "shop", lead_time=fixed(transit), freight_per_kg=0.25, fuel_share=0.3,
            in_transit=np.full((transit, 1), rate)[: transit - 1] if transit > 1 else None,
        ),
    ]  # fmt: skip
    return Network(["item"], nodes, lanes, weight_kg=2.0)


@pytest.mark.parametrize(("cover", "transit"), [(3, 2), (4, 3), (6, 3), (2, 1), (3.5, 2)])
def test_a_hub_closed_for_48_hours(cover, transit):
    rate, first = 10.0, 6
    network = chain(cover, transit)
    undisturbed = Outside(np.asarray(sampling.constant(np.array([[0], [0], [rate]]), 30)))
    during = events.spans(30, first, 2)[:, None]
    closed = events.close(undisturbed, network, [1], [], during)
    # stock and under way in the morning of the closure is what covers: `cover` days
    level = {"level": [0, 1e5, cover * rate]}
    rules = Rules(whole_units=False, daily="cells", unfilled_orders="cancel", record=())
    _, before = play(network, base_stock, level, undisturbed, rules)
    layout, after = play(network, base_stock, level, closed, rules)
    assert float(layout.from_nodes(before.daily["lost"], 1).sum()) == 0
    lost = layout.from_nodes(after.daily["lost"], 1)[:, 2, 0, 0]
    # the closure begins in the morning of `first`: `cover` days of sales are at the shop or on their way to it
    expected = rate * max(0, 2 + transit - cover)
    assert lost.sum() == pytest.approx(expected, abs=1e-3)
    if expected:
        assert np.flatnonzero(lost > 1e-3)[0] == first + int(cover)


def test_fuel_changes_freight_by_its_share_and_nothing_else():
    network = chain(4, 2)
    undisturbed = Outside(np.asarray(sampling.constant(np.array([[0], [0], [10.0]]), 40)))
    dearer = events.scale_price(
        undisturbed, network, "fuel_factor", [0, 1], np.ones((40, 1), np.float32), 1.10
    )
    rules = Rules(whole_units=False, record=("sold", "shipped", "freight"))
    level = {"level": [0, 1e5, 40.0]}
    layout, before = play(network, base_stock, level, undisturbed, rules)
    _, after = play(network, base_stock, level, dearer, rules)
    freight = layout.from_rows(network, before.totals["freight"]).sum(2)[:, 0]
    assert float(after.cost[0] - before.cost[0]) == pytest.approx(
        0.10 * (0.2 * freight[0] + 0.3 * freight[1]), rel=1e-4
    )
    for name in ("sold", "shipped"):
        assert all(
            (np.asarray(a) == np.asarray(b)).all()
            for a, b in zip(after.totals[name][1:], before.totals[name][1:], strict=True)
            if a is not None
        )


def test_erlang_loss_system():
    """Lost sales with base stock S and one customer at most at a time: Erlang's loss formula with S servers."""
    stock, load = 3, 0.02 * 100
    network = Network(["item"], one_place(on_hand=stock), [Lane("outside", "shop", lead_time=fixed(100))])
    # short periods: 0.02 customers each; the chance of two in one is what is approximated
    drawn = sampling.poisson(np.full((2, 1), 0.02), 3_000, 600, np.random.default_rng(2))
    _, outcome = play(
        network, base_stock, {"level": [0, stock]}, Outside(drawn), Rules(record=("demand", "lost")), 500
    )
    lost, asked = (np.asarray(outcome.totals[name][1][0, 0]) for name in ("lost", "demand"))
    share = lost.sum() / asked.sum()
    error = (lost - share * asked).std(ddof=1) / np.sqrt(len(lost)) / asked.mean()
    terms = stats.poisson.pmf(np.arange(stock + 1), load)
    assert abs(share - terms[-1] / terms.sum()) < 3 * error + 0.003
