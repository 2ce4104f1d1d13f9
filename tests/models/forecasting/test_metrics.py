import doctest

import numpy as np
import polars as pl
import pytest

from models.forecasting import metrics


def test_the_examples_in_the_docstrings_hold():
    tried = doctest.testmod(metrics)
    assert tried.attempted >= 10
    assert tried.failed == 0


@pytest.fixture
def scored() -> pl.DataFrame:
    random = np.random.default_rng(3)
    quantiles = np.sort(random.uniform(0, 9, (60, 3)), axis=1)
    return pl.DataFrame(
        {
            "model": ["a", "b", "c"] * 20,
            "demand_units": random.poisson(4, 60).astype(float),
            "p10": quantiles[:, 0],
            "p50": quantiles[:, 1],
            "p90": quantiles[:, 2],
            "mean": random.uniform(0, 9, 60),
        }
    )


def test_every_metric_equals_a_plain_loop(scored):
    for model in "abc":
        rows = [row for row in scored.iter_rows(named=True) if row["model"] == model]
        loss = 0.0
        for row in rows:
            for name, q in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
                gap = row["demand_units"] - row[name]
                loss += q * gap if gap >= 0 else (q - 1) * gap
        absolute = sum(abs(row["demand_units"] - row["p50"]) for row in rows)
        expected = {
            "pinball_loss": loss / 3 / len(rows),
            "mae": absolute / len(rows),
            "bias": sum(row["mean"] - row["demand_units"] for row in rows) / len(rows),
            "coverage_80": sum(row["p10"] <= row["demand_units"] <= row["p90"] for row in rows) / len(rows),
            "wape": absolute / sum(row["demand_units"] for row in rows),
        }
        for name, value in expected.items():
            result = getattr(metrics, name)(scored, ["model"]).filter(pl.col("model") == model)
            assert result[name].to_list() == pytest.approx([value])


def test_wape_of_no_demand_is_null():
    nothing = pl.DataFrame({"model": ["a"], "demand_units": [0.0], "p50": [1.0]})
    assert metrics.wape(nothing, ["model"])["wape"].to_list() == [None]


def test_no_rows_give_no_groups(scored):
    assert metrics.pinball_loss(scored.clear(), ["model"]).is_empty()
