"""One global model of daily demand: XGBoost, 28 days ahead, three quantiles in one model and the mean in another.

Targets are learned as a share of the series' level and weighted by it, so that one tree serves fast and slow
series alike while the loss stays the pooled loss in units. The mean has its own model because no mean follows
from three quantiles of a skewed count: Tweedie deviance, which allows many zeros and grows with the level.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import xgboost as xgb

from models.forecasting.baselines import QUANTILES
from models.forecasting.history import FloatArray

XGBOOST = "xgboost"


@dataclass(frozen=True)
class TrainingSettings:
    """Bounds of one training. The defaults take about 25 CPU seconds at 150,000 rows."""

    rows: int = 150_000
    trees: int = 100
    max_depth: int = 6
    learning_rate: float = 0.1
    min_child_weight: float = 20.0
    max_bin: int = 64
    threads: int = 2
    seed: int = 7


@dataclass(frozen=True)
class DemandModel:
    """Two boosters over the same features."""

    quantiles: xgb.Booster
    mean: xgb.Booster
    threads: int

    def predict(self, features: pl.DataFrame, level: FloatArray) -> FloatArray:
        """Return `[row, (p10, p50, p90, mean)]` in units: ordered quantiles, nothing below 0."""
        data = xgb.DMatrix(features.to_numpy(), feature_names=features.columns, nthread=self.threads)
        quantiles = np.sort(self.quantiles.predict(data), axis=1)
        shares = np.column_stack([quantiles, self.mean.predict(data)])
        return np.maximum(shares * level[:, None], 0.0).astype(np.float32)


def train(
    features: pl.DataFrame, level: FloatArray, demand: FloatArray, settings: TrainingSettings
) -> DemandModel:
    """Return the model of `demand` (units) given features and level, one element per row; deterministic by seed."""
    data = xgb.QuantileDMatrix(
        features.to_numpy(),
        label=demand / level,
        weight=level / level.mean(),
        feature_names=features.columns,
        max_bin=settings.max_bin,
        nthread=settings.threads,
    )
    common = {
        "tree_method": "hist",
        "max_depth": settings.max_depth,
        "eta": settings.learning_rate,
        "max_bin": settings.max_bin,
        "nthread": settings.threads,
        "seed": settings.seed,
    }
    quantile = {"objective": "reg:quantileerror", "quantile_alpha": list(QUANTILES)}
    mean = {"objective": "reg:tweedie", "tweedie_variance_power": 1.3}
    return DemandModel(
        quantiles=xgb.train(
            common | quantile | {"min_child_weight": settings.min_child_weight}, data, settings.trees
        ),
        mean=xgb.train(common | mean, data, settings.trees),
        threads=settings.threads,
    )
