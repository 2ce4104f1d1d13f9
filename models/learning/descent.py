"""Learning by gradients through the twin, of what has one: the cost of a run, differentiated by the network's weights.

For a company that is how far reorder points move (a unit more or less in stock); whether a lane is ordered on has none, and
`adjusting` keeps it out (ADR 25). Whole units are rounded straight through; what is kept is what costs least on validation paths, hard.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import optax

from models.learning.stage import Stage, held, valued
from models.twin.layout import Layout, PerLevel
from models.twin.simulate import run
from models.twin.state import Paths, Policy, Rules

Array = jax.Array
RATE = 2e-3
AVERAGED = 0.05
"""Weight of the newest weights in their moving average, which is looked at as well."""


def descend(  # noqa: PLR0913 - what is learned, on what, and how long
    stage: Stage, policy: Policy, first: Any, rest: dict[str, Any], paths_of: Callable[[int], Paths], *,
    seconds: float, validate: Callable[[Any], float], rate: float = RATE, look_every: int = 20,
) -> tuple[Any, float, float, int]:  # fmt: skip
    """Return (best network, its cost and the first one's on validation paths, steps taken) after so many CPU seconds, compiling
    not counted.

    `rest` are the parameters of the policy but for "net"; `paths_of(step)` are the paths of a step.
    """
    net, step = first, 0
    optimiser = optax.adam(rate)
    memory = optimiser.init(net)
    best, least, average = net, validate(net), net
    first_cost = least
    fixed = (stage.layout, replace(stage.rules, rounding="straight_through"), policy)
    _slope(fixed, net, rest, stage.numbers, stage.state, stage.unit_value, paths_of(0))  # compiles
    began = time.process_time()
    while time.process_time() - began < seconds:
        slope = _slope(fixed, net, rest, stage.numbers, stage.state, stage.unit_value, paths_of(step))
        update, memory = optimiser.update(slope, memory)
        net = optax.apply_updates(net, update)
        average = jax.tree.map(lambda old, new: old + AVERAGED * (new - old), average, net)
        step += 1
        for each in (net, average) if step % look_every == 0 else ():
            cost = validate(each)
            if cost < least:
                best, least = each, cost
    return best, least, first_cost, step


@partial(jax.jit, static_argnames="fixed")
def _slope(
    fixed: tuple[Layout, Rules, Policy], net: Any, rest: dict[str, Any], numbers: PerLevel, state: PerLevel,
    unit_value: PerLevel | None, paths: Paths,
) -> Any:  # fmt: skip
    layout, rules, policy = fixed

    def cost(net: Any) -> Array:
        outcome = run(layout, rules, policy, {**rest, "net": net}, numbers, state, paths)
        found: Array = valued(
            outcome.cost, held(layout, outcome.state), held(layout, state), unit_value
        ).mean()
        return found

    return jax.grad(cost)(net)
