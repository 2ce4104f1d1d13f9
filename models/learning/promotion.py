"""May a learned policy order for a company? Only if it costs less than the tuned classical one wherever both are tried.

Both play the same held-out replications (customers and luck that neither was trained on), undisturbed and in every stress
scenario. The learned one is promoted if the 95 % interval of the paired difference of cost lies below zero in each of
these test sets. All have to pass, so no correction for their number is due: more sets make promotion harder, never easier
(an intersection-union test, Berger 1982). ADR 25.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lake.errors import InputError
from models.learning.stage import Contender, Floats, PathsOf, Stage
from models.twin.results import Estimate, difference

NORMAL = "normal"
FEWEST_REPLICATIONS = 8


@dataclass(frozen=True)
class TestSet:
    """Both policies on the same replications of one world; figures are cost, fill_rate and bullwhip."""

    __test__ = False
    name: str
    candidate: dict[str, Estimate]
    classical: dict[str, Estimate]
    difference: dict[str, Estimate]
    """Candidate less classical, replication by replication."""

    @property
    def better(self) -> bool:
        """Return whether the candidate costs less beyond the interval."""
        return self.difference["cost"].high < 0

    @property
    def reason(self) -> str:
        """Return the verdict on this set in a sentence."""
        cost, before = self.difference["cost"], self.classical["cost"].mean
        share = f" ({abs(cost.mean / before):.2%} of it)" if before else ""
        told = f"{abs(cost.mean):,.2f}{share} per replication, 95 % interval of the difference {cost.low:,.2f} to {cost.high:,.2f}"
        if self.better:
            return f"{self.name}: costs less than the classical policy by {told}"
        if cost.low > 0:
            return f"{self.name}: costs more than the classical policy by {told}"
        return f"{self.name}: not told apart from the classical policy, the difference is {told}"


@dataclass(frozen=True)
class Promotion:
    """The verdict and what it rests on."""

    promoted: bool
    reasons: tuple[str, ...]
    """One sentence per test set; of a refusal those that speak against it come first."""
    tests: tuple[TestSet, ...]
    replications: int
    seeds: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        tests = [
            {"name": test.name, "better": test.better}
            | {
                side: {name: each.to_dict() for name, each in getattr(test, side).items()}
                for side in ("candidate", "classical", "difference")
            }
            for test in self.tests
        ]
        return asdict(self) | {"reasons": list(self.reasons), "seeds": list(self.seeds), "tests": tests}


def compare(
    stage: Stage,
    candidate: Contender,
    classical: Contender,
    worlds: Mapping[str, PathsOf],
    *,
    seeds: Iterable[int],
    trained_on: Iterable[int] = (),
) -> Promotion:
    """Play both on every world (`normal` and at least one stress scenario) with the paths of each seed, and judge.

    Raises `InputError` where a set is missing, a held-out seed was trained on, or there are too few replications to tell.
    """
    held_out = tuple(seeds)
    if NORMAL not in worlds or len(worlds) < 2:
        raise InputError(
            f"A policy is tried on the world {NORMAL!r} and on at least one stress scenario: give both."
        )
    if len(set(held_out)) < len(held_out):
        raise InputError("A held-out seed stands twice: the same luck twice tells nothing more.")
    seen = sorted(set(held_out) & set(trained_on))
    if seen:
        raise InputError(f"The policy was trained on the seed {seen[0]}: hold out others.")
    return judge(
        {
            name: (stage.play(candidate, paths_of, held_out), stage.play(classical, paths_of, held_out))
            for name, paths_of in worlds.items()
        },
        held_out,
    )


def judge(
    played: Mapping[str, tuple[dict[str, Floats], dict[str, Floats]]], seeds: tuple[int, ...]
) -> Promotion:
    """Return the verdict on figures [replication] of (candidate, classical) for each test set."""
    replications = len(next(iter(played.values()))[0]["cost"])
    if replications < FEWEST_REPLICATIONS:
        raise InputError(
            f"{replications} held-out replications tell nothing: at least {FEWEST_REPLICATIONS} are needed."
        )
    tests = tuple(
        TestSet(
            name,
            {key: _estimate(values) for key, values in ours.items()},
            {key: _estimate(values) for key, values in theirs.items()},
            {key: _difference(values, theirs[key]) for key, values in ours.items()},
        )
        for name, (ours, theirs) in played.items()
    )
    promoted = all(test.better for test in tests)
    reasons = sorted(tests, key=lambda test: test.better) if not promoted else tests
    return Promotion(promoted, tuple(test.reason for test in reasons), tests, replications, seeds)


def _estimate(values: Floats) -> Estimate:
    return (
        Estimate.of(values[np.isfinite(values)])
        if np.isfinite(values).any()
        else Estimate(*[float("nan")] * 4)
    )


def _difference(ours: Floats, theirs: Floats) -> Estimate:
    both = np.isfinite(ours) & np.isfinite(theirs)
    return difference(ours[both], theirs[both]) if both.any() else Estimate(*[float("nan")] * 4)
