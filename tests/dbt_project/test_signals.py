"""marts.signal_day against a plain look-up: of all that was published by the end of a day, what is newest about it."""

from datetime import date, datetime, timedelta

import duckdb
import jinja2
import numpy as np
import polars as pl

from lake.dbt_files import SOURCE_PROJECT

FIRST, DAYS = date(2025, 3, 1), 40


def _published(seed: int) -> pl.DataFrame:
    """Late, revised, out of order, days ahead, two places, and some from before the first day."""
    chance = np.random.default_rng(seed)
    rows = {}
    for _ in range(150):
        about = FIRST + timedelta(days=int(chance.integers(-10, DAYS + 5)))
        at = datetime(about.year, about.month, about.day) + timedelta(hours=int(chance.integers(-100, 200)))
        rows[chance.choice(["East", "West"]), about, at] = int(chance.integers(0, 1000))
    frame = pl.DataFrame(
        [(*key, value) for key, value in rows.items()],
        schema=["region", "observed_for", "published_at", "value"],
        orient="row",
    )
    empty = pl.lit(None, pl.String)
    return frame.with_columns(
        pl.lit("s").alias("series"),
        empty.alias("item_id"),
        empty.alias("location_id"),
        empty.alias("unit"),
        (pl.col("published_at").dt.date() <= pl.col("observed_for")).alias("is_forecast"),
    )


def _signal_day(published: pl.DataFrame) -> dict[tuple[str, date], int]:
    sql = (SOURCE_PROJECT / "models" / "marts" / "signal_day.sql").read_text(encoding="utf-8")
    query = jinja2.Environment().from_string(sql).render(ref=str)
    last = FIRST + timedelta(days=DAYS - 1)
    with duckdb.connect() as connection:
        connection.register("fct_signal", published)
        connection.execute(
            f"CREATE TABLE business_span AS SELECT date '{FIRST}' AS first_date, date '{last}' AS as_of"
        )
        rows = connection.execute(f"SELECT region, day, value, known_at < as_of_ts FROM ({query})").fetchall()
    assert all(in_time for *_, in_time in rows)
    assert len({row[:2] for row in rows}) == len(rows)
    return {(region, day): value for region, day, value, _ in rows}


def _looked_up(published: pl.DataFrame) -> dict[tuple[str, date], int]:
    found = {}
    for region in ("East", "West"):
        for day in (FIRST + timedelta(days=n) for n in range(DAYS)):
            ended = datetime(day.year, day.month, day.day) + timedelta(days=1)
            known = [
                (row["observed_for"], row["published_at"], row["value"])
                for row in published.iter_rows(named=True)
                if row["region"] == region and row["published_at"] < ended and row["observed_for"] <= day
            ]
            if known:
                found[region, day] = max(known)[2]
    return found


def test_every_day_reads_what_was_known_when_it_ended() -> None:
    for seed in range(8):
        published = _published(seed)
        expected = _looked_up(published)
        assert len(expected) > DAYS
        assert _signal_day(published) == expected, seed


def test_what_is_published_later_changes_no_earlier_day() -> None:
    published = _published(1)
    cut = datetime(2025, 3, 20)
    before = _signal_day(published.filter(pl.col("published_at") < cut))
    after = _signal_day(published)
    assert {key: value for key, value in before.items() if key[1] < cut.date()} == {
        key: value for key, value in after.items() if key[1] < cut.date()
    }
