"""The twin as an environment: Gymnasium's own check, the same costs as `run`, and what it refuses."""

import warnings

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from lake.errors import InputError
from models.learning.environment import TwinEnvironment, TwinVectorEnvironment
from models.twin.demand import per_level, poisson
from models.twin.layout import make_layout
from models.twin.network import Lane, LeadTime, Network, Node
from models.twin.numbers import make_numbers
from models.twin.policies import base_stock, echelon_base_stock
from models.twin.simulate import run
from models.twin.state import Paths, Rules, initial_state
from tests.models.twin import worlds

PERIODS = 12


def store_network(mean_lead: int = 2) -> Network:
    return Network(
        ["i"],
        [
            Node("supplier", "supplier"),
            Node("store", "store", has_demand=True, holding_cost=1.0, shortage_cost=4.0, on_hand=10.0),
        ],
        [Lane("supplier", "store", lead_time=LeadTime((mean_lead,), (1.0,)))],
    )


def poisson_paths(network: Network, replications: int = 1, mean: float = 5.0, periods: int = PERIODS):
    layout = make_layout(network)
    rate = np.zeros((len(network.nodes), len(network.items)))
    rate[[node.has_demand for node in network.nodes]] = mean
    return lambda seed: Paths(
        demand=per_level(layout, poisson(rate, periods, replications, np.random.default_rng(seed)))
    )


def episode(environment, orders_of, seed: int = 3) -> tuple[float, int]:
    environment.reset(seed=seed)
    total, steps, over = 0.0, 0, False
    while not over:
        _, reward, _, over, _ = environment.step(environment.world.shares(orders_of(environment)))
        total, steps = total + reward, steps + 1
    return total, steps


def simulated(environment, seed: int, rules: Rules, policy, parameters):
    """The same paths through `run`."""
    _, info = environment.reset(seed=seed)
    world = environment.world
    numbers = make_numbers(world.network, world.layout)
    state = initial_state(world.network, world.layout, numbers, rules)
    return run(world.layout, rules, policy, parameters, numbers, state, world.paths_of(info["seed"]))


def test_gymnasiums_own_check_passes_without_a_warning():
    network = store_network()
    environment = gymnasium.make("stocklake/Twin-v0", network=network, paths=poisson_paths(network))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment.unwrapped, skip_render_check=True)
    names = environment.unwrapped.world.observation_names
    assert len(names) == environment.observation_space.shape[0]
    assert names[0] == "on hand: i, supplier -> store (road)"
    assert names[-1].startswith("arriving in period 1")


def test_base_stock_played_by_hand_costs_what_the_twin_says():
    network, level = store_network(), 17.0
    environment = TwinEnvironment(network, poisson_paths(network))
    where = [name.split(":")[0] for name in environment.world.observation_names].index("stock position")
    seen, _ = environment.reset(seed=3)
    total, over = 0.0, False
    while not over:
        order = max(level - float(seen[where]), 0)
        seen, reward, ended, over, info = environment.step(np.float32([order]) / environment.world.highest)
        assert not ended and sum(info["costs"].values()) == pytest.approx(-reward)
        total += reward
    parameters = {"level": environment.world.layout.at_nodes([[0.0], [level]])}
    outcome = simulated(environment, 3, environment.world.rules, base_stock, parameters)
    assert -total == pytest.approx(float(outcome.cost[0]), rel=1e-6) and total < 0


@pytest.mark.parametrize("seed", [14])
def test_any_network_closed_places_included_costs_in_the_environment_what_it_costs_in_the_twin(seed):
    world = worlds.random_world(seed)
    layout = make_layout(world.network)
    paths = worlds.paths_of(world, layout)
    rich = Network(
        world.network.items,
        [
            Node(**(vars(node) | {"holding_cost": 1.0, "shortage_cost": 5.0, "price": 7.0}))
            for node in world.network.nodes
        ],
        world.network.lanes,
        shelf_life=world.network.shelf_life,
        substitute=world.network.substitute,
        substitution_share=world.network.substitution_share,
    )
    rules = Rules(
        sequence=world.rules.sequence,
        unfilled_orders=world.rules.unfilled_orders,
        allocation=world.rules.allocation,
        whole_units=world.rules.whole_units,
        record=(),
        demand_memory=2,
    )
    policy = echelon_base_stock if world.use_echelon else base_stock
    parameters = {"level": layout.at_nodes(world.level)}
    environment = TwinEnvironment(rich, lambda _: paths, rules, highest=4096.0)
    total, steps = episode(environment, lambda each: each.orders_of(policy, parameters))
    outcome = simulated(environment, 3, rules, policy, parameters)
    assert steps == worlds.PERIODS
    assert -total == pytest.approx(float(outcome.cost[0]), rel=2e-5, abs=0.05)


