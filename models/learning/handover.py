"""Outside what it was trained on, a learned policy hands over to the classical one, and says so.

`guarded(...)` is a policy like any other. A decision (one item on one lane in one period) is outside when any input lies
beyond the lowest or highest value that training saw at that level of the network, or is not a number. `decide` returns both
orders and why; `handed_over` counts over a whole run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from models.learning.stage import Contender, PathsOf, Stage
from models.twin.layout import Layout, PerLevel
from models.twin.simulate import step_period
from models.twin.state import Observation, Paths, Policy, Rules, widened

Array = jax.Array
Inputs = Callable[[Any, Observation], Array]
"""(parameters of the learned policy, observation) -> [input, row, item, replication]."""


NO_NUMBER = "the learned order is no number"


class Range(NamedTuple):
    """What training saw, per level [input]."""

    low: PerLevel
    high: PerLevel


class Decision(NamedTuple):
    """One level's decisions, [row, item, replication]; what is ordered is `classical` where `reason` is not -1."""

    ordered: Array
    learned: Array
    classical: Array
    reason: Array
    """Index of the first input that is outside its range; one more than there are: the learned order is no number; -1: none."""
    value: Array
    """That input's value."""


class Guarded(NamedTuple):
    """The parameters of a guarded policy."""

    learned: Any
    classical: Any
    range: Range


def decide(
    learned: Policy, classical: Policy, inputs: Inputs, parameters: Guarded, o: Observation
) -> Decision:
    """Return what is ordered, both policies' orders, and why the classical one decided where it did."""
    seen = inputs(parameters.learned, o)
    wide = (slice(None), None, None, None)
    low, high = parameters.range.low[o.level][wide], parameters.range.high[o.level][wide]
    beyond = ~((seen >= low) & (seen <= high))  # not a number is neither
    first = jnp.argmax(beyond, 0)
    usual = classical(parameters.classical, o)
    ours = jnp.broadcast_to(learned(parameters.learned, o), usual.shape)
    value = jnp.take_along_axis(seen, first[None], 0)[0]
    reason = jnp.where(beyond.any(0), first, jnp.where(jnp.isfinite(ours), -1, len(seen)))
    return Decision(jnp.where(reason >= 0, usual, ours), ours, usual, reason, value)


@cache
def guarded(learned: Policy, classical: Policy, inputs: Inputs) -> Policy:
    """Return the policy that hands over; its parameters are `Guarded`. Equal arguments, the same function."""

    def policy(parameters: Any, o: Observation) -> Array:
        return decide(learned, classical, inputs, parameters, o).ordered

    policy.__name__ = f"guarded_{getattr(learned, '__name__', 'policy')}"
    return policy


def trained_range(
    stage: Stage, learned: Contender, inputs: Inputs, worlds: Iterable[PathsOf], seeds: Sequence[int]
) -> Range:
    """Return the lowest and highest value of each input that the policy meets when it decides in these worlds."""
    low: list[Any] = [None] * len(stage.layout.levels)
    high = list(low)
    for paths_of in worlds:
        for seed in seeds:
            least, most = _extremes(
                stage.layout, stage.rules, learned.policy, inputs, (learned.parameters, stage.carried), stage.numbers,
                stage.state, paths_of(seed),
            )  # fmt: skip
            for at in range(1, len(low)):
                low[at] = least[at] if low[at] is None else jnp.minimum(low[at], least[at])
                high[at] = most[at] if high[at] is None else jnp.maximum(high[at], most[at])
    return Range(tuple(low), tuple(high))


@dataclass(frozen=True)
class HandedOver:
    """How often the classical policy decided instead, in a run."""

    share: float
    by_input: dict[str, float]
    """Share of all decisions by the input that was outside."""
    by_place: dict[str, float]
    by_item: dict[str, float]

    @property
    def sentence(self) -> str:
        """Return it in a sentence."""
        if not self.share:
            return "The learned policy decided everywhere: nothing lay outside its training range."
        worst = max(self.by_input, key=lambda name: self.by_input[name])
        return (
            f"{self.share:.2%} of the decisions were handed over to the classical policy, most because of: {worst}; "
            f"most at {max(self.by_place, key=lambda name: self.by_place[name])}."
        )

    def to_dict(self, most: int = 15) -> dict[str, Any]:
        """Return it as plain values: the items that were handed over most."""
        items = sorted(self.by_item, key=lambda name: -self.by_item[name])[:most]
        return vars(self) | {"by_item": {name: self.by_item[name] for name in items if self.by_item[name]}}


