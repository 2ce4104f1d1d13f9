"""Training by gradients through the twin: what each order costs later, along sampled demand, tells how to order better.

The cost of a run is differentiated with respect to the policy's weights (pathwise gradients, as in hindsight
differentiable policy optimisation: Alvo, Russo & Kanoria 2023). Whole units are counted while learning as
`rounding` says; what is kept is chosen on held-out paths with hard whole units, as the policy will be used.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from lake.errors import InputError
from models.learning.stage import Stage, held, valued
from models.twin.layout import Layout, PerLevel
from models.twin.rounding import Rounding
from models.twin.simulate import run
from models.twin.state import Paths, Policy, Rules, widened

Array = jax.Array
PathsOf = Callable[[int], Paths]
"""From a seed to sampled paths, all of one shape; different seeds may be different scenarios."""

HELD_OUT_SEED = 1_000_000
"""Seeds from here on are held out: training counts up from 0."""


@dataclass(frozen=True)
class Moment:
    """One look at the held-out paths."""

    step: int
    cpu_s: float
    learning_rate: float
    held_out_cost: float
    """Per period that counts, whole units hard; or what `look` returned."""


@dataclass(frozen=True)
class Trained:
    """What training found."""

    parameters: dict[str, Any]
    """Of the least held-out cost seen."""
    held_out_cost: float
    history: tuple[Moment, ...]
    cpu_s: float
    """CPU seconds of sampling, gradients and looks at held-out paths; compiling is not counted."""
    compile_cpu_s: float
    steps: int


@dataclass(frozen=True)
class Schedule:
    """How long and how boldly to learn. Raises `InputError` for numbers that cannot be."""

    steps: int = 1_000
    learning_rate: float = 3e-3
    final_learning_rate: float = 1e-4
    seconds: float = np.inf
    """CPU seconds after which training stops, wherever it is."""
    rounding: tuple[tuple[float, Rounding], ...] = ((1.0, "straight_through"),)
    """(share of the steps, rounding) one after the other."""
    look_every: int = 100
    carry_stock: bool = True
    """Each batch starts with the stock that the one before left; else all start from the state given."""
    held_out_batches: int = 2
    clip: float = 1.0
    """Longest gradient."""
    averaged: float = 0.02
    """Weight of the newest parameters in their moving average, which is looked at as well."""
    only_average: bool = False
    """Look at the moving average only: where a look costs as much as many steps."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("steps", "look_every", "held_out_batches"):
            if getattr(self, name) < 1:
                raise InputError(f"Training needs {name} of at least 1, and it is {getattr(self, name)}.")
        if not (
            self.learning_rate > 0 and self.final_learning_rate > 0 and self.seconds > 0 and self.clip > 0
        ):
            raise InputError("Learning rates, seconds and clip have to be above 0.")
        for _, kind in self.rounding:
            if kind not in ("hard", "straight_through", "relaxed"):
                raise InputError(f"There is no rounding {kind!r}: hard, straight_through or relaxed.")
        if not abs(sum(share for share, _ in self.rounding) - 1) <= 1e-6:
            raise InputError("The shares of the kinds of rounding have to add up to 1.")

    def rounding_at(self, step: int) -> Rounding:
        """Return how whole units are counted in a step."""
        until = 0.0
        for share, rounding in self.rounding:
            until += share * self.steps
            if step < until - 1e-6:
                return rounding
        return self.rounding[-1][1]


class _Learner(NamedTuple):
    net: Any
    average: Any
    memory: Any
    """Of the optimiser."""


