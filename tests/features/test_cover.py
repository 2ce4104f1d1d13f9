"""How long stock lasts: against a walk day by day."""

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.cover import days_of_cover, days_to_stockout

NAN = float("nan")
units = st.one_of(st.integers(-3, 60).map(float), st.just(NAN))
means = st.lists(st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0]), st.just(NAN)), min_size=7, max_size=7)
weekdays = st.one_of(st.integers(1, 7).map(float), st.just(NAN))


def walked(on_hand: float, week: list[float], weekday: float) -> float:
    if any(math.isnan(one) for one in [on_hand, weekday, *week]) or sum(week) == 0:
        return NAN
    left, days = max(on_hand, 0.0), 0
    if left == 0:
        return 0.0
    while True:
        wanted = week[(int(weekday) + days) % 7]
        if wanted >= left:
            return days + left / wanted
        left -= wanted
        days += 1


@settings(max_examples=300, deadline=None)
@example([(1.0, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5], 1.0)])  # used up in whole, then a day that wants nothing
@given(st.lists(st.tuples(units, means, weekdays), min_size=1, max_size=6))
def test_days_to_stockout_is_what_a_walk_finds(rows: list[tuple[float, list[float], float]]) -> None:
    found = days_to_stockout(
        np.array([on_hand for on_hand, *_ in rows]),
        [np.array([week[day] for _, week, _ in rows]) for day in range(7)],
        np.array([weekday for *_, weekday in rows]),
    )
    np.testing.assert_allclose(found, [walked(*row) for row in rows], rtol=1e-9, atol=1e-9)


def test_unknown_is_never_nothing() -> None:
    cover = days_of_cover(np.array([NAN, 4.0, 4.0, 0.0, -2.0]), np.array([2.0, NAN, 0.0, 2.0, 2.0]))
    np.testing.assert_array_equal(cover, [NAN, NAN, NAN, 0.0, 0.0])
