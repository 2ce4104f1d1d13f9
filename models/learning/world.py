"""An episode of the twin for agents: what they see, what their actions mean, and one period after another.

Belongs here: arrays in and out of the twin's own steps (`models.twin.simulate`). The interface of Gymnasium is in
`environment.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lake.errors import InputError
from models.twin.grouping import of
from models.twin.layout import Layout, PerLevel, make_layout
from models.twin.network import Network
from models.twin.numbers import make_numbers
from models.twin.period import Period
from models.twin.simulate import observe, step_period
from models.twin.state import Observation, Paths, Policy, Rules, initial_state, widened

Array = jax.Array
Floats = NDArray[np.float32]
PathsOf = Callable[[int], Paths]
"""Paths of a seed: equal seeds, equal customers and luck."""
BOUND = 1e9
"""No figure that an agent sees is larger: single precision counts single units up to 16 million."""
DEFAULT_RULES = Rules(record=(), see_pipeline=True)


class World:
    """What an episode of the twin consists of: the arrays, one period at a time, and what actions and observations mean."""

    def __init__(
        self,
        network: Network,
        paths: PathsOf,
        rules: Rules = DEFAULT_RULES,
        *,
        layout: Layout | None = None,
        highest: ArrayLike | None = None,
    ) -> None:
        """Check the network and sample once, to see how much is ordered at most (see `TwinEnvironment`)."""
        self.network, self.paths_of, self.rules = network.checked(), paths, rules
        self.layout = layout or make_layout(network)
        self.numbers = make_numbers(network, self.layout)
        self.first = initial_state(network, self.layout, self.numbers, rules)
        self.carried = _flat_rows(self.layout.at_rows(network, _carried(network)))
        sample = self.sample(0)
        self.periods, self.width = size_of(sample)
        mean, most = _usual_orders(self.layout, sample)
        most = most if highest is None else np.asarray(highest, np.float64)
        if not (np.isfinite(most) & (most > 0)).all():
            raise InputError(
                "The highest orders have to be positive numbers of units: nothing else can be scaled."
            )
        self.highest = np.broadcast_to(most, self.carried.shape).astype(np.float32) * self.carried
        self.usual_action = self.shares(mean)
        self.observation_names = _names(self.layout, network, self._shapes(sample))

    def sample(self, seed: int) -> Paths:
        """Return the paths of a seed. Raises `InputError` where demand is unknown, negative, or that of another network."""
        paths = self.paths_of(seed)
        for level, demand in zip(self.layout.levels, paths.demand, strict=False):
            sellers = level.size - level.demand_from
            if demand is None and not (sellers and level.rows):
                continue
            if demand is None or demand.ndim != 4 or demand.shape[1:3] != (sellers, self.layout.items):
                raise InputError(
                    f"The demand of seed {seed} is not of this network: it needs [period, {sellers} places, "
                    f"{self.layout.items} items, replication] for a level and has "
                    f"{'nothing' if demand is None else list(demand.shape)}."
                )
            if not bool((demand >= 0).all() & jnp.isfinite(demand).all()):
                raise InputError(
                    f"The demand of seed {seed} is negative or unknown somewhere: give units from 0 on."
                )
        if any(not bool(jnp.isfinite(each).all()) for each in jax.tree.leaves(paths)):
            raise InputError(f"Something in the paths of seed {seed} is not a number: an agent would see it.")
        if len(paths.demand) != len(self.layout.levels):
            raise InputError(
                f"The demand of seed {seed} has {len(paths.demand)} levels and the network {len(self.layout.levels)}."
            )
        return paths

    def begin(self, paths: Paths, replications: int) -> tuple[PerLevel, Array]:
        """Return (state, observation [replication, figure]) before the first order."""
        state = widened(self.first, replications)
        return state, seen_now(self.layout, self.rules, self.numbers, state, paths, jnp.int32(0))

    def advance(
        self, state: PerLevel, paths: Paths, at: int, shares: ArrayLike
    ) -> tuple[PerLevel, dict[str, Array], Array]:
        """End period `at` with orders [replication, action], begin the next: (state, costs [replication], observation).

        After the last period the agent sees the next morning as if the last day came again.
        """
        orders = self.orders(np.asarray(shares))
        return advance(self.layout, self.rules, self.numbers, state, paths, jnp.int32(at), orders)  # type: ignore[no-any-return]

    def orders(self, shares: NDArray[Any]) -> Array:
        """Return units [replication, action] of actions, each the share of its highest order. Raises `InputError` on NaN."""
        if shares.shape[1:] != self.highest.shape:
            raise InputError(
                f"An action has one number for each row and item, {len(self.highest)} in all: this one has the shape "
                f"{shares.shape[1:]}."
            )
        if not np.isfinite(shares).all():
            raise InputError("An action is not a number: give shares of the highest order, from 0 to 1.")
        return units_of(jnp.asarray(shares, jnp.float32), jnp.asarray(self.highest), self.rules.whole_units)

    def shares(self, units: ArrayLike) -> Floats:
        """Return the action that orders these units: the inverse of `orders`, cut off at the highest order."""
        share = np.asarray(units, np.float64) / np.maximum(self.highest, 1e-9)
        return np.asarray(np.clip(share * (self.highest > 0), 0, 1), np.float32)

    def orders_of(self, state: PerLevel, paths: Paths, at: int, policy: Policy, parameters: Any) -> Floats:
        """Return the units [replication, action] that a policy of the twin orders here: the classical one beside an agent's."""
        found = _orders_of(
            self.layout, self.rules, policy, parameters, self.numbers, state, paths, jnp.int32(at)
        )
        return np.asarray(found)

    def _shapes(self, paths: Paths) -> list[tuple[str, tuple[int, ...]]]:
        names: list[str] = []

        def figures() -> list[Array]:
            state = widened(self.first, size_of(paths)[1])
            seen = observe(self.layout, self.rules, self.numbers, state, jnp.int32(0), _one(_cut(paths), 0))
            found = [_figures(each, _can_order(paths, each, 0)) for each in seen]
            names.extend(name for level in found for name in level)
            return [value for level in found for value in level.values()]

        shapes = [each.shape for each in jax.eval_shape(figures)]
        return list(zip(names, shapes, strict=True))


