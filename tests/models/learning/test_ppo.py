"""PPO: its advantages by hand, CartPole solved, better than standing still in the twin, and what it refuses."""

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from lake.errors import InputError
from models.learning.environment import TwinVectorEnvironment
from models.learning.ppo import Settings, advantages, evaluate, train_on
from models.twin.state import Rules
from tests.models.learning.test_environment import poisson_paths, store_network


def cart_poles(number: int):
    return gymnasium.make_vec("CartPole-v1", num_envs=number, vectorization_mode="vector_entry_point")


def test_advantages_are_the_sums_of_the_paper():
    random = np.random.default_rng(1)
    rewards, values, later = random.normal(size=(3, 6, 2))
    ends = np.zeros((6, 2), bool)
    ends[2, 0] = True
    by_hand = np.zeros((6, 2))
    for replication in range(2):
        for begin in range(6):
            weight = 1.0
            for at in range(begin, 6):
                surprise = rewards[at, replication] + 0.9 * later[at, replication] - values[at, replication]
                by_hand[begin, replication] += weight * surprise
                weight *= 0.9 * 0.8
                if ends[at, replication]:
                    break
    found = advantages(*map(jnp.asarray, (rewards, values, later, ends)), 0.9, 0.8)
    assert np.allclose(found, by_hand, atol=1e-5)


def test_cart_pole_is_solved():
    settings = Settings(minibatches=4, learning_rate=2e-3)
    trained = train_on(cart_poles(8), settings, seed=0, steps=120_000)
    returns = evaluate(trained.agent, cart_poles(20), episodes=100, seed=99)
    assert len(returns) == 100 and returns.mean() >= 475
    assert trained.curve[0][0] < trained.cpu_seconds


def test_environments_that_begin_again_in_the_same_step_are_learned_in_too():
    """A few steps only: what counts is that ends are seen where they are."""
    environments = gymnasium.make_vec(
        "CartPole-v1",
        num_envs=4,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )
    trained = train_on(environments, Settings(steps=64, minibatches=4), seed=0, steps=600)
    returns = evaluate(trained.agent, environments, episodes=8, seed=1)
    assert len(returns) == 8 and returns.min() >= 5 and (returns == np.round(returns)).all()


def test_in_the_twin_orders_become_better_within_seconds():
    network = store_network()
    rules = Rules(sequence="order_then_demand", record=(), see_pipeline=True)

    def environments(number: int, periods: int):
        return TwinVectorEnvironment(network, poisson_paths(network, number, periods=periods), rules)

    settings = Settings(steps=50, epochs=4, learning_rate=1e-3)
    first = train_on(environments(32, 100), settings, seed=0, steps=1)
    trained = train_on(environments(32, 100), settings, seed=0, steps=120_000)
    before = -evaluate(first.agent, environments(100, 200), episodes=100, seed=5).mean() / 200
    after = -evaluate(trained.agent, environments(100, 200), episodes=100, seed=5).mean() / 200
    assert after < 5.2 < 6.0 < before, (before, after)


def test_what_ppo_cannot_do_is_said():
    with pytest.raises(InputError, match="cpu_seconds or steps"):
        train_on(cart_poles(2))
    with pytest.raises(InputError, match="Box or Discrete"):
        train_on(gymnasium.make_vec("Blackjack-v1", num_envs=2), steps=1)
    never = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync",
                               vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED})  # fmt: skip
    with pytest.raises(InputError, match="DISABLED"):
        train_on(never, steps=1)
