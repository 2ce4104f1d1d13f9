"""Means with confidence intervals over replications, and differences of scenarios on common random numbers."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over replications with its standard error and 95 % confidence interval (Student's t)."""

    mean: float
    standard_error: float
    low: float
    high: float

    @classmethod
    def of(cls, values: ArrayLike) -> "Estimate":
        """Estimate from one value per replication; of a single one the interval is unknown (nan)."""
        each = np.asarray(values, np.float64)
        mean = float(each.mean())
        if len(each) < 2:
            return cls(mean, float("nan"), float("nan"), float("nan"))
        error = float(each.std(ddof=1) / np.sqrt(len(each)))
        reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(each) - 1))
        return cls(mean, error, mean - reach, mean + reach)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain numbers; an unknown one is None."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


def difference(scenario: ArrayLike, baseline: ArrayLike) -> Estimate:
    """Return the paired difference: replication by replication the same customers and the same luck."""
    return Estimate.of(np.asarray(scenario, np.float64) - np.asarray(baseline, np.float64))
