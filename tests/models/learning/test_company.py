"""The learned policy of a company: what it adjusts, its file, and what does not fit. Learning itself: tests/orchestration."""

from dataclasses import replace
from datetime import date

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lake.errors import InputError
from models.learning.adjusting import ANSWERS, SEEN, adjusted, describe, first_network, moved_start
from models.learning.company import SCHEDULE, Settings, learn
from models.learning.handover import Range
from models.learning.saved import Factors, Learned
from models.learning.stage import Contender
from models.learning.training import train
from models.learning.worlds import Worlds
from models.twin.narrowing import narrowed
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.policies import reorder_point
from models.twin.scenario_model import Scenario
from models.twin.twin import Twin

ITEMS = 4


def small_twin() -> Twin:
    items = np.arange(ITEMS)
    nodes = [Node(name, "supplier") for name in ("S0", "S1")]
    nodes.append(Node("H", "hub", holding_cost=0.02, on_hand=np.full(ITEMS, 60.0)))
    nodes += [
        Node(name, "store", has_demand=True, holding_cost=0.02, price=9.0, on_hand=np.full(ITEMS, 12.0))
        for name in ("T0", "T1")
    ]
    days = LeadTime((2, 4), (0.5, 0.5))
    lanes = [
        Lane(f"S{s}", "H", lead_time=days, items=items % 2 == s, unit_cost=4.0, order_cost=30.0)
        for s in (0, 1)
    ]
    lanes += [Lane("H", f"T{t}", lead_time=LeadTime((1,), (1.0,)), minimum_charge=3.0) for t in (0, 1)]
    point = np.zeros((5, ITEMS))
    point[2], point[3:] = 30.0, 8.0
    level = point.copy()
    level[2], level[3:] = 70.0, 16.0
    mean = np.zeros((7, 5, ITEMS))
    mean[:, 3:] = 2.0 + items / 4
    echelon = np.zeros((5, ITEMS))
    echelon[2] = 1.0
    network = Network([f"i{k}" for k in items], nodes, lanes, categories=["c"] * ITEMS).checked()
    return Twin(
        network,
        "r-1",
        date(2026, 1, 5),
        "USD",
        point,
        level,
        echelon,
        np.ones((7, 4)),
        mean,
        np.ones((5, ITEMS)),
    )


SURGE = Scenario.model_validate(
    {
        "name": "surge",
        "title": "more",
        "events": [{"event": "demand", "percent": 40, "from_day": 3, "days": 10}],
    }
)
SLOW = Scenario.model_validate(
    {
        "name": "slow",
        "title": "slower",
        "events": [
            {"event": "stretch_lead_time", "lanes": {"origin_kind": "supplier"}, "factor": 3, "from_day": 0}
        ],
    }
)


@pytest.fixture(scope="module")
def twin():
    return small_twin()


@pytest.fixture(scope="module")
def worlds(twin):
    return Worlds(twin, [SURGE, SLOW], {"surge": SURGE, "slow": SLOW}, days=28, replications=4)


def a_range(twin) -> Range:
    wide = (None, *(jnp.full(len(SEEN), 1e6) for _ in range(2)))
    return Range(tuple(None if each is None else -each for each in wide), wide)


def test_a_network_that_answers_nothing_is_the_classical_policy_and_items_may_come_along(
    twin, worlds, monkeypatch
):
    classical = Factors().parameters(twin, worlds.layout)
    places = describe(twin, worlds.layout)
    own = {"net": first_network((8,), 1), "places": places, "classical": classical}
    paths = worlds.paths_of("normal")(1)
    usual = worlds.stage.outcome(Contender(reorder_point, classical), paths)
    monkeypatch.setattr("models.learning.adjusting.ALONG", -1.0)

    def alone(parameters, o):
        return adjusted(parameters, o)

    ours = worlds.stage.outcome(Contender(alone, own), paths)
    assert np.allclose(ours.cost, usual.cost, rtol=1e-6)
    monkeypatch.undo()
    along = worlds.stage.outcome(Contender(adjusted, own), paths)
    assert float(along.costs["ordering"].mean()) < float(usual.costs["ordering"].mean())
    assert len(first_network((8,), 1)[-1][1]) == len(ANSWERS)


def test_the_stock_to_start_with_is_as_it_is_and_has_the_gradient_of_levels_that_move(twin, worlds):
    first = first_network((8,), 1)
    rest = {"places": describe(twin, worlds.layout), "classical": Factors().parameters(twin, worlds.layout)}

    def start(bias):
        net = [*first[:-1], (first[-1][0], first[-1][1] + bias)]
        return tuple(
            None if each is None else each.on_hand
            for each in moved_start(0.4, worlds.layout, {"net": net, **rest}, worlds.stage.state)
        )

    stock, slope = jax.jvp(start, (0.0,), (1.0,))
    for at in (1, 2):
        assert np.array_equal(stock[at], worlds.stage.state[at].on_hand)
    # points of 8 at stores and an echelon's of 30 move by 0.7 of themselves per unit; the hub has what the stores have not
    assert np.allclose(slope[2], 0.4 * 0.7 * 8) and np.allclose(slope[1], 0.4 * 0.7 * (30 - 2 * 8))


