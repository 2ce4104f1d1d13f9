"""The simulator: one pure JAX function from a network's numbers, a policy and sampled paths to costs and units.

    layout = make_layout(network); numbers = make_numbers(network, layout)
    outcome = simulate(network, base_stock, {"level": ...}, demand, replications=...)

`run` is what learning differentiates and benchmarks time; `simulate` is the same for people, with checks and blocks of
replications that fit into memory.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from models.twin import measures
from models.twin.layout import Layout, PerLevel, make_layout
from models.twin.network import Network
from models.twin.numbers import make_numbers
from models.twin.period import Period
from models.twin.state import Observation, Paths, Policy, Rules, initial_state, widened

Array = jax.Array
CACHED_CELLS = 100_000
"""Cells (place x item x replication) of a level up to which arrays stay in the cache of one core: 1.6 times the speed."""


class Outcome(NamedTuple):
    """What a simulation found."""

    costs: dict[str, Array]
    """Part of the cost -> [replication], summed over the periods that count."""
    totals: dict[str, PerLevel]
    """Measure -> per level [place or row, item, replication], summed over the periods that count."""
    daily: dict[str, PerLevel]
    """Measure -> per level [period, place or row, (item,) replication]."""
    state: PerLevel
    """Stock at the end."""

    @property
    def cost(self) -> Array:
        """Return the cost of each replication, revenue taken off: [replication]."""
        gain = self.costs.get("revenue", jnp.zeros(()))
        return sum((part for name, part in self.costs.items() if name != "revenue"), jnp.zeros(())) - gain


@partial(jax.jit, static_argnames=("layout", "rules", "policy"))
def run(
    layout: Layout,
    rules: Rules,
    policy: Policy,
    parameters: Any,
    numbers: PerLevel,
    state: PerLevel,
    paths: Paths,
) -> Outcome:
    """Simulate all periods of `paths` from `state` (see `initial_state`). Pure, and differentiable where rounding allows.

    `policy` is called with `parameters` for each level; it, `layout` and `rules` decide which program is compiled.
    """
    demand = next(each for each in paths.demand if each is not None)
    periods, replications = demand.shape[0], demand.shape[-1]
    count = paths.counts
    paths = paths._replace(counts=None)

    def step(carry: tuple[Any, Any], now: tuple[Array, Paths, Any]) -> tuple[tuple[Any, Any], Any]:
        state, sums = carry
        state, added, kept = step_period(layout, rules, policy, parameters, numbers, state, now[0], now[1])
        if now[2] is not None:
            added = jax.tree.map(lambda each: each * now[2], added)
        return (state, jax.tree.map(jnp.add, sums, added)), kept

    begin = widened(state, replications)
    first = jax.tree.map(lambda each: each[0], paths)
    shapes = jax.eval_shape(
        lambda s, n: step_period(layout, rules, policy, parameters, numbers, s, jnp.int32(0), n)[1],
        begin,
        first,
    )
    sums = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), shapes)
    (state, sums), kept = jax.lax.scan(step, (begin, sums), (jnp.arange(periods), paths, count))
    return Outcome(sums[0], sums[1], kept, state)


def step_period(
    layout: Layout,
    rules: Rules,
    policy: Policy,
    parameters: Any,
    numbers: PerLevel,
    state: PerLevel,
    at: Array,
    now: Paths,
) -> tuple[PerLevel, tuple[dict[str, Array], dict[str, PerLevel]], dict[str, PerLevel]]:
    """Simulate period `at`, with `now` from outside: (state, (costs, totals) of the period, what is kept of it)."""
    period = Period(layout, rules, numbers, state, now)
    period.receive()
    if rules.sequence == "demand_then_order":
        period.serve()
    period.decide(policy, parameters, at)
    period.ship()
    if rules.sequence == "order_then_demand":
        period.serve()
    state, flows = period.end()
    added = (
        measures.costs(layout, numbers, flows, now, rules),
        measures.totals(layout, numbers, flows, now, rules),
    )
    return state, added, measures.daily(layout, flows, rules)


def observe(
    layout: Layout, rules: Rules, numbers: PerLevel, state: PerLevel, at: Array, now: Paths
) -> list[Observation]:
    """Return what policies see of each level (from the first on) in period `at`, before anybody has ordered in it."""
    seen: list[Observation] = []

    def nothing(_: Any, observation: Observation) -> Array:
        seen.append(observation)
        return jnp.zeros_like(observation.row_in_transit)

    period = Period(layout, rules, numbers, state, now)
    period.receive()
    if rules.sequence == "demand_then_order":
        period.serve()
    period.decide(nothing, None, at)
    return seen[::-1]


def simulate(
    network: Network,
    policy: Policy,
    parameters: Any,
    paths: Paths,
    *,
    rules: Rules | None = None,
    block: int | None = None,
    longest_leads: Sequence[int] | None = None,
) -> Outcome:
    """Check a network and simulate it on paths; `block` is how many replications are run at once (see `fitting_block`).

    Raises `InputError` naming what is wrong with the network.
    """
    rules = rules or Rules()
    layout = make_layout(network.checked(), longest_leads=longest_leads)
    numbers = make_numbers(network, layout)
    state = initial_state(network, layout, numbers, rules)
    demand = next(each for each in paths.demand if each is not None)
    replications = demand.shape[-1]
    block = block or fitting_block(layout, replications)
    if block >= replications:
        whole: Outcome = run(layout, rules, policy, parameters, numbers, state, paths)
        return whole
    parts = [
        run(
            layout,
            rules,
            policy,
            parameters,
            numbers,
            state,
            replications_of(paths, slice(start, start + block)),
        )
        for start in range(0, replications, block)
    ]
    return joined(parts)


def fitting_block(layout: Layout, replications: int) -> int:
    """Return how many replications at once are quickest: what one level's array needs should stay in the cache.

    A divisor of `replications` where there is one near, so that one program serves all blocks.
    """
    widest = max(level.size for level in layout.levels[1:]) * layout.items
    wanted = min(replications, max(CACHED_CELLS // widest, 8))
    near = [size for size in range(wanted, wanted // 2, -1) if replications % size == 0]
    return near[0] if near else wanted


def replications_of(paths: Paths, part: slice) -> Paths:
    """Return some replications of paths."""
    counts = paths.counts
    cut: Paths = jax.tree.map(
        lambda each: each if each.shape[-1] == 1 else each[..., part], paths._replace(counts=None)
    )
    return cut._replace(counts=counts)


def joined(parts: list[Outcome]) -> Outcome:
    """Put blocks of replications together again (as numpy arrays, which other blocks cannot crowd out)."""
    return jax.tree.map(lambda *each: np.concatenate([np.asarray(one) for one in each], -1), *parts)  # type: ignore[no-any-return]
