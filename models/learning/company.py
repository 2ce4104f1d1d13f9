"""A company learns: the classical policy is tuned, a learned one adjusts it, and both are tried where neither was trained.

Everything is the company's own twin. Both are tuned for the same thing: the mean cost of a normal world and of its stress
scenarios, half and half, with what stock is worth at the end. Seeds are kept apart: training, validation (which parameters
are kept), held out (the verdict).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lake.errors import InputError
from models.learning.adjusting import SEEN, adjusted, describe, first_network, inputs, moved_start
from models.learning.handover import HandedOver, handed_over, trained_range
from models.learning.promotion import NORMAL, Promotion, judge
from models.learning.saved import Factors, Learned
from models.learning.stage import Contender, Floats
from models.learning.training import Schedule, train
from models.learning.worlds import Worlds
from models.twin.narrowing import narrowed
from models.twin.policies import reorder_point
from models.twin.scenario_model import Scenario
from models.twin.simulate import replications_of
from models.twin.twin import Twin

TRAINING, VALIDATION, HELD_OUT = 1_000, 500_000, 900_000
"""Where the seeds of each use begin."""
VALIDATIONS = 2
MOVES_ALONG = 0.4
"""Share of the gradient of stock that starts where its levels would have led it; by it gradients are what small steps say."""
REGRET = 3.0
"""What a policy costs more in a world than before it learned counts so often besides: gains elsewhere do not buy it."""
TRAINING_PATHS = 12
"""Different paths to learn on; more forget less of any one and take more memory (25 MB each for 250 items)."""


SCHEDULE = Schedule(
    steps=1_000_000, learning_rate=1e-3, final_learning_rate=1e-3, look_every=40, carry_stock=False,
    clip=float("inf"), averaged=0.05, only_average=True,
)  # fmt: skip
"""Steps of one replication from the stock that the company has, until the seconds are over."""


@dataclass(frozen=True)
class Settings:
    """How a company learns."""

    seconds: float = 180.0
    """CPU seconds of learning; tuning the classical one and the verdict come on top."""
    days: int = 120
    replications: int = 4
    """Of one batch of paths."""
    held_out: int = 24
    """Replications of each test set of the verdict."""
    items: int | None = None
    """Learn on so many items (whole suppliers, largest first by chance); the verdict is on all. None: on all."""
    hidden: tuple[int, ...] = (8,)
    seed: int = 7


@dataclass(frozen=True)
class Lesson:
    """What came of it."""

    learned: Learned
    promotion: Promotion
    planned: dict[str, dict[str, Floats]]
    """World -> figures [replication] of the twin's own levels, which nobody tuned."""
    untrained: dict[str, dict[str, Floats]]
    """The same of the learned policy before it learned: the tuned levels, and items that come along."""
    handed_over: dict[str, HandedOver]
    """World -> how often the learned policy handed over, in the first held-out paths."""
    trained_items: int
    steps: int
    cpu_seconds: dict[str, float]