def test_all_worlds_are_one_program_and_the_same_customers(worlds):
    paths = [worlds.paths_of(name)(5) for name in worlds.names]
    shapes = [
        [None if e is None else e.shape for each in p[:-1] if each is not None for e in each] for p in paths
    ]
    assert worlds.names == ["normal", "surge", "slow"] and shapes[0] == shapes[1] == shapes[2]
    assert np.array_equal(paths[0].demand[2], paths[2].demand[2])
    assert not np.array_equal(paths[0].demand[2], paths[1].demand[2])
    assert int(paths[2].lead[1].max()) == 12 <= worlds.layout.levels[1].horizon
    with pytest.raises(InputError, match="call it otherwise"):
        Worlds(worlds.twin, [SURGE.model_copy(update={"name": "normal"})], {}, days=28, replications=2)


def test_a_part_of_the_items_is_a_twin_of_its_own(twin):
    few = narrowed(twin, [1, 3])
    assert list(few.network.items) == ["i1", "i3"] and few.network.node_names == ["S1", "H", "T0", "T1"]
    assert few.network.checked().lanes[0].name == "S1 -> H (road)" and few.weekdays.shape == (7, 3)
    assert few.demand_mean.shape == (7, 4, 2) and few.order_up_to[1].tolist() == [70.0, 70.0]
    with pytest.raises(InputError, match="at least one"):
        narrowed(twin, [])


def test_the_file_brings_back_the_same_orders(twin, worlds, tmp_path):
    learned = Learned.of(twin, Factors(1.2, 0.9, 0.5, 1.1), first_network((8,), 3), a_range(twin), 3, (1000,))
    learned.save(tmp_path / "learned.npz")
    again = Learned.load(tmp_path / "learned.npz")
    assert (again.factors, again.release_id, again.trained_on, again.promoted) == (
        learned.factors, "r-1", (1000,), False,
    )  # fmt: skip
    one, other = (each.player(twin, worlds.layout) for each in (learned, again))
    assert one[0] is other[0]
    assert all(map(np.array_equal, *(jax.tree.leaves(parameters) for _, parameters in (one, other))))


def test_a_file_that_is_damaged_or_of_another_network_is_refused_in_a_sentence(twin, tmp_path):
    path = tmp_path / "learned.npz"
    with pytest.raises(InputError, match="make it with `stocklake twin learn`"):
        Learned.load(path)
    learned = Learned.of(twin, Factors(), first_network((8,), 3), a_range(twin), 3, ())
    learned.save(path)
    other = replace(
        twin, network=replace(twin.network, nodes=twin.network.nodes[:-1], lanes=twin.network.lanes[:-1])
    )
    with pytest.raises(
        InputError, match=r"of another network .place T1 is in one of them only.: learn again"
    ):
        Learned.load(path).check(other)
    whole = path.read_bytes()
    for broken in (b"", b"no zip", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="cannot be read"):
            Learned.load(path)
    for layers in (
        [(jnp.zeros((3, 2)), jnp.zeros(3))],
        [(w * jnp.nan, b) for w, b in first_network((8,), 3)],
    ):
        Learned.of(twin, Factors(), layers, a_range(twin), 3, ()).save(path)
        with pytest.raises(InputError, match="do not fit together, or hold what is no number"):
            Learned.load(path)


def test_killed_while_it_is_saved_the_old_one_stands(twin, tmp_path, monkeypatch):
    path = tmp_path / "learned.npz"
    learned = Learned.of(twin, Factors(), first_network((8,), 3), a_range(twin), 3, ())
    learned.save(path)

    def dies(file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", dies)
    with pytest.raises(KeyboardInterrupt):
        replace(learned, seed=4).save(path)
    assert Learned.load(path).seed == 3


def test_gradients_through_the_twin_make_a_policy_cheaper(twin, worlds):
    own = {
        "net": first_network((8,), 1),
        "places": describe(twin, worlds.layout),
        "classical": Factors(0.3, 0.3, 1, 1).parameters(twin, worlds.layout),
    }
    paths = {seed: worlds.paths_of("normal")(seed) for seed in range(4)}

    def look(parameters) -> float:
        outcome = worlds.stage.outcome(Contender(adjusted, parameters), paths[3])
        return float(worlds.stage.cost(outcome).mean())

    schedule = replace(SCHEDULE, steps=40, learning_rate=0.05, final_learning_rate=0.05, look_every=5)
    trained = train(worlds.stage, adjusted, own, lambda step: paths[step % 3], schedule, look=look)
    assert trained.held_out_cost < trained.history[0].held_out_cost, "points that are far too low rise"


def test_without_stress_nothing_is_learned(twin):
    with pytest.raises(InputError, match="name at least one"):
        learn(twin, [], {}, Settings(seconds=1))
