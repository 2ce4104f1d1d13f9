"""Learned policies: a small network that says what to order, one for all items, places and levels.

    architecture = Architecture(hidden=(16, 16), ages=3)
    parameters = initial_parameters(architecture, layout, rules, numbers, mean_demand, seed=1)
    outcome = run(layout, rules, learned(architecture), parameters, numbers, state, paths)

It sees stock as a planner would draw it: what there will be after each of the next periods if nothing more were ordered
and demand were as expected, measured in standard deviations of what an order has to cover. What it answers is how far up
to order and how much at most. Untrained it is base stock; packs, minimums and calendars are the twin's (`acceptable`).
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lake.errors import InputError
from models.learning.places import CONTEXT, Place, describe
from models.twin.layout import Layout, PerLevel
from models.twin.state import Observation, Policy, Rules

Array = jax.Array
Kind = Literal["mlp", "gru"]
Form = Literal["capped", "up_to", "direct"]
_OUTPUTS = {"capped": 2, "up_to": 1, "direct": 1}
_CAP = 1.0


@dataclass(frozen=True)
class Architecture:
    """What a learned policy sees, how large it is and in which form it answers. Equal ones share compiled programs.

    Raises `InputError` for what there is none of.
    """

    kind: Kind = "mlp"
    """`gru` reads the demand in memory in turn, oldest first, before the layers that `mlp` has."""
    hidden: tuple[int, ...] = (16, 16)
    form: Form = "capped"
    """`capped`: up to a level, at most a cap; `up_to`: up to a level; `direct`: a quantity whatever there is."""
    echelon: bool = False
    """Levels are of the echelon position: the place and all that it feeds."""
    in_turn: bool = False
    """The lanes into a place decide in turn, each counting in what those before it order; else they share the need."""
    ages: int = 0
    """Periods ahead for which the policy sees what will have arrived (needs `Rules.see_pipeline`)."""
    memory: int = 0
    """Periods of demand that it sees (needs `Rules.demand_memory` of at least as many)."""
    outside: int = 0
    """Features from outside that it sees (`Paths.features`), relative to mean demand."""

    def __post_init__(self) -> None:
        """Refuse what is no architecture."""
        if self.kind not in ("mlp", "gru"):
            raise InputError(f"There is no architecture {self.kind!r}: mlp or gru.")
        if self.form not in _OUTPUTS:
            raise InputError(f"There is no form {self.form!r} of a policy: capped, up_to or direct.")
        if min((*self.hidden, 1)) < 1:
            raise InputError(f"Hidden layers have at least one unit each, and these are {self.hidden}.")
        for name in ("ages", "memory", "outside"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}: it is a number from 0 on.")
        if self.kind == "gru" and not self.memory:
            raise InputError("A gru reads demand in memory: give memory of at least one period.")

    @property
    def inputs(self) -> int:
        """Return how many numbers that change the first layer sees."""
        return 5 + self.ages + self.outside + (self.hidden[0] if self.kind == "gru" else self.memory)

    def check(self, rules: Rules) -> None:
        """Raise `InputError` where the rules do not show what the policy wants to see."""
        if self.ages and not rules.see_pipeline:
            raise InputError("The policy wants to see what is under way by age: set Rules.see_pipeline.")
        if self.memory > rules.demand_memory:
            raise InputError(
                f"The policy wants to see {self.memory} periods of demand and Rules.demand_memory is "
                f"{rules.demand_memory}: set it to at least as many."
            )


def initial_parameters(
    architecture: Architecture,
    layout: Layout,
    rules: Rules,
    numbers: PerLevel,
    mean_demand: ArrayLike,
    *,
    spread: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return untrained parameters: `net`, which learns, and `places`, what the policy is told of every lane.

    `mean_demand` and `spread` are units per period [node, item] (see `places.describe`). Raises `InputError` for
    demand that is none, and for rules that do not show what the architecture wants to see.
    """
    architecture.check(rules)
    places = describe(layout, rules, numbers, mean_demand, spread)
    keys = iter(jax.random.split(jax.random.key(seed), len(architecture.hidden) + 4))
    make = jax.nn.initializers.glorot_normal()
    widths = (architecture.inputs + CONTEXT, *architecture.hidden)
    net: dict[str, Any] = {
        "layers": [
            (make(next(keys), (after, before), jnp.float32), jnp.zeros((after, 1), jnp.float32))
            for before, after in pairwise(widths)
        ]
    }
    outputs = _OUTPUTS[architecture.form]
    first = {"capped": [0.5, _CAP], "up_to": [0.5], "direct": [0.5]}[architecture.form]
    net["last"] = (
        0.1 * make(next(keys), (outputs, widths[-1]), jnp.float32),
        jnp.asarray(first, jnp.float32)[:, None],
    )
    if architecture.kind == "gru":
        size = architecture.hidden[0]
        net["gru"] = (
            make(next(keys), (3 * size, 1), jnp.float32),
            make(next(keys), (3 * size, size), jnp.float32),
            jnp.zeros((3 * size, 1), jnp.float32),
        )
    return {"net": net, "places": places}


