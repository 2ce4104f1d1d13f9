"""The peer statsforecast: one model per series, with its own 80 % intervals. Runs in the peers' venv (`peers.py`)."""

import logging
from pathlib import Path

import polars as pl
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, SeasonalNaive

SEASON_DAYS = 7
# Error and season additive, no trend. The search over all forms ("ZZZ") costs eight times as much.
MODELS = {
    "seasonal_naive": lambda: SeasonalNaive(SEASON_DAYS),
    "ets": lambda: AutoETS(SEASON_DAYS, model="ANA"),
}


def compile_models() -> None:
    """Have numba compile what it compiles on first use: that is no part of the cost of a forecast."""
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 3, 31), eager=True)
    series = pl.DataFrame({"unique_id": "S", "ds": days, "y": [float(day % 7) for day in range(len(days))]})
    for make in MODELS.values():
        StatsForecast([make()], freq="1d").forecast(df=series, h=1, level=[80])


def forecast(model: str, panel: str, origins: list[str], horizon_days: int, out: str) -> dict[str, int]:
    """Forecast every series of the Parquet file `panel` (unique_id, ds, y) at each origin.

    Writes `out`: unique_id, ds, origin, p10, p50, p90 in units, nothing below 0.
    """
    rows = pl.read_parquet(panel)
    parts = []
    for origin in origins:
        known = rows.filter(pl.col("ds") <= pl.lit(origin).str.to_date())
        found = StatsForecast([MODELS[model]()], freq="1d").forecast(df=known, h=horizon_days, level=[80])
        name = next(column for column in found.columns if column not in ("unique_id", "ds"))
        parts.append(
            found.select(
                "unique_id",
                "ds",
                pl.lit(origin).str.to_date().alias("origin"),
                *(
                    pl.col(column).clip(0).cast(pl.Float64).alias(quantile)
                    for quantile, column in (
                        ("p10", f"{name}-lo-80"),
                        ("p50", name),
                        ("p90", f"{name}-hi-80"),
                    )
                ),
            )
        )
    pl.concat(parts).write_parquet(Path(out))
    return {"rows": sum(len(part) for part in parts)}


logging.getLogger("statsforecast").setLevel(logging.ERROR)
compile_models()
