"""Quantities against a loop that counts packs one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inventory.policies import order_quantity, whole_packs_down, within_limit


def by_counting(position: float, point: float, level: float, pack: int, minimum: int) -> int:
    if position > point or level <= position:
        return 0
    quantity = 0
    while position + quantity < level or quantity < minimum:
        quantity += pack
    return quantity


units = st.integers(0, 2_000).map(lambda tenths: tenths / 8)  # eighths add exactly: no rounding in the oracle


@given(
    st.lists(st.tuples(units, units, units, st.integers(1, 60), st.integers(0, 300)), min_size=1, max_size=20)
)
@settings(deadline=None, max_examples=100)
def test_order_quantity_counts_packs(cases: list[tuple[float, float, float, int, int]]) -> None:
    rows = [(position, point, point + more, pack, minimum) for position, point, more, pack, minimum in cases]
    position, point, level, pack, minimum = (np.array(column) for column in zip(*rows, strict=True))
    got = order_quantity(position, point, level, pack, minimum)
    assert got.tolist() == [by_counting(*row) for row in rows]


@given(st.integers(0, 3_000), st.floats(-50, 3_000), st.integers(1, 60), st.integers(0, 300))
@settings(deadline=None, max_examples=100)
def test_limits_are_never_passed(packs: int, largest: float, pack: int, minimum: int) -> None:
    wanted = packs * pack
    got = int(within_limit(wanted, largest, pack, minimum))
    assert got % pack == 0 and got <= wanted
    assert got <= max(largest, 0) + 1e-6
    assert got == 0 or got >= min(minimum, wanted)
    if got < wanted and got > 0:
        assert got == int(whole_packs_down(largest, pack))


def test_last_bits_do_not_make_another_pack() -> None:
    total = sum([0.1] * 10)  # 0.9999999999999999
    assert order_quantity(0, 5, [total * 10, 10], 10, 0).tolist() == [10, 10]
    assert order_quantity(total, 1, 11, 1, 0).tolist() == 10
