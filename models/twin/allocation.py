"""Who gets what when a place has less than is asked of it. Grids are [origin, way, item, replication].

`proportional`: everybody the same share of what was asked. `priority`: the first way first. `fair_share`: everybody the
same cover of expected demand, as far as what was asked allows. Nobody gets more than was asked, and never more than there
is; in whole units, what a share's fraction leaves over goes on to the next way, so that nothing lies idle that is needed.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from models.twin.rounding import Rounding, floor_to

Array = jax.Array
Allocation = Literal["proportional", "priority", "fair_share"]
_UNROLLED = 6
_HALVINGS = 24


def allocate(
    asked: Array,
    there: Array,
    *,
    rule: Allocation,
    pack: Array | None,
    whole_units: bool,
    rounding: Rounding,
    position: Array | None = None,
    weight: Array | None = None,
) -> Array:
    """Return what each way gets of `there` [origin, item, replication]; `asked` is [origin, way, item, replication].

    `position` and `weight` (stock with what is under way, and expected demand, of each way's end) are for fair shares.
    """
    whole = whole_units and rounding != "relaxed"
    if asked.shape[1] == 1:
        given = jnp.minimum(asked, there[:, None])
        return floor_to(given, pack, rounding) if whole else given
    if rule == "priority":
        return _in_turn(asked, asked, there, pack, rounding if whole else "relaxed")
    if rule == "fair_share":
        assert position is not None and weight is not None
        target = _fair(asked, there, position, weight)
    else:
        total = asked.sum(1)
        # min(1, x / 0) is 1 where nothing is asked
        target = asked * jnp.minimum(1, there / jnp.maximum(total, 1e-9))[:, None]
    return _in_turn(asked, target, there, pack, rounding) if whole else target


def _in_turn(asked: Array, target: Array, there: Array, pack: Array | None, rounding: Rounding) -> Array:
    """Give way by way: up to the sum of targets so far, in whole packs, at most what is asked and what is left."""
    packs = None if pack is None else jnp.broadcast_to(pack, (*asked.shape[:3], 1))

    def give(state: tuple[Array, Array], way: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        entitled, left = state
        entitled = entitled + way[1]
        given = jnp.minimum(jnp.minimum(entitled, way[0]), left)
        given = floor_to(given, way[2] if packs is not None else None, rounding)
        return (entitled - given, left - given), given

    state = (jnp.zeros_like(there), there)
    ways = [jnp.moveaxis(each, 1, 0) for each in (asked, target, *(() if packs is None else (packs,)))]
    if asked.shape[1] <= _UNROLLED:
        parts = []
        for at in range(asked.shape[1]):
            state, given = give(state, tuple(way[at] for way in ways))
            parts.append(given)
        return jnp.stack(parts, 1)
    return jnp.moveaxis(jax.lax.scan(give, state, tuple(ways))[1], 0, 1)


def _fair(asked: Array, there: Array, position: Array, weight: Array) -> Array:
    """Find by halving the cover c at which sum(clip(c weight - position, 0, asked)) is what there is."""
    rate = jnp.maximum(weight, 1e-6)
    high = ((position + asked) / rate).max(1)
    low = jnp.minimum((position / rate).min(1), high)
    can_give = jnp.minimum(there, asked.sum(1))

    def given(cover: Array) -> Array:
        return jnp.clip(cover[:, None] * rate - position, 0, asked)

    def halve(_: int, span: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (span[0] + span[1]) / 2
        is_too_much = given(middle).sum(1) > can_give
        return jnp.where(is_too_much, span[0], middle), jnp.where(is_too_much, middle, span[1])

    low, _ = jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))
    found = given(low)
    # The last fraction of a unit that halving leaves is spread so that all that there is goes out.
    left = can_give - found.sum(1)
    return found + (asked - found) * (left / jnp.maximum((asked - found).sum(1), 1e-9))[:, None]
