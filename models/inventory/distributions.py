"""Demand of a period or a lead time as a distribution: quantile, probability, units short.

Belongs here: the laws of demand, by mean and standard deviation, vectorised over items; and probabilities of 0, 1, 2,
... units for what counts single units. Not here: how long demand has to be covered and what service means
(`safety_stock.py`), costs.
"""

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from models.inventory.arguments import Floats, above_zero, not_negative, refuse_where

Distribution = Literal["normal", "gamma", "negative_binomial", "poisson"]

SLOW_MOVER_UNITS = 10.0
"""Below this mean over the protection period, demand is counted in single units: a discrete distribution."""
SKEWED_VARIATION = 0.5
"""Above this coefficient of variation the normal puts too much on negative demand: gamma."""
MOST_UNITS = 1_000_000
"""Mean of what is told as a list of probabilities: one entry per unit."""
TAIL = 1e-12
"""Probability of more demand than a list of probabilities tells; it is put on the last."""


def distribution_for(mean_units: ArrayLike, std_units: ArrayLike) -> NDArray[np.str_]:
    """Return the distribution that fits the nature of each item's demand over the protection period.

    'negative_binomial' for slow movers (mean below 10 units), 'gamma' for skewed demand (std / mean above .5),
    else 'normal'. The two thresholds follow the rules of
    thumb of Silver, Pyke & Thomas 2017, ch. 6.

    >>> distribution_for([3, 40, 40], [4, 30, 8]).tolist()
    ['negative_binomial', 'gamma', 'normal']
    """
    mean, std = (np.asarray(value, dtype=np.float64) for value in (mean_units, std_units))
    return np.where(
        mean < SLOW_MOVER_UNITS,
        "negative_binomial",
        np.where(std > SKEWED_VARIATION * mean, "gamma", "normal"),
    )


def demand_quantile(
    probability: ArrayLike, mean_units: ArrayLike, std_units: ArrayLike, distribution: ArrayLike
) -> Floats:
    """Return the demand (units) that is not exceeded with `probability`.

    `distribution` names one of `Distribution` per item; a Poisson needs its mean only. A negative binomial needs
    std^2 > mean; where that does not hold it is its limit, the Poisson. Mean 0 gives 0 and std 0 the mean.

    >>> demand_quantile(0.95, [100, 100, 4], [20, 80, 3], ["normal", "gamma", "negative_binomial"]).round(3).tolist()
    [132.897, 256.971, 10.0]
    """
    return _by_law("quantile", probability, mean_units, std_units, distribution, lambda _, mean: mean)


def expected_shortage(
    stock_units: ArrayLike, mean_units: ArrayLike, std_units: ArrayLike, distribution: ArrayLike
) -> Floats:
    """Return the loss function n(s) = E[(D - s)+], the units that stock `s` is expected to be short.

    Normal: sigma (phi(z) - z (1 - Phi(z))), Snyder & Shen, Fundamentals of Supply Chain Theory, ch. 4; gamma and
    negative binomial follow from x f(x; k) = mean f(x; k + 1), k the shape.

    >>> expected_shortage(10, [10, 10], [2, 8], ["normal", "gamma"]).round(4).tolist()
    [0.7979, 3.0278]
    """
    short = _by_law(
        "shortage",
        stock_units,
        mean_units,
        std_units,
        distribution,
        lambda stock, mean: np.maximum(mean - stock, 0),
    )
    return np.maximum(short, 0.0)


def demand_probability(
    stock_units: ArrayLike, mean_units: ArrayLike, std_units: ArrayLike, distribution: ArrayLike
) -> Floats:
    """Return P(D <= s), the probability that stock `s` lasts. Arguments as in `expected_shortage`.

    >>> demand_probability(12, 10, [2, 8], ["normal", "gamma"]).round(4).tolist()
    [0.8413, 0.6917]
    """
    return _by_law(
        "probability", stock_units, mean_units, std_units, distribution, lambda stock, mean: stock >= mean
    )


def poisson_probabilities(mean_units: float, tail: float = TAIL) -> Floats:
    """Return P(D = 0), P(D = 1), ... of a Poisson; the last entry holds all beyond it (less than `tail`).

    >>> poisson_probabilities(0.5, tail=0.01).round(4).tolist()
    [0.6065, 0.3033, 0.0758, 0.0144]
    """
    (mean,) = not_negative(mean_units=mean_units)
    refuse_where(mean > MOST_UNITS, f"mean_units is beyond {MOST_UNITS:,}: count demand in larger units")
    largest = int(stats.poisson.isf(tail, mean)) if mean > 0 else 0
    result = np.asarray(stats.poisson.pmf(np.arange(largest + 1), mean), dtype=np.float64)
    result[-1] += 1 - result.sum()
    return result


def normal_probabilities(mean_units: float, std_units: float, tail: float = TAIL) -> Floats:
    """Return P(D = 0), P(D = 1), ... of a normal rounded to whole units; what would be negative is 0 units.

    >>> normal_probabilities(2, 0.5, tail=0.001).round(4).tolist()
    [0.0013, 0.1573, 0.6827, 0.1573, 0.0013]
    """
    (mean, std) = above_zero(mean_units=mean_units, std_units=std_units)
    refuse_where(
        mean + std > MOST_UNITS,
        f"mean_units and std_units are beyond {MOST_UNITS:,}: count demand in larger units",
    )
    largest = max(int(np.ceil(stats.norm.isf(tail, mean, std))), 0)
    below = stats.norm.cdf(np.arange(largest) + 0.5, mean, std)
    return np.asarray(np.diff(below, prepend=0.0, append=1.0), dtype=np.float64)


