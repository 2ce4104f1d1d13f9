from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from lake.errors import InputError, StocklakeError
from models.forecasting.frame import FeatureFrame, rows_at, sample_rows
from models.forecasting.history import read_history
from tests.models.forecasting.panels import calendar_of, future_of, reader_of, shop

PANEL = shop(series=6, days=150)
AS_OF = PANEL["day"].max()
CALENDAR = calendar_of(PANEL)
HISTORY = read_history(PANEL, future_of(PANEL), AS_OF)


def frame_of(panel=PANEL, future=None, calendar=CALENDAR, reader=None):
    history = read_history(panel, future_of(PANEL) if future is None else future, AS_OF)
    return FeatureFrame(history, calendar, reader or reader_of(panel))


def test_a_sample_is_bounded_seeded_and_in_the_past():
    rows = sample_rows(HISTORY, last_target=120, count=1_000, seed=3)
    again = sample_rows(HISTORY, last_target=120, count=1_000, seed=3)
    other = sample_rows(HISTORY, last_target=120, count=1_000, seed=4)
    assert 800 < len(rows.series) <= 1_000
    assert rows.target.max() <= 120
    assert rows.origin.min() >= 6
    assert set(np.unique(rows.horizon)) == set(range(1, 29))
    assert (rows.series == again.series).all() and (rows.origin == again.origin).all()
    assert len(other.origin) != len(rows.origin) or (other.origin != rows.origin).any()
    seen = np.stack([rows.series, rows.origin, rows.horizon])
    assert np.unique(seen, axis=1).shape == seen.shape


def test_days_out_of_stock_are_never_learned():
    out = PANEL.with_columns(is_stockout=pl.col("day").dt.day() < 15)
    rows = sample_rows(read_history(out, future_of(PANEL), AS_OF), 149, 5_000, 1)
    assert len(rows.series) > 1_000
    assert all(HISTORY.day(target).day >= 15 for target in np.unique(rows.target))


def test_what_is_known_of_the_target_day_is_of_the_target_day():
    first = PANEL["item_id"].min()
    promoted_on, dear_on = AS_OF + timedelta(days=5), AS_OF + timedelta(days=9)
    future = future_of(PANEL).with_columns(
        is_promoted=(pl.col("day") == promoted_on) & (pl.col("item_id") == first),
        discount_share=pl.when(pl.col("day") == promoted_on).then(0.2).otherwise(0.0),
        unit_price=pl.when(pl.col("day") == dear_on).then(5.0).otherwise(2.5),
    )
    calendar = CALENDAR.with_columns(is_holiday=pl.col("calendar_date") == promoted_on)
    frame = frame_of(future=future, calendar=calendar)
    rows = rows_at(frame.history, frame.history.origin)
    features, level = frame.features(rows)
    features = features.with_columns(h=rows.horizon, s=rows.series)
    assert features.filter(pl.col("is_promoted") == 1).select("h", "s").rows() == [(5, 0), (5, 1)]
    assert features.filter(pl.col("is_holiday") == 1)["h"].unique().to_list() == [5]
    assert features.filter(pl.col("is_before_holiday") == 1)["h"].unique().to_list() == [4]
    assert features.filter(pl.col("discount_share") > 0)["h"].unique().to_list() == [5]
    assert features.filter(pl.col("price_ratio") == 2)["h"].unique().to_list() == [9]
    assert features["weekday"].to_list() == [frame.history.day(day).weekday() for day in rows.target]
    assert (level > 0).all()


def test_the_weekday_mean_is_the_targets():
    frame = frame_of()
    rows = rows_at(frame.history, 100)
    features, level = frame.features(rows)
    for place in (0, 7, 40, 100, 167):
        target, series = rows.target[place], rows.series[place]
        same = [day for day in range(100, 72, -1) if (target - day) % 7 == 0]
        expected = HISTORY.demand[same, series].mean() / level[place]
        assert features["dow_mean_ratio"][place] == pytest.approx(expected, rel=1e-5)


def test_group_trend_and_weekday_are_sums_over_the_item():
    frame = frame_of()
    rows = rows_at(frame.history, 120)
    features, _ = frame.features(rows)
    item = HISTORY.demand[:, :2].sum(axis=1)  # I0 at S0 and S1
    trend = item[114:121].mean() / item[93:121].mean()
    assert features["item_trend_7"][0] == pytest.approx(trend, rel=1e-5)
    same_weekday = [121 - 7 * back for back in range(1, 9)]
    expected = item[same_weekday].sum() / (item[65:121].sum() / 7)
    assert features["item_weekday"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("last_known", [90, 120])
def test_no_feature_knows_a_day_after_its_origin(last_known):
    cut = HISTORY.day(last_known)
    later = pl.col("day") > cut
    wild = PANEL.with_columns(
        demand_units=pl.when(later).then(999).otherwise("demand_units"),
        is_stockout=later & (pl.col("day").dt.weekday() == 2),
    )
    rows = rows_at(HISTORY, last_known)
    ours, level = frame_of().features(rows)
    theirs, their_level = frame_of(wild).features(rows)
    assert ours.equals(theirs, null_equal=True)
    assert (level == their_level).all()
    assert sample_rows(HISTORY, last_known, 2_000, 1).target.max() <= last_known


def test_an_unknown_entity_has_no_level():
    reader = reader_of(PANEL.filter(pl.col("item_id") != "I1"))
    frame = frame_of(reader=reader)
    rows = rows_at(HISTORY, HISTORY.origin)
    _, level = frame.features(rows)
    unknown = HISTORY.series["item_id"].to_numpy()[rows.series] == "I1"
    assert np.isnan(level[unknown]).all()
    assert not np.isnan(level[~unknown]).any()


def test_a_reader_that_drops_reorders_or_lacks_is_named():
    rows = rows_at(HISTORY, HISTORY.origin)
    good = reader_of(PANEL)
    with pytest.raises(StocklakeError, match="no std_28"):
        frame_of(reader=lambda entities: good(entities).drop("std_28")).features(rows)
    with pytest.raises(StocklakeError, match="5 rows for 6 entities"):
        frame_of(reader=lambda entities: good(entities).head(5)).features(rows)
    with pytest.raises(StocklakeError, match="another order"):
        frame_of(reader=lambda entities: good(entities).reverse()).features(rows)


def test_a_calendar_without_holidays_column_is_named():
    with pytest.raises(InputError, match=r"core.dim_calendar lacks is_holiday"):
        frame_of(calendar=CALENDAR.drop("is_holiday"))
