"""Whole units with and without gradients, and orders that a supplier takes: packs, minimum, calendar.

`hard` rounds; `straight_through` rounds on the way forward and lets gradients pass as if it had not; `relaxed` does not
round at all. Rounding down forgives what single precision loses.
"""

from typing import Literal

import jax
import jax.numpy as jnp

Array = jax.Array
Rounding = Literal["hard", "straight_through", "relaxed"]
_SLACK = 1e-4


def floor_to(value: Array, unit: Array | None, rounding: Rounding) -> Array:
    """Round down to whole multiples of `unit` (None: of 1)."""
    if rounding == "relaxed":
        return value
    step = value if unit is None else value / unit
    down = jnp.floor(step + _SLACK)
    return _forward(down if unit is None else down * unit, value, rounding)


def is_some(value: Array, rounding: Rounding) -> Array:
    """Return 1 where there is something, else 0; smooth near 0 for gradients."""
    hard = (value > 0).astype(value.dtype)
    if rounding == "hard":
        return hard
    smooth = 1 - jnp.exp(-jnp.maximum(value, 0))
    return smooth if rounding == "relaxed" else _forward(hard, smooth, rounding)


def acceptable(
    wanted: Array,
    pack: Array | None,
    minimum: Array | None,
    *,
    rounding: Rounding,
    whole_units: bool,
    to_nearest: bool,
) -> Array:
    """Return what can be ordered instead of `wanted`: not negative, whole packs, nothing or at least the minimum.

    Up to whole packs, or to the nearest number of them; a need below the minimum becomes the minimum, or, to the
    nearest, nothing where it is below half of it.
    """
    need = jnp.maximum(wanted, 0)
    if rounding == "relaxed":
        return need
    if minimum is not None:
        least = 0.5 * minimum if to_nearest else 0.0
        raised = jnp.where(need > least + _SLACK * (not to_nearest), jnp.maximum(need, minimum), 0)
        need = _forward(raised, need, rounding)
    if pack is None and not whole_units:
        return need
    step = need if pack is None else need / pack
    count = jnp.round(step) if to_nearest else jnp.ceil(step - _SLACK)
    if to_nearest and minimum is not None and pack is not None:
        count = jnp.where((count * pack < minimum) & (need > 0), jnp.ceil(step - _SLACK), count)
    return _forward(count if pack is None else count * pack, need, rounding)


def _forward(shown: Array, passed: Array, rounding: Rounding) -> Array:
    """Return `shown`, with the gradient of `passed` where rounding is straight through."""
    return shown if rounding == "hard" else passed + jax.lax.stop_gradient(shown - passed)
