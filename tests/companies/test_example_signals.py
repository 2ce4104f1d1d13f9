"""The example's signals: what they know of demand, when they are known, and that demand is what it was without them."""

import csv
import json
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests.companies.deliveries import Made

SHARES = {"weather_index": (0.5, 0), "search_interest": (0.6, 3), "social_interest": (0.4, 2)}


@pytest.fixture(scope="module")
def shock(clean: Made) -> dict[tuple[str, date], float]:
    truth = pl.read_parquet(clean.truth / "signal.parquet")
    return {(row["region"], row["day"]): row["demand_shock"] for row in truth.iter_rows(named=True)}


@pytest.fixture(scope="module")
def weather(clean: Made) -> list[tuple[datetime, date, str, float]]:
    return [
        (
            datetime.fromisoformat(row["issued_at"]),
            date.fromisoformat(row["valid_on"]),
            row["region"],
            float(row["index"]),
        )
        for path in sorted(clean.inbox.glob("signals/weather_forecast_*.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]


def _correlation(pairs: list[tuple[float, float]]) -> float:
    frame = pl.DataFrame(pairs, schema=["told", "shock"], orient="row")
    return float(frame.select(pl.corr("told", "shock")).item())


def test_interest_knows_its_share_of_the_shocks_to_come(
    clean: Made, shock: dict[tuple[str, date], float]
) -> None:
    rows = [
        json.loads(line)
        for path in sorted(clean.inbox.glob("signals/public_interest_*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for series in ("search_interest", "social_interest"):
        share, ahead = SHARES[series]
        told = [
            (r["region"], date.fromisoformat(r["day"]), float(r["value"]))
            for r in rows
            if r["series"] == series
        ]
        by_lag = {
            lag: _correlation(
                [
                    (v, shock[g, d + timedelta(days=lag)])
                    for g, d, v in told
                    if (g, d + timedelta(days=lag)) in shock
                ]
            )
            for lag in range(8)
        }
        assert by_lag[ahead] == pytest.approx(share, abs=0.12)
        assert max(by_lag, key=lambda lag: by_lag[lag]) == ahead
    assert all(
        datetime.fromisoformat(r["published_at"]) > datetime.fromisoformat(r["day"]) + timedelta(days=1)
        for r in rows
    )


def test_forecasts_are_issued_ahead_and_err_more_the_further_they_look(
    weather: list[tuple[datetime, date, str, float]], shock: dict[tuple[str, date], float]
) -> None:
    seen = {(g, d): v for at, d, g, v in weather if at.date() > d}
    assert _correlation([(v, shock[key]) for key, v in seen.items()]) == pytest.approx(0.5, abs=0.12)
    errors = {
        ahead: pl.Series(
            [v - seen[g, d] for at, d, g, v in weather if (d - at.date()).days == ahead and (g, d) in seen]
        ).std()
        for ahead in range(7)
    }
    assert errors == {ahead: pytest.approx(0.25 * (ahead + 1), rel=0.25) for ahead in range(7)}
    last = max(at for at, *_ in weather)
    assert max(d for _, d, *_ in weather) == last.date() + timedelta(days=6)