def learn(
    twin: Twin, scenarios: Sequence[Scenario], known: Mapping[str, Scenario], settings: Settings,
    tell: Callable[[str], None] = lambda _: None,
) -> Lesson:  # fmt: skip
    """Tune, learn, and compare. Raises `InputError` where there are no scenarios, or too few replications for a verdict."""
    if not scenarios:
        raise InputError("Without stress scenarios nothing can be promoted: name at least one.")
    clock = _Clock()
    part = twin if settings.items is None else narrowed(twin, _sample(twin, settings.items, settings.seed))
    tell(
        f"learning on {len(part.network.items)} of {len(twin.network.items)} items, {len(scenarios)} stress scenarios"
    )
    school = _School(
        Worlds(part, scenarios, known, days=settings.days, replications=settings.replications), settings
    )
    factors = tuned(school)
    clock.stop("tuning the classical policy")
    tell(f"classical: {factors.sentence}")
    places, classical = describe(part, school.worlds.layout), factors.parameters(part, school.worlds.layout)

    own = {"net": first_network(settings.hidden, settings.seed), "places": places, "classical": classical}
    trained = train(
        school.worlds.stage, adjusted, own, school.single, replace(SCHEDULE, seconds=settings.seconds),
        look=_Look(school).cost, start_of=partial(moved_start, MOVES_ALONG, school.worlds.layout),
    )  # fmt: skip
    own, first_cost = trained.parameters, trained.history[0].held_out_cost
    clock.stop("learning")
    saved = first_cost - trained.held_out_cost
    tell(f"learned in {trained.steps} steps: {saved:,.0f} less on validation paths than untrained")
    range_ = trained_range(
        school.worlds.stage, Contender(adjusted, own), inputs,
        [partial(school.paths, name) for name in school.worlds.names], [TRAINING],
    )  # fmt: skip
    school.forget()
    clock.stop("training range")
    learned = Learned.of(twin, factors, own["net"], range_, settings.seed, school_seeds())
    worlds = Worlds(twin, scenarios, known, days=settings.days, replications=settings.replications)
    promotion, planned, untrained, handed = _tried(twin, worlds, learned, settings, tell)
    clock.stop("verdict")
    return Lesson(
        learned.judged(promotion),
        promotion,
        planned,
        untrained,
        handed,
        len(part.network.items),
        trained.steps,
        clock.parts,
    )


def school_seeds() -> tuple[int, ...]:
    """Return the seeds of paths that training and validation saw."""
    return (
        *(TRAINING + each for each in range(TRAINING_PATHS)),
        *(VALIDATION + each for each in range(VALIDATIONS)),
    )