def test_all_replications_at_once_are_the_single_ones_and_begin_again_together():
    network = store_network()
    paths = poisson_paths(network, replications=3)
    vector = TwinVectorEnvironment(network, paths)
    single = TwinEnvironment(network, paths)
    seen, _ = vector.reset(seed=5)
    alone, _ = single.reset(seed=5)
    assert np.array_equal(seen[0], alone)
    for step in range(PERIODS):
        action = np.full((3, 1), 0.1 * (step % 4), np.float32)
        seen, rewards, _, over, info = vector.step(action)
        alone, reward, _, ended, _ = single.step(action[0])
        assert rewards[0] == reward and over.all() == ended
        assert np.array_equal(info["final_obs"][0] if ended else seen[0], alone)
    assert ended and vector.periods_left == PERIODS
    assert len(set(vector.rollout(_constant, 0.1, jnp.zeros(2, jnp.uint32), PERIODS)[1].sum(0).tolist())) > 1
    made = gymnasium.make_vec(
        "stocklake/Twin-v0", vectorization_mode="vector_entry_point", network=network, paths=paths
    )
    assert made.num_envs == 3 and made.reset(seed=1)[0].shape == made.observation_space.shape


def _constant(share, seen, _key):
    return jnp.full((seen.shape[0], 1), share), ()


def test_a_whole_rollout_is_the_same_as_step_by_step():
    network = store_network()
    environment = TwinVectorEnvironment(network, poisson_paths(network, replications=4))
    environment.reset(seed=8)
    one_by_one = [environment.step(np.full((4, 1), 0.2, np.float32))[1] for _ in range(PERIODS)]
    environment.reset(seed=8)
    _, rewards, _ = environment.rollout(_constant, 0.2, jnp.zeros(2, jnp.uint32), PERIODS)
    assert np.array_equal(np.stack(one_by_one), rewards)


def test_equal_seeds_are_equal_episodes_and_two_environments_do_not_disturb_each_other():
    first, second = store_network(), store_network(mean_lead=4)
    one, other = TwinEnvironment(first, poisson_paths(first)), TwinEnvironment(second, poisson_paths(second))
    alone = [one.step(np.float32([0.3]))[0].tolist() for _ in range(4) if _ or one.reset(seed=9)]
    one.reset(seed=9), other.reset(seed=9)
    together = []
    for _ in range(4):
        together.append(one.step(np.float32([0.3]))[0].tolist())
        other.step(np.float32([0.9]))
    assert together == alone
    assert one.reset()[1]["seed"] != one.reset()[1]["seed"]


def test_strange_actions():
    network = store_network()
    environment = TwinEnvironment(network, poisson_paths(network))
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        environment.step(np.float32([0.1]))
    environment.reset(seed=1)
    with pytest.raises(InputError, match="not a number"):
        environment.step(np.float32([np.nan]))
    with pytest.raises(InputError, match="one number for each row and item, 1 in all"):
        environment.step(np.float32([0.1, 0.2]))
    nothing = [environment.reset(seed=1), environment.step(np.float32([0.0]))][1]
    negative = [environment.reset(seed=1), environment.step(np.float32([-3.0]))][1]
    assert np.array_equal(nothing[0], negative[0])
    most = [environment.reset(seed=1), environment.step(np.float32([1.0]))][1]
    beyond = [environment.reset(seed=1), environment.step(np.float32([1e9]))][1]
    assert np.array_equal(most[0], beyond[0])
    while not environment.step(np.float32([0.1]))[3]:
        pass
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(np.float32([0.1]))


def test_nothing_comes_by_a_lane_that_does_not_carry_it_and_no_more_than_it_can_carry():
    network = Network(
        ["a", "b"],
        [Node("s", "supplier"), Node("t", "store", has_demand=True, holding_cost=1.0)],
        [Lane("s", "t", items=np.array([True, False]), capacity=7.0)],
    )
    environment = TwinEnvironment(network, poisson_paths(network, mean=0.0), highest=100.0)
    environment.reset(seed=1)
    for _ in range(3):
        seen, reward, *_ = environment.step(np.ones(2, np.float32))
    figures = dict(zip(environment.world.observation_names, seen, strict=True))
    assert (
        figures["on hand: b, s -> t (road)"] == 0 and figures["under way by this row: b, s -> t (road)"] == 0
    )
    assert figures["on hand: a, s -> t (road)"] == 21 and reward == -14


def test_wrong_paths_are_refused_in_a_sentence():
    one, two = store_network(), worlds.random_world(1).network
    with pytest.raises(InputError, match=r"not of this network|levels"):
        TwinEnvironment(one, poisson_paths(two))
    with pytest.raises(InputError, match="negative or unknown"):
        TwinEnvironment(one, lambda _: Paths(demand=(None, jnp.full((3, 1, 1, 1), jnp.nan))))
    unknown = poisson_paths(one)(1)._replace(features=(None, jnp.full((PERIODS, 1, 1, 1, 1), jnp.nan)))
    with pytest.raises(InputError, match="is not a number"):
        TwinEnvironment(one, lambda _: unknown)
    with pytest.raises(InputError, match="highest orders"):
        TwinEnvironment(one, poisson_paths(one), highest=0.0)
    with pytest.raises(InputError, match="1 replications and 5 environments"):
        TwinVectorEnvironment(one, poisson_paths(one), num_envs=5)
    drained = TwinEnvironment(one, poisson_paths(one, mean=0.0))
    assert drained.reset(seed=1)[0].min() >= 0 and drained.step(np.float32([0]))[1] == -10
