"""Proximal policy optimisation, the general comparator: it knows nothing of the twin but what an environment shows.

Schulman et al. 2017 with generalised advantage estimation (2016): clipped ratios, normalised advantages, observations and
rewards, Adam with a falling rate, one network for the policy and one for the value. Works with every vector environment of
Gymnasium whose actions are a Box or Discrete; environments with `rollout` (the twin's) run as one compiled program.

    trained = train_on(environments, Settings(), seed=1, cpu_seconds=60)
    returns = evaluate(trained.agent, environments, episodes=100, seed=2)
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from lake.errors import InputError
from models.learning.agent import (
    Agent,
    Networks,
    Scales,
    Steps,
    best_box,
    draw_box,
    draw_discrete,
    drawn_from,
    first_layers,
    log_chance,
    normal,
    range_of,
    through,
    value_of,
)  # fmt: skip

Array = jax.Array
Floats = NDArray[np.float64]
VectorEnvironment = gymnasium.vector.VectorEnv[Any, Any, Any]


@dataclass(frozen=True)
class Settings:
    """What PPO is told; equal settings share one compiled program."""

    steps: int = 128
    """Periods between two updates, in every environment."""
    epochs: int = 10
    minibatches: int = 8
    learning_rate: float = 3e-4
    discount: float = 0.99
    trace: float = 0.95
    """Lambda of the advantages."""
    clip: float = 0.2
    entropy: float = 0.0
    value_weight: float = 0.5
    largest_gradient: float = 0.5
    hidden: tuple[int, ...] = (64, 64)
    first_spread: float = 0.3
    """Standard deviation of the first actions, in halves of the range of a Box."""


@dataclass(frozen=True)
class Trained:
    """The agent and how it came about."""

    agent: Agent
    steps: int
    """Decisions, all environments together."""
    cpu_seconds: float
    curve: list[tuple[float, float]]
    """(CPU seconds, mean reward of a decision) of every rollout."""


def train_on(
    environments: VectorEnvironment,
    settings: Settings = Settings(),
    *,
    seed: int = 0,
    cpu_seconds: float | None = None,
    steps: int | None = None,
) -> Trained:
    """Train until so many CPU seconds of this process (compiling included) or decisions are spent, whichever comes first.

    Raises `InputError` where neither is given, or for environments that are neither Box nor Discrete or never reset themselves.
    """
    if cpu_seconds is None and steps is None:
        raise InputError("PPO has to know when to end: give it cpu_seconds or steps.")
    began, done, curve = time.process_time(), 0, []
    runner = _Runner(environments, settings, seed)
    learner = optax.chain(optax.clip_by_global_norm(settings.largest_gradient), optax.scale_by_adam(eps=1e-5))
    state = learner.init(runner.networks)
    key = jax.random.key(seed)
    while True:
        spent = time.process_time() - began
        share = max(spent / cpu_seconds if cpu_seconds else 0.0, done / steps if steps else 0.0)
        if share >= 1:
            break
        rollout, rewards = runner.collect()
        done += rewards.size
        curve.append((spent, float(rewards.mean())))
        key, now = jax.random.split(key)
        rate = settings.learning_rate * (1 - share)
        runner.networks, state = _update(
            settings, runner.discrete, runner.networks, state, runner.scales, rollout, now, rate
        )
        runner.rescale(rollout.steps.seen)
    agent = Agent(runner.networks, runner.scales, runner.discrete)
    return Trained(agent, done, time.process_time() - began, curve)


def evaluate(agent: Agent, environments: VectorEnvironment, *, episodes: int, seed: int) -> Floats:
    """Return the total reward of whole episodes [episode], played without chance in the actions."""
    returns: list[float] = []
    if hasattr(environments, "rollout"):
        whole: Any = environments
        whole.reset(seed=seed)
        while len(returns) < episodes:
            _, rewards, _ = whole.rollout(
                best_box, (agent.networks, agent.scales), jax.random.key(0), whole.periods_left
            )
            returns += np.asarray(rewards, np.float64).sum(0).tolist()
        return np.array(returns[:episodes])
    mode = environments.metadata.get("autoreset_mode")
    seen, _ = environments.reset(seed=seed)
    total, resets = np.zeros(environments.num_envs), np.zeros(environments.num_envs, bool)
    while len(returns) < episodes:
        seen, reward, terminated, truncated, _ = environments.step(agent.act(seen))
        total = np.where(resets, 0, total + reward)
        ends = (terminated | truncated) & ~resets
        returns += total[ends].tolist()
        total[ends] = 0
        resets = ends if mode == AutoresetMode.NEXT_STEP else np.zeros_like(ends)
    return np.array(returns[:episodes])


class _Rollout(NamedTuple):
    steps: Steps
    rewards: Array
    """In standard deviations of the discounted return."""
    next_value: Array
    """Value of what was seen after each step, before anything began again; 0 where that was the end."""
    ends: Array
    counts: Array
    """0 for steps that only begin an episode again."""


class _Runner:
    """Plays the environments and keeps the running scales."""

    def __init__(self, environments: VectorEnvironment, settings: Settings, seed: int) -> None:
        space, seen = environments.single_action_space, environments.single_observation_space
        self.discrete = isinstance(space, gymnasium.spaces.Discrete)
        self.mode = environments.metadata.get("autoreset_mode")
        if not isinstance(space, gymnasium.spaces.Box | gymnasium.spaces.Discrete) or not isinstance(
            seen, gymnasium.spaces.Box
        ):
            raise InputError(f"PPO sees a Box and acts in a Box or Discrete: not {seen} and {space}.")
        if self.mode == AutoresetMode.DISABLED:
            raise InputError(
                "PPO needs environments that begin again by themselves: not AutoresetMode.DISABLED."
            )
        self.environments, self.settings = environments, settings
        self.random, self.key = np.random.default_rng(seed), jax.random.key(seed + 1)
        size = int(np.prod(seen.shape))
        self.low, self.high = (np.zeros(0), np.zeros(0)) if self.discrete else range_of(space)
        self.count, self.mean, self.square = 1e-4, np.zeros(size), np.ones(size)
        self.returns, self.return_count, self.return_square = np.zeros(environments.num_envs), 1e-4, 1e-4
        actions = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else len(self.low)
        self.networks = self._first(size, actions)
        self.seen = self._flat(environments.reset(seed=seed)[0])
        self.resets = np.zeros(environments.num_envs, bool)
        self._scale()
        self.rescale(self.collect()[0].steps.seen)  # the first look is only for the scales
        self.returns[:] = 0

    def collect(self) -> tuple[_Rollout, Floats]:
        """Return a rollout and its rewards in their own unit."""
        if hasattr(self.environments, "rollout"):
            steps, rewards, after, terminated, ends, final = self._compiled()
            counts = np.ones_like(ends)
        else:
            steps, rewards, after, terminated, ends, counts, final = self._stepped()
        later = np.concatenate([np.asarray(steps.value[1:]), np.asarray(after)[None]])
        for at, value in final.items():
            later[at] = np.where(ends[at], value, later[at])
        rollout = _Rollout(
            steps, jnp.asarray(self._scaled(rewards, ends), jnp.float32),
            jnp.asarray(np.where(terminated, 0, later), jnp.float32), jnp.asarray(ends), jnp.asarray(counts, jnp.float32),
        )  # fmt: skip
        return rollout, rewards

    def rescale(self, seen: Array) -> None:
        """Take what was seen into the running mean and variance."""
        values = np.asarray(seen, np.float64).reshape(-1, len(self.mean))
        total = self.count + len(values)
        shift = values.mean(0) - self.mean
        self.square += len(values) * values.var(0) + shift**2 * self.count * len(values) / total
        self.mean = self.mean + shift * len(values) / total
        self.count = total
        self._scale()

    def _compiled(self) -> tuple[Any, ...]:
        environments: Any = self.environments
        if not environments.periods_left:
            environments.reset()
        number = min(self.settings.steps, environments.periods_left)
        over = number == environments.periods_left
        self.key, now = jax.random.split(self.key)
        steps, rewards, last = environments.rollout(draw_box, (self.networks, self.scales), now, number)
        after = value_of((self.networks, self.scales), last)
        ends = np.zeros((number, environments.num_envs), bool)
        ends[-1] = over
        return steps, np.asarray(rewards, np.float64), after, np.zeros_like(ends), ends, {}

    def _stepped(self) -> tuple[Any, ...]:
        kept, rewards, ended, cut, counts, final = [], [], [], [], [], {}
        draw = draw_discrete if self.discrete else draw_box
        for at in range(self.settings.steps):
            self.key, now = jax.random.split(self.key)
            actions, step = drawn_from(draw, (self.networks, self.scales), jnp.asarray(self.seen), now)
            shape = self.environments.action_space.shape
            seen, reward, terminated, truncated, info = self.environments.step(
                np.asarray(actions).reshape(shape)
            )
            counts.append(~self.resets)
            ends = (terminated | truncated) & ~self.resets
            if "final_obs" in info and ends.any():
                last = np.array(self._flat(seen))
                last[ends] = self._flat(np.stack([info["final_obs"][at] for at in np.flatnonzero(ends)]))
                final[at] = np.asarray(value_of((self.networks, self.scales), jnp.asarray(last)))
            self.resets = ends if self.mode == AutoresetMode.NEXT_STEP else np.zeros_like(ends)
            self.seen = self._flat(seen)
            kept.append(step)
            rewards.append(np.asarray(reward, np.float64))
            ended.append(terminated & ends)
            cut.append(ends)
        steps = jax.tree.map(lambda *each: jnp.stack(each), *kept)
        after = value_of((self.networks, self.scales), jnp.asarray(self.seen))
        return steps, np.stack(rewards), after, np.stack(ended), np.stack(cut), np.stack(counts), final

    def _flat(self, seen: Any) -> NDArray[np.float32]:
        return np.asarray(seen, np.float32).reshape(len(seen), -1)

    def _scaled(self, rewards: Floats, ends: NDArray[np.bool_]) -> Floats:
        """Return rewards over the standard deviation of the discounted return so far."""
        for reward, end in zip(rewards, ends, strict=True):
            self.returns = self.settings.discount * self.returns + reward
            self.return_square += float((self.returns**2).sum())
            self.return_count += len(self.returns)
            self.returns = np.where(end, 0, self.returns)
        found: Floats = rewards / max((self.return_square / self.return_count) ** 0.5, 1e-8)
        return found

    def _scale(self) -> None:
        spread = np.sqrt(self.square / self.count)
        self.scales = Scales(
            jnp.asarray(self.mean, jnp.float32), jnp.asarray(np.maximum(spread, 1e-4), jnp.float32),
            jnp.asarray(self.low, jnp.float32), jnp.asarray(self.high, jnp.float32),
        )  # fmt: skip

    def _first(self, size: int, actions: int) -> Networks:
        usual = getattr(self.environments, "usual_action", None)
        actor = first_layers(self.random, (size, *self.settings.hidden, actions), 0.01)
        if usual is not None and not self.discrete:
            middle, half = (self.high + self.low) / 2, np.maximum((self.high - self.low) / 2, 1e-9)
            actor[-1] = (actor[-1][0], jnp.asarray((usual - middle) / half, jnp.float32))
        spread = 0 if self.discrete else actions
        return Networks(
            actor,
            first_layers(self.random, (size, *self.settings.hidden, 1), 1.0),
            jnp.full(spread, np.log(self.settings.first_spread), jnp.float32),
        )


def advantages(
    rewards: Array, values: Array, next_values: Array, ends: Array, discount: float, trace: float
) -> Array:
    """Return generalised advantages [step, environment] (Schulman et al. 2016): no step looks beyond the end of its episode."""
    surprise = rewards + discount * next_values - values

    def back(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        found = now[0] + discount * trace * jnp.where(now[1], 0, later)
        return found, found

    return jax.lax.scan(back, jnp.zeros_like(rewards[0]), (surprise, ends), reverse=True)[1]


@partial(jax.jit, static_argnames=("settings", "discrete"))
def _update(
    settings: Settings, discrete: bool, networks: Networks, state: Any, scales: Scales, rollout: _Rollout, key: Array,
    rate: Any,
) -> tuple[Networks, Any]:  # fmt: skip
    learner = optax.chain(optax.clip_by_global_norm(settings.largest_gradient), optax.scale_by_adam(eps=1e-5))
    steps = rollout.steps
    gained = advantages(
        rollout.rewards, steps.value, rollout.next_value, rollout.ends, settings.discount, settings.trace
    )
    flat = jax.tree.map(
        lambda each: each.reshape(-1, *each.shape[2:]), (steps, gained, gained + steps.value, rollout.counts)
    )
    size = flat[3].shape[0]
    part = max(size // settings.minibatches, 1)

    def loss(networks: Networks, batch: tuple[Steps, Array, Array, Array]) -> Array:
        steps, gained, target, counts = batch
        total = jnp.maximum(counts.sum(), 1)
        seen = normal(scales, steps.seen)
        out = through(networks.actor, seen)
        ratio = jnp.exp(log_chance(discrete, networks, out, steps.action) - steps.log_chance)
        mean = (gained * counts).sum() / total
        spread = jnp.sqrt((((gained - mean) ** 2) * counts).sum() / total)
        better = (gained - mean) / (spread + 1e-8)
        clipped = jnp.clip(ratio, 1 - settings.clip, 1 + settings.clip)
        policy = -jnp.minimum(ratio * better, clipped * better)
        value = (through(networks.critic, seen)[..., 0] - target) ** 2
        if discrete:
            chances = jax.nn.log_softmax(out)
            entropy = -(jnp.exp(chances) * chances).sum(-1)
        else:
            entropy = networks.log_spread.sum()
        each = policy + settings.value_weight * value - settings.entropy * entropy
        return (each * counts).sum() / total

    def step(carry: tuple[Networks, Any], rows: Array) -> tuple[tuple[Networks, Any], None]:
        networks, state = carry
        slope = jax.grad(loss)(networks, jax.tree.map(lambda each: each[rows], flat))
        moves, state = learner.update(slope, state)
        moved = jax.tree.map(lambda each, move: each - rate * move, networks, moves)
        return (moved, state), None

    orders = jnp.concatenate(
        [
            jax.random.permutation(each, size)[: part * settings.minibatches].reshape(-1, part)
            for each in jax.random.split(key, settings.epochs)
        ]
    )
    (networks, state), _ = jax.lax.scan(step, (networks, state), orders)
    return networks, state