@dataclass
class _Clock:
    spent: float = 0.0
    compiling: float = 0.0
    known: set[Any] = field(default_factory=set)

    def timed(self, key: Any, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call; what a first call of its kind costs beyond a second one is compiling."""
        took, result = self._measured(work, *arguments)
        if key not in self.known:
            self.known.add(key)
            again, result = self._measured(work, *arguments)
            self.compiling += max(took - again, 0.0)
            took = again
        self.spent += took
        return result

    @staticmethod
    def _measured(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
        before = time.process_time()
        result = jax.block_until_ready(work(*arguments))  # type: ignore[no-untyped-call]
        return time.process_time() - before, result


def train(
    stage: Stage,
    policy: Policy,
    parameters: dict[str, Any],
    paths_of: PathsOf,
    schedule: Schedule | None = None,
    *,
    look: Callable[[dict[str, Any]], float] | None = None,
    start_of: "_StartOf" = None,
) -> Trained:
    """Return the parameters that cost least on held-out paths, of those that training passed through.

    `parameters["net"]` learns, the rest stays (`policy.initial_parameters`, or those of an earlier training to go on from);
    `paths_of(seed)` samples a batch: seeds 0, 1, ... to learn from, those from `HELD_OUT_SEED` on to choose by. `look` says what
    parameters cost in another way; `start_of` (a function that is compiled: the same one, the same program) gives the stock that a
    batch starts with a gradient. The same arguments give the same result, unless `Schedule.seconds` ends it.
    Raises `InputError` where held-out paths have no demand.
    """
    schedule, clock = schedule or Schedule(), _Clock()
    look = look or _held_out_cost(stage, policy, paths_of, schedule)
    rest = {name: each for name, each in parameters.items() if name != "net"}
    net = parameters["net"]
    learner = _Learner(net, net, _optimiser(schedule).init(net))
    history: list[Moment] = []
    best, least = net, np.inf
    start = stock = stage.state
    for done in range(schedule.steps + 1):
        if done:
            before = time.process_time()
            paths = paths_of(done - 1)
            clock.spent += time.process_time() - before
            if done == 1:
                start = stock = widened(stage.state, _demand(paths).shape[-1])
            fixed = (stage.layout, replace(stage.rules, rounding=schedule.rounding_at(done - 1)), policy)
            learner, end = clock.timed(
                fixed, partial(_improve, (schedule, fixed, start_of)), learner, rest, stage.numbers, stock, stage.unit_value, paths
            )  # fmt: skip
            stock = end if schedule.carry_stock else start
        last = done == schedule.steps or clock.spent >= schedule.seconds
        if last or done % schedule.look_every == 0:
            for each in (learner.average,) if schedule.only_average else (learner.net, learner.average):
                cost = clock.timed("look", look, {**rest, "net": each})
                history.append(Moment(done, clock.spent, float(_rate(schedule)(done)), cost))
                if cost < least:
                    best, least = each, cost
        if last:
            break
    return Trained({**rest, "net": best}, least, tuple(history), clock.spent, clock.compiling, done)


def period_cost(
    stage: Stage, policy: Policy, parameters: dict[str, Any], paths: Paths
) -> tuple[Array, PerLevel]:
    """Return the mean cost per period that counts, and the stock at the end. Differentiable in `parameters`."""
    fixed = (stage.layout, stage.rules, policy)
    return _period_cost(fixed, parameters, stage.numbers, stage.state, stage.unit_value, paths)


_Fixed = tuple[Layout, Rules, Policy]


def _period_cost(
    fixed: _Fixed,
    parameters: Any,
    numbers: PerLevel,
    state: PerLevel,
    unit_value: PerLevel | None,
    paths: Paths,
) -> tuple[Array, PerLevel]:
    layout, rules, policy = fixed
    outcome = run(layout, rules, policy, parameters, numbers, state, paths)
    cost = valued(outcome.cost, held(layout, outcome.state), held(layout, state), unit_value)
    return cost.mean() / _periods(paths), outcome.state


_compiled_cost: Any = jax.jit(_period_cost, static_argnums=0)


def _held_out_cost(
    stage: Stage, policy: Policy, paths_of: PathsOf, schedule: Schedule
) -> Callable[[dict[str, Any]], float]:
    """Return what parameters cost on held-out paths, in whole units."""
    held_out = [paths_of(HELD_OUT_SEED + batch) for batch in range(schedule.held_out_batches)]
    _check(held_out)
    fixed = (stage.layout, replace(stage.rules, rounding="hard"), policy)

    def look(parameters: dict[str, Any]) -> float:
        arguments = (parameters, stage.numbers, stage.state, stage.unit_value)
        return float(np.mean([_compiled_cost(fixed, *arguments, paths)[0] for paths in held_out]))

    return look


_StartOf = Callable[[dict[str, Any], PerLevel], PerLevel] | None


@partial(jax.jit, static_argnums=0)
def _improve(
    how: tuple[Schedule, _Fixed, _StartOf],
    learner: _Learner,
    rest: dict[str, Any],
    numbers: PerLevel,
    stock: PerLevel,
    unit_value: PerLevel | None,
    paths: Paths,
) -> tuple[_Learner, PerLevel]:
    schedule, fixed, start_of = how

    def loss(net: Any) -> tuple[Array, PerLevel]:
        own = {**rest, "net": net}
        start = start_of(own, stock) if start_of else stock
        return _period_cost(fixed, own, numbers, start, unit_value, paths)

    (_, end), slope = jax.value_and_grad(loss, has_aux=True)(learner.net)
    update, memory = _optimiser(schedule).update(slope, learner.memory)
    net = optax.apply_updates(learner.net, update)
    average = jax.tree.map(lambda old, new: old + schedule.averaged * (new - old), learner.average, net)
    return _Learner(net, average, memory), end


@cache
def _optimiser(schedule: Schedule) -> Any:
    return optax.chain(optax.clip_by_global_norm(schedule.clip), optax.adam(_rate(schedule)))


def _rate(schedule: Schedule) -> Any:
    return optax.cosine_decay_schedule(
        schedule.learning_rate, schedule.steps, schedule.final_learning_rate / schedule.learning_rate
    )


def _periods(paths: Paths) -> Any:
    return _demand(paths).shape[0] if paths.counts is None else paths.counts.sum()


def _demand(paths: Paths) -> Array:
    first: Array = next(each for each in paths.demand if each is not None)
    return first


def _check(held_out: list[Paths]) -> None:
    demand = [each for paths in held_out for each in paths.demand if each is not None]
    if not any(bool((each > 0).any()) for each in demand):
        raise InputError("A policy cannot learn without demand: the sampled paths have none.")