def normal_loss(z: ArrayLike) -> Floats:
    """Return E[(Z - z)+] = phi(z) - z (1 - Phi(z)) of the standard normal. Source: Snyder & Shen, app. C.

    >>> float(normal_loss(0).round(6))
    0.398942
    """
    at = np.asarray(z, dtype=np.float64)
    density = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    return np.asarray(density - at * special.ndtr(-at))


def normal_second_loss(z: ArrayLike) -> Floats:
    """Return E[((Z - z)+)^2] / 2 = ((z^2 + 1) (1 - Phi(z)) - z phi(z)) / 2. Source: Snyder & Shen, app. C.

    >>> float(normal_second_loss(0))
    0.25
    """
    at = np.asarray(z, dtype=np.float64)
    density = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    return np.asarray(((at**2 + 1) * special.ndtr(-at) - at * density) / 2)


class _Normal:
    @staticmethod
    def quantile(probability: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(mean + std * special.ndtri(probability))

    @staticmethod
    def probability(stock: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(special.ndtr((stock - mean) / std))

    @staticmethod
    def shortage(stock: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(std * normal_loss((stock - mean) / std))


class _Gamma:
    @staticmethod
    def quantile(probability: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(special.gammaincinv((mean / std) ** 2, probability) * std**2 / mean)

    @staticmethod
    def probability(stock: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(special.gammainc((mean / std) ** 2, np.maximum(stock, 0) * mean / std**2))

    @staticmethod
    def shortage(stock: Floats, mean: Floats, std: Floats) -> Floats:
        shape, scaled = (mean / std) ** 2, np.maximum(stock, 0) * mean / std**2
        return np.asarray(
            mean * special.gammaincc(shape + 1, scaled) - stock * special.gammaincc(shape, scaled)
        )


class _Poisson:
    """Counts; the standard deviation is that of the mean, whatever is said."""

    @staticmethod
    def quantile(probability: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(stats.poisson.ppf(probability, mean))

    @staticmethod
    def probability(stock: Floats, mean: Floats, std: Floats) -> Floats:
        return np.asarray(stats.poisson.cdf(stock, mean))

    @staticmethod
    def shortage(stock: Floats, mean: Floats, std: Floats) -> Floats:
        whole = np.floor(stock)
        return np.asarray(mean * stats.poisson.sf(whole - 1, mean) - stock * stats.poisson.sf(whole, mean))


class _NegativeBinomial:
    """Counts; the Poisson, its limit, where std^2 does not exceed the mean."""

    @staticmethod
    def quantile(probability: Floats, mean: Floats, std: Floats) -> Floats:
        poisson, size, share = _NegativeBinomial._parameters(mean, std)
        counts = stats.nbinom.ppf(probability, size, share)
        return np.asarray(np.where(poisson, _Poisson.quantile(probability, mean, std), counts))

    @staticmethod
    def probability(stock: Floats, mean: Floats, std: Floats) -> Floats:
        poisson, size, share = _NegativeBinomial._parameters(mean, std)
        counts = stats.nbinom.cdf(stock, size, share)
        return np.asarray(np.where(poisson, _Poisson.probability(stock, mean, std), counts))

    @staticmethod
    def shortage(stock: Floats, mean: Floats, std: Floats) -> Floats:
        poisson, size, share = _NegativeBinomial._parameters(mean, std)
        whole = np.floor(stock)
        above = stats.nbinom.sf(whole, size, share)
        counts = mean * stats.nbinom.sf(whole - 1, size + 1, share) - stock * above
        return np.asarray(np.where(poisson, _Poisson.shortage(stock, mean, std), counts))

    @staticmethod
    def _parameters(mean: Floats, std: Floats) -> tuple[NDArray[np.bool_], Floats, Floats]:
        variance = std**2
        poisson = variance <= mean * (1 + 1e-9)
        spread = np.where(poisson, 2 * mean, variance)
        return poisson, mean**2 / (spread - mean), mean / spread


_Law = type[_Normal] | type[_Gamma] | type[_NegativeBinomial] | type[_Poisson]


def _law(name: Distribution) -> _Law:
    laws: dict[str, _Law] = {
        "normal": _Normal,
        "gamma": _Gamma,
        "negative_binomial": _NegativeBinomial,
        "poisson": _Poisson,
    }
    if name not in laws:
        raise ValueError(f"unknown distribution {name!r}: one of {', '.join(laws)}")
    return laws[name]


def _by_law(
    question: Literal["quantile", "probability", "shortage"],
    about: ArrayLike,
    mean_units: ArrayLike,
    std_units: ArrayLike,
    distribution: ArrayLike,
    certain: Callable[[Floats, Floats], ArrayLike],
) -> Floats:
    """Ask the law of each item; `certain` answers where demand is known: mean or standard deviation 0."""
    floats = (np.asarray(value, dtype=np.float64) for value in (about, mean_units, std_units))
    at, mean, std, names = np.broadcast_arrays(*floats, np.asarray(distribution))
    result = np.array(certain(at, mean), dtype=np.float64)
    for name in np.unique(names):
        answer = getattr(_law(cast("Distribution", str(name))), question)
        here = (names == name) & (mean > 0) & ((std > 0) | (name == "poisson"))
        if here.any():
            result[here] = answer(at[here], mean[here], std[here])
    return result
