"""Policies learned by gradients through the twin: better than tuned classical ones, exact gradients, orders one can place."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lake.errors import InputError
from models.inventory.distributions import poisson_probabilities
from models.inventory.lost_sales import LostSales, tune_capped_base_stock
from models.learning.policy import Architecture, learned, moved_to
from models.learning.training import HELD_OUT_SEED, Schedule, period_cost, train
from models.twin.policies import capped_base_stock
from models.twin.simulate import run
from tests.models.learning.networks import one_place, warehouse

LOST = Architecture(hidden=(8, 8), ages=1)


@pytest.fixture(scope="module")
def shop():
    """One place and what 300 steps made of it."""
    world = one_place()
    rules = world.rules(order_to_nearest=True)
    schedule = Schedule(steps=300, learning_rate=5e-3, look_every=50)
    trained = train(
        world.stage(rules), learned(LOST), world.parameters(LOST, rules), world.paths_of(), schedule
    )  # fmt: skip
    return world, rules, trained


def test_a_short_training_beats_the_best_capped_base_stock_on_customers_never_seen(shop):
    world, rules, trained = shop
    tuned = tune_capped_base_stock(LostSales(1, 9, 2, poisson_probabilities(5.0))).parameters
    levels = {
        "level": world.layout.at_nodes([[0.0], [tuned["level_units"]]]),
        "cap": world.layout.at_nodes([[0.0], [tuned["cap_units"]]]),
    }
    fresh = world.paths_of(600, 64)(HELD_OUT_SEED + 500)
    costs = [
        np.asarray(
            run(world.layout, rules, policy, each, world.numbers, world.stage(rules).state, fresh).cost
        )
        / 580
        for policy, each in ((learned(LOST), trained.parameters), (capped_base_stock, levels))
    ]
    better = costs[1] - costs[0]
    assert better.mean() > 2 * better.std() / len(better) ** 0.5 > 0
    first, last = trained.history[0], trained.history[-1]
    assert (first.step, last.step) == (0, 300)
    assert trained.held_out_cost == min(look.held_out_cost for look in trained.history)


def test_the_same_seed_learns_the_same(shop):
    world, rules, trained = shop
    schedule = Schedule(steps=300, learning_rate=5e-3, look_every=50)
    again = train(
        world.stage(rules), learned(LOST), world.parameters(LOST, rules), world.paths_of(), schedule
    )  # fmt: skip
    assert all(
        (np.asarray(a) == np.asarray(b)).all()
        for a, b in zip(jax.tree.leaves(trained.parameters), jax.tree.leaves(again.parameters), strict=True)
    )
    other = world.parameters(LOST, rules, seed=1)["net"]["layers"][0][0]
    assert not np.allclose(other, world.parameters(LOST, rules, seed=0)["net"]["layers"][0][0])


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_gradients_are_what_small_steps_say(kind):
    world = one_place(mean=5.0)
    architecture = Architecture(kind, hidden=(4,), ages=1, memory=3)
    rules = world.rules(whole_units=False, rounding="relaxed", demand_memory=3)
    parameters = world.parameters(architecture, rules)
    paths = world.paths_of(30, 64)(1)
    stage = world.stage(rules)
    # customers of any size, so that the cost has no corners on average
    noise = jnp.asarray(np.random.default_rng(1).random(paths.demand[1].shape), jnp.float32)
    paths = paths._replace(demand=(None, paths.demand[1] + noise))

    @jax.jit
    def cost(net):
        whole = {"net": net, "places": parameters["places"]}
        return period_cost(stage, learned(architecture), whole, paths)[0]

    net = parameters["net"]
    slope = jax.grad(cost)(net)
    random = np.random.default_rng(2)
    for _ in range(3):
        way = jax.tree.map(lambda each: jnp.asarray(random.standard_normal(each.shape), jnp.float32), net)
        up, down = (
            float(cost(jax.tree.map(lambda value, step, by=sign: value + by * 3e-3 * step, net, way)))
            for sign in (1, -1)
        )
        told = sum(float((a * b).sum()) for a, b in zip(*map(jax.tree.leaves, (slope, way)), strict=True))
        assert (up - down) / 6e-3 == pytest.approx(told, rel=0.03, abs=0.02)


def test_what_is_ordered_can_be_ordered():
    """Packs of 4, at least 8, at most 13 units leave in a period: whatever the policy wants."""
    world = one_place(mean=15.0, lane={"pack": 4.0, "minimum": 8.0, "capacity": 13.0})
    rules = world.rules(daily="cells")
    parameters = world.parameters(LOST, rules, seed=4)
    paths = world.paths_of(60, 8)(0)
    daily = run(
        world.layout, rules, learned(LOST), parameters, world.numbers, world.stage(rules).state, paths
    ).daily
    ordered, shipped = (np.asarray(daily[name][1]) for name in ("ordered", "shipped"))
    assert ordered.max() > 0 and shipped.max() == 12
    assert ((ordered % 4 == 0) & ((ordered == 0) | (ordered >= 8))).all() and (shipped % 4 == 0).all()


def test_one_policy_for_two_levels_serves_other_items_and_stores_untrained():
    small, large = warehouse(), warehouse(items=3, stores=3)
    architecture = Architecture(hidden=(8,), ages=1)
    rules = small.rules()
    schedule = Schedule(steps=150, learning_rate=1e-2, look_every=50)
    before = small.parameters(architecture, rules)
    trained = train(
        small.stage(rules), learned(architecture), before, small.paths_of(60, 16), schedule
    )  # fmt: skip
    assert trained.held_out_cost < 0.95 * trained.history[0].held_out_cost
    moved = moved_to(trained.parameters, large.layout, rules, large.numbers, large.mean)
    untrained = large.parameters(architecture, rules)
    paths = large.paths_of(100, 16)(HELD_OUT_SEED)
    costs = [
        period_cost(large.stage(rules), learned(architecture), each, paths)[0] for each in (moved, untrained)
    ]
    assert float(costs[0]) < 0.95 * float(costs[1])


def test_two_lanes_into_a_place_decide_in_turn():
    """The quick lane sees what is due at once, the slow one also what the quick one orders: dual sourcing's base stock."""
    from models.twin.layout import make_layout
    from models.twin.network import Lane, Network, Node
    from tests.models.learning.networks import World
    from tests.models.twin.worlds import fixed

    shop = Node("shop", "store", has_demand=True, holding_cost=1, shortage_cost=9, backlog_share=1, on_hand=0)
    lanes = [Lane("near", "shop", lead_time=fixed(0)), Lane("far", "shop", lead_time=fixed(3))]
    network = Network(["item"], [Node("near", "supplier"), Node("far", "supplier"), shop], lanes)
    world = World(network, np.array([[0.0], [0.0], [5.0]]))
    architecture = Architecture(hidden=(4,), form="up_to", ages=2, in_turn=True)
    rules = world.rules(daily="cells", whole_units=False)
    parameters = world.parameters(architecture, rules)
    # untrained layers of weight 0: levels are need + half a unit
    weights, bias = parameters["net"]["last"]
    parameters["net"]["last"] = (0 * weights, bias)
    paths = world.paths_of(6, 2)(0)
    daily = run(
        world.layout, rules, learned(architecture), parameters, world.numbers, world.stage(rules).state, paths
    ).daily
    ordered = np.asarray(daily["ordered"][1])
    quick, slow = 5 + 0.5 * 5**0.5, 20 + 0.5 * (4 * 5) ** 0.5
    assert ordered[0, :, 0] == pytest.approx(np.array([[quick] * 2, [slow - quick] * 2]), rel=1e-5)
    assert make_layout(network).levels[1].rows_per_node == 2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Architecture("lstm"), "no architecture 'lstm': mlp or gru"),
        (lambda: Architecture(form="free"), "no form 'free'"),
        (lambda: Architecture(hidden=(8, 0)), "at least one unit"),
        (lambda: Architecture(ages=-1), "ages is -1"),
        (lambda: Architecture("gru"), "give memory"),
        (lambda: Schedule(steps=-5), "steps of at least 1, and it is -5"),
        (lambda: Schedule(learning_rate=0), "have to be above 0"),
        (lambda: Schedule(seconds=float("nan")), "have to be above 0"),
        (lambda: Schedule(rounding=((0.5, "hard"),)), "add up to 1"),
        (lambda: Schedule(rounding=((1.0, "softly"),)), "no rounding 'softly'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_no_demand_and_a_blind_policy_are_refused():
    world = one_place()
    rules = world.rules()
    with pytest.raises(InputError, match="without demand: the mean demand is 0"):
        replaced = replace(LOST)
        nobody = one_place(mean=0.0)
        nobody.parameters(replaced, rules)
    with pytest.raises(InputError, match="has the shape"):
        world.mean = np.ones((1, 3))
        world.parameters(LOST, rules)
    world = one_place()
    with pytest.raises(InputError, match=r"set Rules\.see_pipeline"):
        world.parameters(LOST, world.rules(see_pipeline=False))
    with pytest.raises(InputError, match="see 5 periods of demand"):
        world.parameters(Architecture(memory=5), rules)
    parameters = world.parameters(LOST, rules)
    silent = lambda seed: jax.tree.map(jnp.zeros_like, world.paths_of(5, 2)(seed))  # noqa: E731
    with pytest.raises(InputError, match="the sampled paths have none"):
        train(world.stage(rules), learned(LOST), parameters, silent)
