"""One global model of daily demand: XGBoost, 28 days ahead, three quantiles in one model and the mean in another.

Targets are learned as a share of the series' level and weighted by it, so that one tree serves fast and slow
series alike while the loss stays the pooled loss in units. The mean has a model of its own because no mean follows
from three quantiles of a skewed count. It learns by Poisson deviance, which with these shares and weights is exactly
the Poisson likelihood of the demand in units with the level as exposure: it fits many zeros and stays unbiased
whatever the true spread is. Root mean squared error over 3 origins of 2,000 M5 series: 2.03, Tweedie 2.10,
squared error 2.10 (60,000 rows each).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl
import xgboost as xgb

from models.forecasting.baselines import QUANTILES
from models.forecasting.history import FloatArray

XGBOOST = "xgboost"
THREADS = 2


@dataclass(frozen=True)
class TrainingSettings:
    """Bounds of one training: 150,000 rows and 100 trees per quantile take about 17 CPU seconds."""

    rows: int = 150_000
    """Sampled rows; the plan allows at most 500,000. 60,000 cost .4 points of skill (3,000 series)."""
    trees: int = 100
    max_depth: int = 6
    learning_rate: float = 0.1
    min_child_weight: float = 20.0
    max_bin: int = 64
    seed: int = 7


@dataclass(frozen=True)
class TrainingSet:
    """Features, level (units) and demand (units), one element per row."""

    features: pl.DataFrame
    level: FloatArray = field(repr=False)
    demand: FloatArray = field(repr=False)


@dataclass(frozen=True)
class DemandModel:
    """Two boosters over the same features."""

    quantiles: xgb.Booster
    mean: xgb.Booster
    rows: int
    """Number of rows it was trained on."""

    def predict(self, features: pl.DataFrame, level: FloatArray) -> FloatArray:
        """Return `[row, (p10, p50, p90, mean)]` in units: ordered quantiles, nothing below 0, NaN without a level."""
        data = xgb.DMatrix(features.to_numpy(), feature_names=features.columns, nthread=THREADS)
        quantiles = np.sort(self.quantiles.predict(data), axis=1)
        shares = np.column_stack([quantiles, self.mean.predict(data)])
        forecast: FloatArray = np.maximum(shares * level[:, None], 0.0).astype(np.float32)
        return forecast


def train_each(sets: Sequence[TrainingSet], settings: TrainingSettings) -> list[DemandModel]:
    """Train one model per set, two at once with one thread each; deterministic by seed.

    Two threads inside every tree wait for each other: the same trees of 60,000 rows took 6.2 CPU seconds instead
    of 4.8, and up to 14 on a busy machine, where OpenMP's waiting threads spin.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(partial(_train, settings=settings), sets))


def _train(rows: TrainingSet, settings: TrainingSettings) -> DemandModel:
    data = xgb.QuantileDMatrix(
        rows.features.to_numpy(),
        label=rows.demand / rows.level,
        weight=rows.level / rows.level.mean(),
        feature_names=rows.features.columns,
        max_bin=settings.max_bin,
        nthread=1,
    )
    common = {
        "tree_method": "hist",
        "max_depth": settings.max_depth,
        "eta": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "max_bin": settings.max_bin,
        "nthread": 1,
        "seed": settings.seed,
    }
    quantiles = {"objective": "reg:quantileerror", "quantile_alpha": list(QUANTILES)}
    mean = {"objective": "count:poisson"}
    return DemandModel(
        quantiles=xgb.train(common | quantiles, data, settings.trees),
        mean=xgb.train(common | mean, data, settings.trees),
        rows=len(rows.features),
    )