def moved_to(
    parameters: dict[str, Any],
    layout: Layout,
    rules: Rules,
    numbers: PerLevel,
    mean_demand: ArrayLike,
    *,
    spread: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return the parameters of the same trained policy for another network, or other items: nothing is trained anew."""
    return {"net": parameters["net"], "places": describe(layout, rules, numbers, mean_demand, spread)}


@cache
def learned(architecture: Architecture) -> Policy:
    """Return the policy of an architecture: the same function for equal ones, so that programs compile once."""

    def policy(parameters: Any, o: Observation) -> Array:
        view = _look(architecture, parameters["places"][o.level], o)
        ways = o.structure.rows_per_node
        if architecture.in_turn and ways > 1:
            return _one_after_the_other(architecture, parameters["net"], view, ways)
        return _answer(architecture, parameters["net"], view) * o.share

    policy.__name__ = f"learned_{architecture.kind}"
    return policy


class _View(NamedTuple):
    """What is seen of some rows at the moment, [row, item, replication]; deviations in `unit`."""

    place: Place
    stock: list[Array]
    """What an order that arrives at once would raise."""
    others: list[Array]
    position: Array
    sequence: Array | None

    def way(self, way: int, ways: int, ordered: Array | float) -> "_View":
        """Return the `way`-th rows into each place, seen after those before them ordered: that comes no later."""
        place = self.place.way(way, ways)
        return _View(
            place,
            [each[way::ways] + ordered / place.unit for each in self.stock],
            [each[way::ways] for each in self.others],
            self.position[way::ways] + ordered,
            None if self.sequence is None else self.sequence[:, way::ways],
        )


def _look(architecture: Architecture, place: Place, o: Observation) -> _View:
    unit, mean, level = place.unit, place.mean, o.structure
    there, position = o.on_hand - o.backlog, o.position
    ahead: Any = ()
    if o.pipeline is not None and (architecture.ages or architecture.in_turn):
        ahead = [level.to_rows(level.to_nodes(rows)) for rows in o.pipeline]
        if level.rows_per_node != 1:
            # a quick lane counts what comes no later than its own order
            soon = [coming * place.soon[age] for age, coming in enumerate(ahead)]
            position = position - o.in_transit + sum(soon, jnp.zeros(()))
    stock = [
        (there - mean) / unit,
        (o.position - place.need) / unit,
        (o.echelon_position - place.echelon_need) / unit,
    ]
    for age in range(architecture.ages):
        there = there + ahead[age] if age < len(ahead) else there
        stock.append((there - mean * (age + 2)) / unit)
    others = [(o.incoming - mean) / unit, (o.row_in_transit - place.need) / unit]
    if architecture.outside:
        if o.features is None or len(o.features) < architecture.outside:
            raise InputError(f"The policy wants to see {architecture.outside} features: give Paths.features.")
        others += [o.features[at] / mean - 1 for at in range(architecture.outside)]
    sequence = None
    if architecture.memory:
        if o.memory is None or len(o.memory) < architecture.memory:
            raise InputError(
                f"The policy wants {architecture.memory} periods of demand: set Rules.demand_memory."
            )
        sequence = (o.memory[: architecture.memory] - mean) / unit

    def wide(values: list[Array]) -> list[Array]:
        return [jnp.broadcast_to(each, o.position.shape) for each in values]

    (position,) = wide([o.echelon_position if architecture.echelon else position])
    return _View(place, wide(stock), wide(others), position, sequence)


def _one_after_the_other(architecture: Architecture, net: Any, view: _View, ways: int) -> Array:
    """Let the lanes into each place decide in the network's order; list the quick ones first."""
    orders: list[Array] = []
    ordered: Array | float = 0.0
    for way in range(ways):
        orders.append(_answer(architecture, net, view.way(way, ways, ordered)))
        ordered = ordered + jnp.maximum(orders[-1], 0)
    return jnp.stack(orders, 1).reshape(view.position.shape)


def _answer(architecture: Architecture, net: Any, view: _View) -> Array:
    """Return the order in units, not yet rounded."""
    place, shape = view.place, view.position.shape
    seen = [*view.stock, *view.others]
    if view.sequence is not None:
        seen += list(_read(net["gru"], view.sequence) if architecture.kind == "gru" else view.sequence)
    # what never changes is multiplied once for all replications
    weights, bias = net["layers"][0]
    fixed = jnp.einsum("hc,crik->hrik", weights[:, architecture.inputs :], place.context)
    moving = weights[:, : architecture.inputs] @ jnp.stack(seen).reshape(architecture.inputs, -1)
    value = (moving.reshape(-1, *shape) + fixed + bias[:, :, None, None]).reshape(len(weights), -1)
    for weights, bias in net["layers"][1:]:
        value = weights @ jax.nn.silu(value) + bias
    weights, bias = net["last"]
    value = (weights @ jax.nn.silu(value) + bias).reshape(-1, *shape)
    if architecture.form == "direct":
        return jnp.asarray(place.mean * jax.nn.softplus(value[0]))
    need = place.echelon_need if architecture.echelon else place.need
    order: Array = need + place.unit * value[0] - view.position
    if architecture.form == "capped":
        order = jnp.minimum(order, place.mean * jax.nn.softplus(value[1]))
    return order


def _read(gru: Any, sequence: Array) -> Array:
    """Read [lag, row, item, replication], newest first, from its end; return the last state [unit, row, item, replication]."""
    into, across, bias = gru
    flat = sequence.reshape(sequence.shape[0], 1, -1)
    size = across.shape[1]

    def step(state: Array, now: Array) -> tuple[Array, None]:
        given = into @ now + bias
        held = across[: 2 * size] @ state
        update = jax.nn.sigmoid(given[:size] + held[:size])
        reset = jax.nn.sigmoid(given[size : 2 * size] + held[size:])
        fresh = jnp.tanh(given[2 * size :] + across[2 * size :] @ (reset * state))
        return update * state + (1 - update) * fresh, None

    state, _ = jax.lax.scan(step, jnp.zeros((size, flat.shape[-1])), flat[::-1])
    return jnp.asarray(state.reshape(size, *sequence.shape[1:]))