def handed_over(
    stage: Stage, learned: Policy, classical: Policy, inputs: Inputs, parameters: Guarded, paths: Paths,
    names: Sequence[str],
) -> HandedOver:  # fmt: skip
    """Play a run and count its decisions, per input (`names`), place and item."""
    counts = _counted(
        stage.layout, stage.rules, (learned, classical, inputs), parameters, stage.numbers, stage.state, paths
    )
    network, layout = stage.network, stage.layout
    runs = _demand(paths).shape[0] * _demand(paths).shape[-1]
    causes = [*names, NO_NUMBER]
    by_input, by_item, items = np.zeros(len(causes)), np.zeros(layout.items), np.zeros(layout.items)
    by_place: dict[str, float] = {}
    for level, count, carried in zip(layout.levels[1:], counts[1:], stage.carried[1:], strict=True):
        mask = np.asarray(carried, np.float64)[:, :, 0]
        each: NDArray[np.float64] = np.asarray(count, np.float64) * mask
        by_input += each.sum((1, 2))
        by_item, items = by_item + each.sum((0, 1)), items + mask.sum(0)
        for place, node in enumerate(level.nodes):
            own = np.array(level.row_node) == place
            by_place[network.nodes[node].name] = float(
                each.sum((0, 2))[own].sum() / max(mask[own].sum() * runs, 1)
            )
    every = max(items.sum() * runs, 1)
    return HandedOver(
        float(by_input.sum() / every),
        dict(zip(causes, (by_input / every).tolist(), strict=True)),
        by_place,
        dict(zip(network.items, (by_item / np.maximum(items * runs, 1)).tolist(), strict=True)),
    )


def explain(decision: Decision, names: Sequence[str], range_: Range, level: int, row: int, item: int) -> str:
    """Return in a sentence who decided about an item on a row (replication 0) and why."""
    ordered, ours, usual, reason, value = (float(each[row, item, 0]) for each in decision)
    beside = f"learned {max(ours, 0):,.1f}, classical {max(usual, 0):,.1f} units"
    if reason < 0:
        return f"{max(ordered, 0):,.1f} units, as learned ({beside})."
    at = int(reason)
    if at == len(names):
        return f"{max(ordered, 0):,.1f} units, handed over to the classical policy: {NO_NUMBER}."
    low, high = float(range_.low[level][at]), float(range_.high[level][at])
    return (
        f"{max(ordered, 0):,.1f} units, handed over to the classical policy ({beside}): {names[at]} is {value:,.2f} and "
        f"training saw {low:,.2f} to {high:,.2f}."
    )


def _watched(
    layout: Layout, rules: Rules, policy: Callable[[Any, Observation, dict[int, Any]], Array], parameters: Any,
    numbers: PerLevel, state: PerLevel, paths: Paths, join: Callable[[Any, Any], Any],
) -> Any:  # fmt: skip
    """Run, and join what `policy` leaves per level in every period."""
    paths = paths._replace(counts=None)

    def step(state: PerLevel, now: tuple[Array, Paths]) -> tuple[PerLevel, dict[int, Any]]:
        left: dict[int, Any] = {}
        state, _, _ = step_period(
            layout, rules, lambda known, o: policy(known, o, left), parameters, numbers, state, now[0], now[1]
        )
        return state, left

    periods, width = _demand(paths).shape[0], _demand(paths).shape[-1]
    begin = widened(state, width)
    first = jax.tree.map(lambda each: each[0], paths)
    shapes = jax.eval_shape(lambda s, n: step(s, (jnp.int32(0), n))[1], begin, first)

    def body(carry: tuple[PerLevel, Any, Array], now: tuple[Array, Paths]) -> tuple[Any, None]:
        state, kept, started = carry
        state, left = step(state, now)
        kept = jax.tree.map(lambda old, new: jnp.where(started, join(old, new), new), kept, left)
        return (state, kept, jnp.bool_(True)), None

    kept = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), shapes)
    (_, kept, _), _ = jax.lax.scan(body, (begin, kept, jnp.bool_(False)), (jnp.arange(periods), paths))
    return kept


@partial(jax.jit, static_argnames=("layout", "rules", "policy", "inputs"))
def _extremes(
    layout: Layout, rules: Rules, policy: Policy, inputs: Inputs, parameters: Any, numbers: PerLevel, state: PerLevel,
    paths: Paths,
) -> tuple[PerLevel, PerLevel]:  # fmt: skip
    def watching(known: tuple[Any, PerLevel], o: Observation, left: dict[int, Any]) -> Array:
        seen, there = inputs(known[0], o), known[1][o.level] > 0
        least, most = (jnp.where(there, each, jnp.inf).min((1, 2, 3)) for each in (seen, -seen))
        left[o.level] = jnp.stack([least, most])
        return policy(known[0], o)

    found = _watched(layout, rules, watching, parameters, numbers, state, paths, jnp.minimum)
    levels = range(1, len(layout.levels))
    return (None, *(found[at][0] for at in levels)), (None, *(-found[at][1] for at in levels))


@partial(jax.jit, static_argnames=("layout", "rules", "policies"))
def _counted(
    layout: Layout, rules: Rules, policies: tuple[Policy, Policy, Inputs], parameters: Guarded, numbers: PerLevel,
    state: PerLevel, paths: Paths,
) -> PerLevel:  # fmt: skip
    def watching(known: Guarded, o: Observation, left: dict[int, Any]) -> Array:
        made = decide(*policies, known, o)
        inputs = jnp.arange(known.range.low[o.level].shape[0] + 1)[:, None, None, None]
        left[o.level] = (made.reason[None] == inputs).sum(-1).astype(jnp.float32)
        return made.ordered

    found = _watched(layout, rules, watching, parameters, numbers, state, paths, jnp.add)
    return (None, *(found[at] for at in range(1, len(layout.levels))))


def _demand(paths: Paths) -> Any:
    return next(each for each in paths.demand if each is not None)
