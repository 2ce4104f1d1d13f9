"""Lead times as distributions over whole periods, from quantiles or from what was observed."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from models.twin.network import LeadTime

LONGEST = 90
"""Periods beyond which a lead time is cut off: a pipeline is as long as its longest lead time."""
_STEPS = 40


def from_quantiles(days: Mapping[int, float | None]) -> LeadTime:
    """Return a distribution whose percentiles are `days`, straight lines between them and a little beyond.

    The tail beyond the last known percentile goes on as steeply as before it, to the 99th.
    """
    known = {q: float(value) for q, value in sorted(days.items()) if value is not None}
    if not known:
        return LeadTime()
    shares, values = np.array(list(known)) / 100, np.array(list(known.values()))
    if len(values) == 1:
        return LeadTime((max(1, round(values[0])),), (1.0,))
    first = max(0.5, values[0] - (values[1] - values[0]) / 2)
    last = values[-1] + (values[-1] - values[-2])
    at = (np.arange(_STEPS) + 0.5) / _STEPS
    drawn = np.interp(at, [0.0, *shares, 0.99], [first, *values, last])
    return empirical(np.rint(drawn), least=1)


def empirical(days: ArrayLike, *, least: int = 0) -> LeadTime:
    """Return the distribution of observed whole days, each at least `least`; one day where nothing was observed."""
    seen = np.asarray(days, np.float64)
    if not seen.size:
        return LeadTime((max(1, least),), (1.0,))
    values, counts = np.unique(np.clip(np.rint(seen), least, LONGEST).astype(int), return_counts=True)
    return LeadTime(tuple(int(v) for v in values), tuple(float(c) for c in counts / counts.sum()))
