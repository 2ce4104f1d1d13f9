"""Money: cost to serve adds up to the run, re-optimised modes lose no more, gradients point where costs fall."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lake.errors import InputError
from models.twin import demand as sampling
from models.twin import events
from models.twin.cost_to_serve import cost_to_serve, worst
from models.twin.events import Outside
from models.twin.layout import make_layout
from models.twin.modes import cheapest
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import base_stock
from models.twin.simulate import fitting_block, run, simulate
from models.twin.state import Rules, initial_state

DAYS = 200
FUEL = np.ones((DAYS, 1), np.float32)


def network() -> Network:
    nodes = [
        Node("S", "supplier"),
        Node("H", "hub", holding_cost=0.01, on_hand=100),
        Node("T", "store", has_demand=True, price=10.0, holding_cost=0.02, on_hand=20),
    ]
    lanes = [
        Lane("S", "H", mode="road", lead_time=LeadTime((3,), (1.0,)), unit_cost=4.0, freight_per_kg=0.50, fuel_share=0.6),
        Lane("S", "H", mode="rail", lead_time=LeadTime((6,), (1.0,)), unit_cost=4.0, freight_per_kg=0.47, fuel_share=0.1, share=0.0),
        Lane("H", "T", lead_time=LeadTime((1,), (1.0,)), freight_per_kg=0.2, fuel_share=0.3, minimum_charge=1.0),
    ]  # fmt: skip
    return Network(["light", "heavy"], nodes, lanes, weight_kg=np.array([0.5, 3.0])).checked()


LEVELS = np.array([[0, 0], [90, 90], [25, 25]])
RULES = Rules(record=("demand", "sold", "lost", "on_hand", "shipped", "freight"), unfilled_orders="cancel")


def play(chain, outside, rules=RULES):
    layout = make_layout(chain)
    numbers = make_numbers(chain, layout)
    state = initial_state(chain, layout, numbers, rules)
    return layout, run(
        layout,
        rules,
        base_stock,
        {"level": layout.at_nodes(LEVELS)},
        numbers,
        state,
        outside.paths(chain, layout),
    )


@pytest.fixture(scope="module")
def calm():
    mean = np.array([[0, 0], [0, 0], [6.0, 4.0]])
    return Outside(sampling.poisson(mean, DAYS, 8, np.random.default_rng(1)))


def test_cost_to_serve_carries_every_cost_to_the_last_lane(calm):
    chain = network()
    layout, outcome = play(chain, calm)
    service = cost_to_serve(chain, layout, outcome)
    assert service.revenue.sum((0, 1)) == pytest.approx(np.asarray(outcome.costs["revenue"]), rel=1e-5)
    sold = layout.from_nodes(outcome.totals["sold"])[2]
    shipped = layout.from_rows(chain, outcome.totals["shipped"])
    # what stays in stock keeps its share: costs per unit x units sold, so within the stock's share of all that moved
    moved = float(sold.sum() / shipped[:2].sum())
    for name, part in (("freight", service.freight), ("holding", service.holding)):
        assert part.sum() == pytest.approx(float(outcome.costs[name].sum()) * moved, rel=0.06), name
    assert service.goods.sum() == pytest.approx(4.0 * float(sold.sum()), rel=1e-6)


def test_lanes_that_cost_nothing_serve_for_nothing(calm):
    free = network().with_lanes(lambda lane: replace(lane, freight_per_kg=0.0, minimum_charge=0.0))
    layout, outcome = play(free, calm)
    assert "freight" not in outcome.costs and (cost_to_serve(free, layout, outcome).freight == 0).all()


def test_dearer_fuel_hurts_the_heavy_item_and_better_modes_lose_no_more(calm):
    chain = network()
    dearer = events.scale_price(calm, chain, "fuel_factor", [0, 1, 2], FUEL, 2.0)
    moved = cheapest(chain, fuel_factor=2.0)
    assert chain.per_item(moved.lanes[1].share).tolist() == [1.0, 1.0]
    assert cheapest(chain).lanes[0].share.tolist() == [1.0, 0.0], "slow and cheap suits what is heavy"
    (layout, before), (_, fixed), (_, better) = play(chain, calm), play(chain, dearer), play(moved, dearer)
    assert float(fixed.cost.mean() - before.cost.mean()) > float(better.cost.mean() - before.cost.mean()) > 0
    items, lanes = worst(chain, cost_to_serve(chain, layout, before), cost_to_serve(chain, layout, fixed), 5)
    assert items["item_id"].to_list() == ["heavy", "light"]
    assert lanes.columns[:2] == ["item_id", "lane"] and (lanes["profit_change"] < 0).all()


@pytest.mark.parametrize("rounding", ["relaxed", "straight_through"])
def test_gradients_go_through_the_twin(calm, rounding):
    chain = replace(
        network(), nodes=[*network().nodes[:2], replace(network().nodes[2], shortage_cost=20.0, price=0.0)]
    )
    layout = make_layout(chain)
    numbers = make_numbers(chain, layout)
    rules = Rules(rounding=rounding, unfilled_orders="cancel", record=())
    short = Outside(calm.demand[:30], None)
    paths, state = short.paths(chain, layout), initial_state(chain, layout, numbers, rules)

    def cost(level):
        return run(layout, rules, base_stock, {"level": level}, numbers, state, paths).cost.mean()

    level = layout.at_nodes(LEVELS - np.array([[0, 0], [0, 0], [18, 18]]))
    slope = jax.grad(cost)(level)
    assert all(bool(jnp.isfinite(each).all()) for each in slope if each is not None)
    assert float(slope[2].sum()) < 0, "a level that is too low: more costs less"
    if rounding == "relaxed":
        up, down = (
            tuple(None if each is None else each + step * (at == 2) for at, each in enumerate(level))
            for step in (0.05, -0.05)
        )
        assert float(cost(up) - cost(down)) / 0.1 == pytest.approx(float(slope[2].sum()), rel=0.05)


def test_a_policy_sees_pipeline_memory_and_features_of_its_lanes(calm):
    chain = network()
    layout = make_layout(chain)
    numbers = make_numbers(chain, layout)
    rules = Rules(record=(), daily="cells", see_pipeline=True, demand_memory=3)
    wanted = np.arange(20.0).reshape(20, 1, 1, 1, 1)  # [period, feature, place, item, replication]
    features = (
        None,
        *(
            jnp.asarray(wanted * np.ones((1, 2, level.size, 2, 1)), jnp.float32)
            for level in layout.levels[1:]
        ),
    )
    seen = {}

    def policy(parameters, o):
        seen[o.level] = {name: getattr(o, name).shape for name in ("pipeline", "memory", "features")}
        if o.level == 2:
            return jnp.broadcast_to(o.features[0] + parameters, o.position.shape)
        return 0.5 * jnp.broadcast_to(o.memory[0], o.position.shape)

    paths = Outside(calm.demand[:20, ..., :3]).paths(chain, layout)._replace(features=features)
    state = initial_state(chain, layout, numbers, rules)
    outcome = run(layout, rules, policy, jnp.ones(()), numbers, state, paths)
    ordered, shipped = (layout.from_rows(chain, outcome.daily[name], 1) for name in ("ordered", "shipped"))
    assert (ordered[:, 2, 0, 0] == np.arange(20) + 1).all(), "the shop orders its feature + 1"
    waiting = (ordered[:, 2] - shipped[:, 2]).cumsum(0) - (ordered[:, 2] - shipped[:, 2])
    assert np.allclose(ordered[:, 0], np.ceil(0.5 * (ordered[:, 2] + waiting))), (
        "the hub sees today what the shop asks"
    )
    assert seen[1]["pipeline"] == (5, 2, 2, 3) and seen[1]["memory"] == (3, 2, 2, 3)
    assert seen[2]["features"] == (2, 1, 2, 1) and seen[2]["pipeline"] == (0, 1, 2, 3)
    with pytest.raises(InputError, match="no sequence"):
        Rules(sequence="order")


def test_blocks_of_replications_are_the_whole(calm):
    chain = network()
    layout = make_layout(chain)
    parameters = {"level": layout.at_nodes(LEVELS)}
    whole, parts = (
        simulate(chain, base_stock, parameters, calm.paths(chain, layout), rules=RULES, block=block)
        for block in (8, 4)
    )
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert np.allclose(one, other, rtol=1e-5)
    assert fitting_block(layout, 1_000_000) == 50_000
