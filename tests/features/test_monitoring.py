"""What is served is compared with history and training: what agrees passes, and each way of being wrong is found."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pandas as pd
import polars as pl
import pytest
from feast import FeatureStore

from features.monitoring import FeatureCheck, check_features, stability_index, summary
from features.repository import historical, materialize, open_store, record_training_set
from lake.company import Company
from lake.connection import Lake
from lake.releases import Release


def bad(checks: list[FeatureCheck]) -> dict[tuple[str, str, str], FeatureCheck]:
    return {(one.kind, one.feature_view, one.feature): one for one in checks if one.outcome != "passed"}


def push(
    store: FeatureStore, item: str, place: str, on_hand: float, at: datetime, known_at: datetime
) -> None:
    """Write a wrong stock to the online store, beside nulls for whatever else the view has."""
    view = store.get_feature_view("inventory")
    source = view.batch_source
    row = {feature.name: None for feature in view.features} | {
        "item_id": item,
        "location_id": place,
        "on_hand_units": on_hand,
        "is_stockout": True,
        source.timestamp_field: at,
        source.created_timestamp_column: known_at,
    }
    store.write_to_online_store("inventory", pd.DataFrame([row]))


def test_each_way_of_being_wrong_is_found(
    company: Company, release: Release, release_of: Callable[..., Release], moment: datetime
) -> None:
    days = pl.datetime_range(datetime(2026, 2, 10), datetime(2026, 3, 20), "1d", eager=True)
    rows = pl.DataFrame({"event_timestamp": days}).join(
        pl.DataFrame({"item_id": ["I0", "I1", "I2"], "location_id": ["L0"] * 3}), how="cross"
    )
    materialize(company, release)
    quiet = check_features(company, release)
    assert bad(quiet) == {}
    assert summary(quiet)["drift"] == (0, 0, "")
    views = {view.name for view in open_store(company).list_feature_views()}
    assert {one.feature_view for one in quiet if one.kind == "freshness"} <= views
    assert {one.feature_view for one in quiet if one.kind == "skew"} >= {
        "demand_history",
        "supplier_lead_time",
    }

    record_training_set(company, release, historical(company, release, rows), rows.columns)
    cover = historical(company, release, rows, "stock_cover_v1")
    record_training_set(company, release, cover, rows.columns, "stock_cover_v1")
    store = open_store(company)
    push(store, "I1", "L0", 7.0, moment + timedelta(hours=1), moment)  # newer: history cannot know it yet
    push(store, "I0", "L1", -1.0, moment - timedelta(hours=6), moment)
    found = check_features(company, release)
    assert set(bad(found)) >= {("skew", "inventory", "on_hand_units"), ("skew", "inventory", "is_stockout")}
    assert not [one for one in bad(found) if one[0] == "skew" and one[1] != "inventory"]
    skewed = bad(found)["skew", "inventory", "on_hand_units"]
    assert skewed.value == pytest.approx(1 / 6)
    assert "1 of 6 entities differ, first item_id I0, location_id L1: online -1.0, history" in skewed.detail
    assert ("drift", "demand_forecast_v1", "demand_units") in bad(found), (
        "the demand of the small lake grows by the day"
    )
    assert ("drift", "demand_forecast_v1", "unit_price") not in bad(found)
    of_services = [one.feature_view for one in found if one.kind == "drift"]
    assert set(of_services) == {"demand_forecast_v1", "stock_cover_v1"}
    told = next(one for one in found if one.kind == "skew" and one.feature_view == "demand_history")
    assert told.detail == "6 entities compared"

    with Lake.of(company).write() as connection:
        connection.execute("UPDATE lake.meta.training_set SET definitions = 'of last year'")
    assert summary(check_features(company, release))["drift"] == (0, 0, "")

    source = store.get_feature_view("demand_history").batch_source
    moments = (source.timestamp_field, source.created_timestamp_column)
    old = release_of(
        f"UPDATE lake.{source.table} SET {', '.join(f'{name} = {name} - INTERVAL 60 DAY' for name in moments)}"
        " WHERE item_id = 'I2'"
    )
    assert bad(check_features(company, old))["skew", "demand_history", "demand_units"].outcome == "failed"
    with Lake.of(company).read() as connection:
        noted = connection.execute(
            "SELECT count(*), count(DISTINCT release_id) FROM lake.meta.feature_check"
        ).fetchone()
    assert noted is not None
    assert noted[1] == 2


def test_what_is_not_online_is_found(company: Company, release: Release) -> None:
    open_store(company)
    found = bad(check_features(company, release))
    assert found["freshness", "demand_history", ""].value == 1.0
    assert found["freshness", "demand_history", ""].detail == "nothing is online"
    assert found["skew", "demand_history", "demand_units"].outcome == "failed"


def test_the_stability_index_sees_shifts_and_nothing_else() -> None:
    numbers = pl.Series([float(n % 100) for n in range(2_000)])
    assert stability_index(numbers, numbers.shuffle(seed=1)) == 0.0
    assert stability_index(numbers, numbers.head(400)) < 0.1
    assert stability_index(numbers, numbers + 30) > 0.25
    half = pl.Series([None if n % 2 else n for n in range(2_000)], dtype=pl.Float64)
    assert stability_index(half, half.shuffle(seed=1).head(1_000)) < 0.1
    assert stability_index(numbers, half) > 0.25
    assert stability_index(pl.Series([True, False] * 50), pl.Series([True] * 90 + [False] * 10)) > 0.25
    assert stability_index(pl.Series(["a", "b"] * 50), pl.Series(["a", "b"] * 70)) == 0.0
    assert stability_index(pl.Series(["a"] * 50), pl.Series(["new"] * 50)) > 0.25
    assert stability_index(pl.Series([1.0] * 50), pl.Series([1.0] * 50)) == 0.0
    assert stability_index(pl.Series([None] * 5, dtype=pl.Float64), pl.Series([1.0] * 5)) > 0.25
    assert stability_index(pl.Series([], dtype=pl.Float64), numbers) == 0.0
