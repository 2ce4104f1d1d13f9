"""Claim: our forecast beats a well-kept library's models, series by series, at the same origins by the same score.

    python -m benchmarks.forecasts [--json] [--series N]

Data: M5, daily units of N of its 30,490 item x store series, 28 days ahead from 3 origins, the last 28 days before the
data ends. Ours is all of `models.forecasting.pipeline.forecast` (it chooses its model per segment); its features come
from a plain join instead of Feast. The peers are statsforecast's seasonal naive and its additive exponential smoothing
(ETS "ANA"), with their own 80 % intervals as quantiles .1 and .9. Score: mean pinball loss over .1, .5, .9 of all days.
"""

import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import typer

from benchmarks.peers import run_ours, run_peer
from lake.company import load_company
from models.forecasting import metrics
from models.forecasting.backtest import ORIGINS
from models.forecasting.history import HORIZON_DAYS
from models.forecasting.pipeline import forecast
from tests.models.forecasting.panels import future_of, locations_of, reader_of

PEERS = ("seasonal_naive", "ets")
MIN_DAYS = 56
"""A series is drawn when it has so many days at the first origin."""


def main(
    series: int = 2_000,
    as_json: bool = typer.Option(False, "--json"),
) -> None:
    """Print the losses and CPU seconds of ours and of the peers."""
    data = Path(load_company("example").variables["STOCKLAKE_DATA"]) / "m5"
    if not (data / "daily_units.parquet").is_file():
        print(_told(as_json, {"skipped": f"{data} is not there: say where by STOCKLAKE_DATA."}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        origins = sample(data / "daily_units.parquet", folder / "panel.parquet", series)
        us = run_ours(
            "benchmarks.forecasts", "ours", str(folder / "panel.parquet"), str(data / "calendar.csv")
        )
        figures = {"series": series, "rows": us.result["rows"], "pinball_loss": us.result["pinball_loss"]}
        figures |= {"cpu_s": us.cpu_s, "peak_mb": us.peak_mb}
        for peer in PEERS:
            loss, cpu_s = measure_peer(peer, folder, origins)
            figures |= {f"{peer}_pinball_loss": loss, f"{peer}_cpu_s": cpu_s}
            figures[f"skill_vs_{peer}"] = 1 - us.result["pinball_loss"] / loss
    print(_told(as_json, {key: round(value, 4) for key, value in figures.items()}))


def sample(source: Path, panel: Path, count: int) -> list[str]:
    """Write `count` series as unique_id, ds, y, sorted; return the origins, oldest first."""
    units = pl.read_parquet(source)
    last = units["date"].max()
    origins = [last - timedelta(days=HORIZON_DAYS * back) for back in range(ORIGINS, 0, -1)]
    began = units.group_by("id").agg(pl.col("date").min()).sort("id")
    old = began.filter(pl.col("date") <= origins[0] - timedelta(days=MIN_DAYS))["id"]
    drawn = old.sample(min(count, len(old)), seed=7)
    rows = units.filter(pl.col("id").is_in(drawn.implode())).sort("id", "date")
    rows.select(unique_id="id", ds="date", y=pl.col("units").cast(pl.Float64)).write_parquet(panel)
    return [origin.isoformat() for origin in origins]


def ours(panel: str, calendar: str) -> dict[str, float]:
    """Forecast as the platform does; return the pooled loss of the models in use over the 3 origins."""
    rows = pl.read_parquet(panel)
    parts = pl.col("unique_id").str.extract_groups(r"^(?<item_id>.*_\d+)_(?<location_id>[A-Z]+_\d+)$")
    history = rows.select(
        parts.struct.field("item_id"),
        parts.struct.field("location_id"),
        day="ds",
        demand_units="y",
        is_stockout=pl.lit(False),
        unit_price=pl.lit(1.0),
        discount_share=pl.lit(0.0),
        is_promoted=pl.lit(False),
    )
    days = pl.read_csv(calendar, try_parse_dates=True).select(
        calendar_date="date",
        is_weekend=pl.col("date").dt.weekday() > 5,
        is_holiday=pl.col("event_type_1").is_in(["National", "Religious"]).fill_null(False),
    )
    result = forecast(
        history, future_of(history), days, locations_of(history), reader_of(history), rows["ds"].max()
    )
    used = result.accuracy.join(result.chosen_model.select("segment", "model"), on=["segment", "model"])
    return used.select(
        rows=pl.col("rows").sum(),
        pinball_loss=(pl.col("pinball_loss") * pl.col("rows")).sum() / pl.col("rows").sum(),
    ).row(0, named=True)


def measure_peer(peer: str, folder: Path, origins: list[str]) -> tuple[float, float]:
    """Return the peer's loss, by our metric over the same days, and its CPU seconds."""
    out = folder / f"{peer}.parquet"
    run = run_peer(
        "benchmarks.peer_statsforecast", "forecast", peer, str(folder / "panel.parquet"), origins, HORIZON_DAYS, str(out)
    )  # fmt: skip
    demand = pl.read_parquet(folder / "panel.parquet").rename({"y": "demand_units"})
    scored = pl.read_parquet(out).join(demand, on=["unique_id", "ds"], how="left")
    assert len(scored) == run.result["rows"] and not scored["demand_units"].null_count()
    pooled = metrics.pinball_loss(scored.with_columns(pool=pl.lit(0)), ["pool"])
    return float(pooled["pinball_loss"][0]), run.cpu_s


def _told(as_json: bool, figures: dict[str, Any]) -> str:
    return (
        json.dumps(figures) if as_json else "\n".join(f"{key:28} {value}" for key, value in figures.items())
    )


if __name__ == "__main__":
    typer.run(main)
