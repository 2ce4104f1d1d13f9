"""Long-run behaviour of systems in whole units: the states that are reached and how often each is visited.

Belongs here: what the exact costs of policies share (`lost_sales.py`, `dual_sourcing.py`). Not here: any costs.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.inventory.arguments import Floats, Integers

Step = Callable[[Integers], tuple[Integers, Integers, Floats]]
"""From states (one per row) to the states that may follow, from which row each follows, and how likely."""

MOST_STATES = 2_000_000
_TOLERANCE = 1e-11


def long_run(start: Integers, step: Step) -> tuple[Integers, Floats]:
    """Return the states reached from `start`, one per row, and the long-run share of periods spent in each.

    Raises `ValueError` where they are too many: the system grows without end, or is too large.
    """
    states, following, origin, chances = _explore(start, step)
    lowest, base = _frame(states)
    codes = _codes(states, lowest, base)
    sorting = np.argsort(codes)
    target = sorting[np.searchsorted(codes, _codes(following, lowest, base), sorter=sorting)]
    matrix = sparse.csr_matrix((chances, (target, origin)), shape=(len(states), len(states)))
    return states, _settled(matrix)


def _explore(start: Integers, step: Step) -> tuple[Integers, Integers, Integers, Floats]:
    states = new = np.atleast_2d(start).astype(np.int64)
    seen: list[tuple[Integers, Integers, Floats]] = []
    while len(new):
        following, origin, chances = step(new)
        seen.append((following, origin + len(states) - len(new), chances))
        lowest, base = _frame(np.concatenate([following, states]))
        codes = np.setdiff1d(_codes(following, lowest, base), _codes(states, lowest, base))
        new = lowest + codes[:, None] // _radix(base) % base
        if len(states) + len(new) > MOST_STATES:
            raise ValueError(
                f"the policy reaches more than {MOST_STATES:,} states: too many to evaluate exactly"
            )
        states = np.concatenate([states, new])
    following, origin, chances = (np.concatenate(part) for part in zip(*seen, strict=True))
    return states, following, origin, chances


def _settled(matrix: sparse.csr_matrix) -> Floats:
    """The distribution that the chain keeps; a quarter of it stands still, so that circles settle as well."""
    shares = np.full(matrix.shape[0], 1 / matrix.shape[0])
    for _ in range(100_000):
        new = 0.25 * shares + 0.75 * (matrix @ shares)
        change = float(np.abs(new - shares).sum())
        shares = new
        if change <= _TOLERANCE:
            break
    return np.asarray(shares / shares.sum())


def _frame(states: Integers) -> tuple[Integers, Integers]:
    lowest = states.min(axis=0)
    base = states.max(axis=0) - lowest + 1
    if float(np.prod(base.astype(np.float64))) >= 2**62:
        raise ValueError("the policy lets stock or orders grow beyond what can be evaluated exactly")
    return lowest, base


def _codes(states: Integers, lowest: Integers, base: Integers) -> Integers:
    return np.asarray((states - lowest) @ _radix(base))


def _radix(base: Integers) -> NDArray[np.int64]:
    return np.concatenate([[1], np.cumprod(base[:-1])]).astype(np.int64)
