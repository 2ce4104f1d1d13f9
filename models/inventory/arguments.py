"""Arrays as the formulas take them: floats that broadcast, checked once at the door.

Belongs here: what a formula may refuse, in one sentence that names the argument and the first value that is wrong.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def not_negative(**values: ArrayLike) -> tuple[Floats, ...]:
    """Return the arrays as floats of one shape. Raises `ValueError` for what is below 0 or not a number.

    >>> not_negative(holding_cost_per_unit_year=[1, -0.5])
    Traceback (most recent call last):
    ValueError: holding_cost_per_unit_year must not be negative or missing, and it is -0.5 at position 1
    """
    arrays = _floats(values)
    for name, array in arrays.items():
        _refuse(name, array, ~(array >= 0), "must not be negative or missing")
    return _together(arrays)


def above_zero(**values: ArrayLike) -> tuple[Floats, ...]:
    """Return the arrays as floats of one shape. Raises `ValueError` for what is not above 0.

    >>> above_zero(demand_units_per_year=0)
    Traceback (most recent call last):
    ValueError: demand_units_per_year must be above 0, and it is 0.0
    """
    arrays = _floats(values)
    for name, array in arrays.items():
        _refuse(name, array, ~(array > 0), "must be above 0")
    return _together(arrays)


def shares(**values: ArrayLike) -> tuple[Floats, ...]:
    """Return the arrays as floats of one shape. Raises `ValueError` for what does not lie between 0 and 1, both excluded.

    >>> shares(cycle_service_level=95)
    Traceback (most recent call last):
    ValueError: cycle_service_level must lie between 0 and 1, and it is 95.0
    """
    arrays = _floats(values)
    for name, array in arrays.items():
        _refuse(name, array, ~((array > 0) & (array < 1)), "must lie between 0 and 1")
    return _together(arrays)


def whole(name: str, value: float, smallest: int = 0) -> int:
    """Return one whole number. Raises `ValueError` where it is not whole or below the smallest.

    >>> whole("lead_time_periods", 1.5)
    Traceback (most recent call last):
    ValueError: lead_time_periods must be a whole number from 0 on, and it is 1.5
    """
    if not np.isfinite(value) or value != int(value) or value < smallest:
        raise ValueError(f"{name} must be a whole number from {smallest} on, and it is {value}")
    return int(value)


def series(name: str, values: ArrayLike) -> Floats:
    """Return demand or another list of amounts, time on the last axis. Raises `ValueError` where there is none or one is negative.

    >>> series("demand_units", [])
    Traceback (most recent call last):
    ValueError: demand_units is empty: at least one value is needed
    """
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.size == 0:
        raise ValueError(f"{name} is empty: at least one value is needed")
    _refuse(name, array, ~(array >= 0), "must not be negative or missing")
    return array


def probabilities(name: str, values: ArrayLike) -> Floats:
    """Return probabilities of 0, 1, 2, ... units, made to sum to exactly 1. Raises `ValueError` where they are none.

    >>> probabilities("demand_probabilities", [0.5, 0.4])
    Traceback (most recent call last):
    ValueError: demand_probabilities must sum to 1, and they sum to 0.9
    """
    array = series(name, values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one list of probabilities, and it has {array.ndim} dimensions")
    total = float(array.sum())
    if abs(total - 1) > 1e-6:
        raise ValueError(f"{name} must sum to 1, and they sum to {total:.6g}")
    return array / total


def refuse_where(wrong: ArrayLike, what: str) -> None:
    """Raise `ValueError` with the sentence `what` where anything is `wrong`, and at which position."""
    mask = np.asarray(wrong)
    if mask.any():
        raise ValueError(what + _where(mask))


def _floats(values: dict[str, ArrayLike]) -> dict[str, Floats]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _together(arrays: dict[str, Floats]) -> tuple[Floats, ...]:
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"these arrays do not go together, item by item: {shapes}") from None


def _refuse(name: str, array: Floats, wrong: Booleans, why: str) -> None:
    if wrong.any():
        raise ValueError(f"{name} {why}, and it is {array[wrong].flat[0]}{_where(wrong)}")


def _where(wrong: Booleans) -> str:
    if wrong.ndim == 0:
        return ""
    position = np.argwhere(wrong)[0].tolist()
    return f" at position {position[0] if len(position) == 1 else tuple(position)}"