def _tried(
    twin: Twin, worlds: Worlds, learned: Learned, settings: Settings, tell: Callable[[str], None]
) -> tuple[Promotion, dict[str, dict[str, Floats]], dict[str, dict[str, Floats]], dict[str, HandedOver]]:
    """Play the planned, the tuned, the untrained and the learned policy on held-out paths of each world."""
    stage, layout = worlds.stage, worlds.layout
    seeds = tuple(HELD_OUT + each for each in range(-(-settings.held_out // settings.replications)))
    policy, parameters = learned.player(twin, layout)
    classical = Contender(reorder_point, learned.factors.parameters(twin, layout))
    as_planned = Contender(reorder_point, Factors().parameters(twin, layout))
    net = first_network(settings.hidden, settings.seed)
    first = Contender(adjusted, parameters.learned | {"net": net})
    played, planned, untrained, handed = {}, {}, {}, {}
    for name in worlds.names:
        kept = {seed: worlds.paths_of(name)(seed) for seed in seeds}
        ours = stage.play(Contender(policy, parameters), kept.__getitem__, seeds)
        played[name] = (ours, stage.play(classical, kept.__getitem__, seeds))
        untrained[name] = stage.play(first, kept.__getitem__, seeds)
        planned[name] = stage.play(as_planned, kept.__getitem__, seeds)
        handed[name] = handed_over(stage, adjusted, reorder_point, inputs, parameters, kept[seeds[0]], SEEN)
        tell(f"tried on {name}: {float((ours['cost'] - played[name][1]['cost']).mean()):+,.0f}")
    return judge(played, seeds), planned, untrained, handed


class _School:
    """The worlds of training with their paths kept: each is sampled once."""

    def __init__(self, worlds: Worlds, settings: Settings) -> None:
        self.worlds, self.settings = worlds, settings
        self._kept: dict[tuple[str, int], Any] = {}

    def paths(self, name: str, seed: int) -> Any:
        if (name, seed) not in self._kept:
            self._kept[name, seed] = self.worlds.paths_of(name)(seed)
        return self._kept[name, seed]

    def forget(self) -> None:
        """Let the paths go: they are large."""
        self._kept.clear()

    def lesson(self, step: int) -> tuple[str, int]:
        """Return (world, seed) of a step: every other one is normal, the others go through the scenarios."""
        stress = self.worlds.names[1:]
        name = NORMAL if step % 2 == 0 else stress[(step // 2) % len(stress)]
        return name, TRAINING + (step // 2) % TRAINING_PATHS

    def single(self, step: int) -> Any:
        """Return one replication of the paths of a step: gradients of more would need more memory."""
        at = step % self.settings.replications
        return replications_of(
            self.paths(*self.lesson(step // self.settings.replications)), slice(at, at + 1)
        )

    def validated(self, policy: Any, parameters: Any) -> float:
        """Return the cost on validation paths: normal and every third stress scenario, half and half."""
        return _half_and_half(
            self.costs(policy, parameters, self.worlds.names[1::3], self.settings.replications)
        )

    def costs(
        self, policy: Any, parameters: Any, stress: Sequence[str], replications: int
    ) -> dict[str, float]:
        """Return the mean cost on validation paths of the normal world and of some of the scenarios."""
        stage, contender = self.worlds.stage, Contender(policy, parameters)

        def cost(name: str, seed: int) -> float:
            some = replications_of(self.paths(name, seed), slice(0, replications))
            return float(stage.cost(stage.outcome(contender, some)).mean())

        seeds = [VALIDATION + each for each in range(VALIDATIONS)]
        return {NORMAL: float(np.mean([cost(NORMAL, seed) for seed in seeds]))} | {
            name: cost(name, seeds[at % len(seeds)]) for at, name in enumerate(stress)
        }


def _half_and_half(costs: Mapping[str, float]) -> float:
    return (costs[NORMAL] + float(np.mean([cost for name, cost in costs.items() if name != NORMAL]))) / 2


class _Look:
    """What parameters cost in all worlds, and what they cost more in any of them than those it saw first."""

    def __init__(self, school: "_School") -> None:
        self.school, self.first = school, dict[str, float]()

    def cost(self, parameters: Any) -> float:
        half = max(
            1, self.school.settings.replications // 2
        )  # what a look costs is learning that is not done
        costs = self.school.costs(adjusted, parameters, self.school.worlds.names[1:], half)
        self.first = self.first or costs
        regret = {name: max(cost - self.first[name], 0.0) for name, cost in costs.items()}
        return _half_and_half(costs) + REGRET * _half_and_half(regret)


def tuned(school: _School) -> Factors:
    """Return the factors of reorder points and batches, at buyers and elsewhere, that cost least: one after the other."""
    worlds = school.worlds

    def cost(factors: Factors) -> float:
        return school.validated(reorder_point, factors.parameters(worlds.twin, worlds.layout))

    best, least, step = Factors(), cost(Factors()), 0.2
    while step > 0.04:
        for name in ("bought_point", "sent_point", "bought_batch", "sent_batch"):
            for sign in (1, -1):
                tried = best.moved(name, sign * step)
                while (found := cost(tried)) < least:
                    best, least, tried = tried, found, tried.moved(name, sign * step)
        step /= 2
    return best


def _sample(twin: Twin, count: int, seed: int) -> list[int]:
    """Return items of whole suppliers, so that lanes carry as many items as they do: suppliers by chance."""
    network, found = twin.network, list[int]()
    suppliers = [node.name for node in network.nodes if node.kind == "supplier"]
    for name in np.random.default_rng([seed, 9]).permutation(suppliers):
        shares = [
            network.per_item(lane.share) * network.carried(lane)
            for lane in network.lanes
            if lane.origin == name
        ]
        found += [int(item) for item in np.flatnonzero(np.max(shares, 0) > 0)] if shares else []
        if len(set(found)) >= count:
            break
    return sorted(set(found))


class _Clock:
    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.process_time()

    def stop(self, name: str) -> None:
        now = time.process_time()
        self.parts[name], self._last = round(now - self._last, 1), now
