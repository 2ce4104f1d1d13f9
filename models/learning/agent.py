"""The networks of PPO and what is asked of them: the best action, a drawn one and its chance, the value of a state."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lake.errors import InputError

Array = jax.Array
Floats = NDArray[np.float64]
Layers = list[tuple[Array, Array]]
_HALF_LOG_TAU = 0.5 * float(np.log(2 * np.pi))


class Networks(NamedTuple):
    """What is learned; layers are (weights, bias)."""

    actor: Layers
    critic: Layers
    log_spread: Array
    """[action] of the Gaussian; empty for discrete actions."""


class Scales(NamedTuple):
    """Mean and standard deviation of observations, and the range of a Box of actions."""

    mean: Array
    spread: Array
    low: Array
    high: Array


class Steps(NamedTuple):
    """What happened in a rollout: [step, environment, ...]."""

    seen: Array
    action: Array
    """As drawn: for a Box in halves of its range around the middle, before it is cut to the range."""
    log_chance: Array
    value: Array


@dataclass(frozen=True)
class Agent:
    """A policy that can be asked."""

    networks: Networks
    scales: Scales
    discrete: bool

    def act(self, seen: Any) -> NDArray[Any]:
        """Return the best action [environment, ...] for observations [environment, figure]: no chance in it."""
        return np.asarray(_best(self.discrete, (self.networks, self.scales), jnp.asarray(seen, jnp.float32)))


def first_layers(random: np.random.Generator, sizes: tuple[int, ...], last: float) -> Layers:
    """Return orthogonal layers of these widths; the last one is scaled by `last`."""
    found = []
    for number, (into, out) in enumerate(pairwise(sizes)):
        drawn, _ = np.linalg.qr(random.standard_normal((max(into, out), min(into, out))))
        weights = drawn if into >= out else drawn.T
        gain = last if number == len(sizes) - 2 else 2**0.5
        found.append((jnp.asarray(gain * weights, jnp.float32), jnp.zeros(out, jnp.float32)))
    return found


def range_of(space: Any) -> tuple[Floats, Floats]:
    """Return (lowest, highest) action of a Box, flat. Raises `InputError` where it has no end."""
    low, high = (np.asarray(each, np.float64).ravel() for each in (space.low, space.high))
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise InputError(f"PPO needs to know the range of actions: {space} has none.")
    return low, high


def through(layers: Layers, values: Array) -> Array:
    """Return what a network makes of values [..., figure]."""
    for weights, bias in layers[:-1]:
        values = jnp.tanh(values @ weights + bias)
    return values @ layers[-1][0] + layers[-1][1]


def normal(scales: Scales, seen: Array) -> Array:
    """Return observations in standard deviations from their mean."""
    return jnp.clip((seen - scales.mean) / scales.spread, -10, 10)


@jax.jit
def value_of(known: tuple[Networks, Scales], seen: Array) -> Array:
    """Return the value of observations [...]."""
    return through(known[0].critic, normal(known[1], seen))[..., 0]


def in_box(scales: Scales, action: Array) -> Array:
    """Return drawn actions in the unit of the environment, cut to its range."""
    middle, half = (scales.high + scales.low) / 2, (scales.high - scales.low) / 2
    return jnp.clip(middle + half * action, scales.low, scales.high)


def best_box(known: tuple[Networks, Scales], seen: Array, _key: Array) -> tuple[Array, tuple[()]]:
    """Return the mean action of a Box; a rollout keeps nothing of it."""
    networks, scales = known
    return in_box(scales, through(networks.actor, normal(scales, seen))), ()


@partial(jax.jit, static_argnums=0)
def _best(discrete: bool, known: tuple[Networks, Scales], seen: Array) -> Array:
    flat = seen.reshape(seen.shape[0], -1)
    if discrete:
        return through(known[0].actor, normal(known[1], flat)).argmax(-1)
    return best_box(known, flat, seen)[0]


def draw_box(known: tuple[Networks, Scales], seen: Array, key: Array) -> tuple[Array, Steps]:
    """Draw an action from the Gaussian, and keep what learning needs of it."""
    networks, scales = known
    mean = through(networks.actor, normal(scales, seen))
    action = mean + jnp.exp(networks.log_spread) * jax.random.normal(key, mean.shape)
    chance = log_chance(False, networks, mean, action)
    return in_box(scales, action), Steps(seen, action, chance, value_of(known, seen))


def draw_discrete(known: tuple[Networks, Scales], seen: Array, key: Array) -> tuple[Array, Steps]:
    """Draw one of the discrete actions, and keep what learning needs of it."""
    networks, scales = known
    logits = through(networks.actor, normal(scales, seen))
    action = jax.random.categorical(key, logits)
    return action, Steps(seen, action, log_chance(True, networks, logits, action), value_of(known, seen))


@partial(jax.jit, static_argnums=0)
def drawn_from(
    draw: Callable[..., Any], known: tuple[Networks, Scales], seen: Array, key: Array
) -> tuple[Array, Steps]:
    """Draw, compiled: for environments that are stepped from outside."""
    return draw(known, seen, key)  # type: ignore[no-any-return]


def log_chance(discrete: bool, networks: Networks, out: Array, action: Array) -> Array:
    """Return the logarithm of the chance (density) of actions, given what the policy network says."""
    if discrete:
        return jnp.take_along_axis(jax.nn.log_softmax(out), action[..., None], -1)[..., 0]
    z = (action - out) * jnp.exp(-networks.log_spread)
    return (-0.5 * z**2 - networks.log_spread - _HALF_LOG_TAU).sum(-1)