def _given(parameters: PerLevel, o: Observation) -> Array:
    """Order what the agent says."""
    return parameters[o.level]  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("layout", "rules"))
def seen_now(
    layout: Layout, rules: Rules, numbers: PerLevel, state: PerLevel, paths: Paths, at: Array
) -> Array:
    """Return the observation [replication, figure] of period `at`; beyond the last one as if that came again."""
    seen = observe(layout, rules, numbers, state, at, _one(_cut(paths), at))
    flat = []
    for each in seen:
        for value in _figures(each, _can_order(paths, each, at)).values():
            flat.append(
                jnp.broadcast_to(value, (*value.shape[:-1], size_of(paths)[1])).reshape(-1, size_of(paths)[1])
            )
    return jnp.clip(jnp.concatenate(flat).T, -BOUND, BOUND).astype(jnp.float32)


@partial(jax.jit, static_argnames=("layout", "rules"))
def advance(
    layout: Layout, rules: Rules, numbers: PerLevel, state: PerLevel, paths: Paths, at: Array, orders: Array
) -> tuple[PerLevel, dict[str, Array], Array]:
    """Return (state, each part of the cost and the reward [replication], observation) after a period with these orders."""
    per_level = _per_level(layout, orders)
    state, (costs, _), _ = step_period(
        layout, rules, _given, per_level, numbers, state, at, _one(_cut(paths), at)
    )
    costs = {name: jnp.broadcast_to(each, orders.shape[:1]) for name, each in costs.items()}
    if paths.counts is not None:
        costs = {name: each * paths.counts[at] for name, each in costs.items()}
    gain = sum(
        (-each if name != "revenue" else each for name, each in costs.items()), jnp.zeros(orders.shape[0])
    )
    return state, costs | {"reward": gain}, seen_now(layout, rules, numbers, state, paths, at + 1)


@partial(jax.jit, static_argnames=("layout", "rules", "policy"))
def _orders_of(
    layout: Layout, rules: Rules, policy: Policy, parameters: Any, numbers: PerLevel, state: PerLevel, paths: Paths, at: Array
) -> Array:  # fmt: skip
    period = Period(layout, rules, numbers, state, _one(_cut(paths), at))
    period.receive()
    if rules.sequence == "demand_then_order":
        period.serve()
    period.decide(policy, parameters, at)
    width = size_of(paths)[1]
    rows = [
        jnp.broadcast_to(each, (*each.shape[:2], width)).reshape(-1, width) for each in period.ordered[1:]
    ]
    return jnp.concatenate(rows).T


