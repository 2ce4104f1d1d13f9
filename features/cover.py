"""How long stock lasts: whole columns at once, the same numbers whether history, a read or a push asks. NumPy only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def days_of_cover(on_hand_units: FloatArray, mean_units: FloatArray) -> FloatArray:
    """Return days that stock lasts at a mean daily demand: on hand / mean.

    Both are [row]; NaN is unknown. Unknown stock or demand gives NaN, never 0; no demand gives NaN too, because such stock
    lasts for no number of days. Stock of 0 or less lasts 0 days.

    >>> days_of_cover(np.array([10.0, 0.0, 5.0, np.nan]), np.array([2.0, 2.0, 0.0, 2.0])).tolist()
    [5.0, 0.0, nan, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        cover = np.maximum(on_hand_units, 0.0) / mean_units
    return np.where(mean_units > 0, cover, np.nan)


def days_to_stockout(
    on_hand_units: FloatArray, weekday_means: Sequence[FloatArray], day_of_week: FloatArray
) -> FloatArray:
    """Return the days after which stock is used up if each weekday wants what it wanted of late.

    `on_hand_units` and `day_of_week` (ISO, of the day that just ended) are [row], `weekday_means` seven [row] from Monday
    to Sunday, units per day. The first day counts in whole if it uses the stock up in whole: the result is the share of
    days gone. Anything unknown, or a week without demand, gives NaN; stock of 0 or less gives 0.

    >>> week = [np.array([2.0])] * 5 + [np.array([0.0])] * 2     # nothing is sold on weekends
    >>> days_to_stockout(np.array([3.0]), week, np.array([4.0])).tolist()     # Friday 2, then Monday 1 of 2
    [3.5]
    """
    on_hand = np.maximum(np.asarray(on_hand_units, dtype=np.float64), 0.0)
    means = np.stack([np.asarray(mean, dtype=np.float64) for mean in weekday_means])
    weekday = np.asarray(day_of_week, dtype=np.float64)
    known = ~np.isnan(means).any(axis=0) & ~np.isnan(on_hand) & ~np.isnan(weekday)
    per_week = means.sum(axis=0)
    counts = known & (per_week > 0)
    if not counts.any():
        return np.full(on_hand.shape, np.nan)
    ahead = (np.where(counts, weekday, 1).astype(np.int64)[None, :] + np.arange(7)[:, None]) % 7
    wanted = np.take_along_axis(np.where(counts, means, 1.0), ahead, axis=0)
    week_units = wanted.sum(axis=0)
    weeks = np.floor(np.where(counts, on_hand, 0.0) / week_units)
    left = np.where(counts, on_hand, 0.0) - weeks * week_units
    reached = np.cumsum(wanted, axis=0)
    full_days = (reached < left[None, :]).sum(axis=0).clip(0, 6)
    before = np.where(
        full_days > 0, np.take_along_axis(reached, np.maximum(full_days - 1, 0)[None, :], axis=0)[0], 0.0
    )
    of_day = np.take_along_axis(wanted, full_days[None, :], axis=0)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(of_day > 0, (left - before) / of_day, 0.0)
    days = np.where(left > 0, 7 * weeks + full_days + np.clip(share, 0.0, 1.0), _end_of_week(weeks, wanted))
    return np.where(counts, days, np.nan)


def _end_of_week(weeks: FloatArray, wanted: FloatArray) -> FloatArray:
    """Stock that lasts for whole weeks to the unit is gone on their last day with demand, not at their end."""
    idle = np.argmax(wanted[::-1] > 0, axis=0)
    return np.where(weeks > 0, 7 * weeks - idle, 0.0)
