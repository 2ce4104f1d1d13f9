"""Learning without gradients, for what order costs make jump: evolution strategies (Salimans et al. 2017).

The parameters are moved by small random amounts, up and down (antithetic), all on the same paths; each amount counts by how
much it saved. A trigger that orders or does not has no gradient, its effect on cost in many replications does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from lake.errors import InputError

Floats = NDArray[np.float64]
CostOf = Callable[[Any, int], float]
"""(parameters, seed) -> cost on the paths of the seed; equal seeds, equal luck."""


@dataclass(frozen=True)
class Schedule:
    """How to search; `seconds` are CPU seconds of this process."""

    seconds: float
    steps: int = 10_000
    pairs: int = 5
    """Moves tried in a step, each up and down."""
    size: float = 0.1
    """Standard deviation of a move."""
    rate: float = 0.05
    look_every: int = 5
    """Steps between two looks at the validation seeds, on which the best parameters are kept."""


@dataclass(frozen=True)
class Searched:
    """The parameters that cost least on the validation seeds."""

    parameters: Any
    cost: float
    first_cost: float
    steps: int
    trained_on: tuple[int, ...]


def search(
    cost_of: CostOf, first: Any, schedule: Schedule, *, seed: int, train_seeds: Callable[[int], int],
    validate: Callable[[Any], float], validation_seeds: tuple[int, ...] = (),
) -> Searched:  # fmt: skip
    """Return the best parameters found from `first` on; `train_seeds(step)` are the paths of a step."""
    if schedule.seconds <= 0 or schedule.pairs < 1:
        raise InputError("A search needs CPU seconds above 0 and at least one pair of moves.")
    began, random = time.process_time(), np.random.default_rng([seed, 5])
    flat, back = ravel_pytree(first)
    at = np.asarray(flat, np.float64)
    mean, square = np.zeros_like(at), np.zeros_like(at)
    best, first_cost = at, validate(first)
    least, trained, step = first_cost, [], 0

    def told(values: Floats) -> Any:
        return back(jax.numpy.asarray(values, jax.numpy.float32))

    while step < schedule.steps and time.process_time() - began < schedule.seconds:
        paths = train_seeds(step)
        trained.append(paths)
        moves = random.standard_normal((schedule.pairs, len(at)))
        saved = np.array(
            [
                cost_of(told(at - schedule.size * move), paths)
                - cost_of(told(at + schedule.size * move), paths)
                for move in moves
            ]
        )
        step += 1
        spread = float(np.sqrt((saved**2).mean()))
        if not np.isfinite(spread) or spread == 0:
            continue
        slope = (saved / spread) @ moves / schedule.pairs
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        at = at + schedule.rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        if step % schedule.look_every == 0:
            cost = validate(told(at))
            if cost < least:
                best, least = at, cost
    return Searched(told(best), least, first_cost, step, tuple(dict.fromkeys([*trained, *validation_seeds])))