def units_of(shares: Array, highest: Array, whole: bool) -> Array:
    """Return orders in units of shares of the highest orders."""
    units = jnp.clip(shares, 0, 1) * highest
    return jnp.round(units) if whole else units


def _figures(o: Observation, can_order: Array | None) -> dict[str, Array]:
    """Return what an agent sees of a level, by name: [(lag,) row, item, replication]."""
    found: dict[str, Array] = {
        "on hand": o.on_hand,
        "under way by this row": o.row_in_transit,
        "stock position": o.position,
        "echelon stock position": o.echelon_position,
        "demand": o.incoming,
    }
    if o.backlog.ndim:
        found["backlog"] = o.backlog
    for name, value in (
        ("arriving in period", o.pipeline),
        ("demand, periods ago:", o.memory),
        ("feature", o.features),
    ):
        if value is not None and len(value):
            found[name] = value
    if can_order is not None:
        found["may order"] = can_order
    shape = o.row_in_transit.shape
    return {
        name: jnp.broadcast_to(each, (*each.shape[: max(each.ndim - 3, 0)], *shape))
        for name, each in found.items()
    }


def _can_order(paths: Paths, o: Observation, at: Any) -> Array | None:
    allowed = of(paths.can_order, o.level)
    return None if allowed is None else allowed[at]


def _names(layout: Layout, network: Network, figures: list[tuple[str, tuple[int, ...]]]) -> list[str]:
    """Return the name of each number of an observation, in its order."""
    found: list[str] = []
    level = 0
    for name, shape in figures:
        level += name == "on hand"
        rows = [
            ", ".join(layout.lane_names[lane] for lane in lanes) for lanes in layout.levels[level].row_lanes
        ]
        for lag in range(shape[0] if len(shape) == 4 else 1):
            label = f"{name} {lag + 1}" if len(shape) == 4 else name
            found += [f"{label}: {item}, {row}" for row in rows for item in network.items]
    return found


def _per_level(layout: Layout, flat: Array) -> PerLevel:
    """Return [replication, action] as [row, item, replication] per level."""
    found: list[Any] = [None]
    start = 0
    for level in layout.levels[1:]:
        size = level.rows * layout.items
        found.append(flat[:, start : start + size].T.reshape(level.rows, layout.items, -1))
        start += size
    return tuple(found)


def _flat_rows(per_level: PerLevel) -> Floats:
    return np.concatenate([np.asarray(each, np.float32).ravel() for each in per_level[1:]])


def _carried(network: Network) -> NDArray[np.float64]:
    return np.stack([network.carried(lane) for lane in network.lanes]).astype(np.float64)


def _usual_orders(layout: Layout, paths: Paths) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what customers behind each row want [action]: in a period, and in twice its longest lead time and five more."""
    through = [np.zeros((level.size, layout.items)) for level in layout.levels]
    mean, highest = [], []
    for at in range(len(layout.levels) - 1, 0, -1):
        level = layout.levels[at]
        if paths.demand[at] is not None:
            through[at][level.demand_from :] += np.asarray(paths.demand[at], np.float64).mean((0, 3))
        rows = through[at][list(level.row_node)]
        for row, (origin, place) in enumerate(level.row_origin):
            through[origin][place] += rows[row]
        mean.append(rows.ravel())
        highest.append(np.maximum(np.ceil(rows * (2 * level.horizon + 5)), 1).ravel())
    return np.concatenate(mean[::-1]), np.concatenate(highest[::-1])


def size_of(paths: Paths) -> tuple[int, int]:
    """Return (periods, replications)."""
    demand = next(each for each in paths.demand if each is not None)
    return demand.shape[0], demand.shape[-1]


def _cut(paths: Paths) -> Paths:
    return paths._replace(counts=None)


def _one(paths: Paths, at: Any) -> Paths:
    """Return one period of paths; beyond the last the last one."""
    return jax.tree.map(lambda each: each[jnp.minimum(at, each.shape[0] - 1)], paths)  # type: ignore[no-any-return]


def first_replication(paths: Paths) -> Paths:
    """Return one replication of paths."""
    cut: Paths = jax.tree.map(lambda each: each[..., :1], _cut(paths))
    return cut._replace(counts=paths.counts)
