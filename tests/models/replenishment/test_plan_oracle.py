"""The vectorised plan equals a plain loop on random items, stocks, terms and limits."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from models.replenishment.plan import COLUMNS, plan
from tests.models.replenishment import cases, oracle

BOUGHT_AT = {"DC": "DC", "ST": "DC", "W": "W"}

# Quarters and eighths: exact in binary, so that rounding differs nowhere by accident.
quarters = st.integers(0, 80).map(lambda n: n / 4)
weekly = st.lists(st.tuples(quarters, quarters, quarters), min_size=7, max_size=7)
terms = st.fixed_dictionaries(
    {
        "lead_time_days": st.integers(0, 40),
        "lead_time_mean_days": st.none() | st.integers(0, 160).map(lambda n: n / 4),
        "lead_time_std_days": st.none() | st.integers(0, 20).map(lambda n: n / 4),
        "minimum_order_units": st.none() | st.integers(1, 400),
        "pack_size_units": st.none() | st.integers(1, 48),
        "unit_price": st.integers(1, 400_000).map(lambda n: n / 10_000),
        "freight_cost_per_unit": st.none() | st.integers(0, 20_000).map(lambda n: n / 10_000),
        "is_preferred": st.booleans(),
    }
)
items = st.fixed_dictionaries(
    {
        "demand": st.dictionaries(st.sampled_from(["DC", "ST", "W"]), weekly, min_size=1),
        "stock": st.tuples(st.integers(0, 600), st.integers(0, 60), st.integers(0, 60)),
        "terms": st.lists(terms, max_size=3),
    }
)
limits = st.fixed_dictionaries(
    {
        "order_cost": st.sampled_from([0.0, 25.0, 50.0]),
        "review_period_days": st.integers(1, 14),
        "maximum_cover_days": st.integers(5, 90),
        "maximum_order_value": st.none() | st.integers(1, 5_000).map(float),
    }
)


@given(st.lists(items, min_size=1, max_size=4), limits, st.sampled_from([0.5, 1.0, 2.25]))
# No shrinking: an example costs a whole plan, and minutes of shrinking tell no more than the example itself.
@settings(
    deadline=None,
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_plan_equals_the_loop(drawn: list[dict[str, Any]], limit: dict[str, Any], factor: float) -> None:
    setting = cases.settings(**limit)
    demand, stock, offers = {}, [], []
    for number, item in enumerate(drawn):
        name = f"I{number}"
        for place, week in item["demand"].items():
            days = [(min(a, b), mean, max(a, b)) for a, mean, b in week * 4]
            demand[name, place] = days
        for place in sorted({BOUGHT_AT[place] for place in item["demand"]}):
            stock.append((name, place, *item["stock"]))
            offers += [
                cases.option(name, place, f"S{index}", **term) for index, term in enumerate(item["terms"])
            ]
    forecast = cases.forecast(demand)
    calibration = pl.DataFrame({"segment": ["all"], "variance_factor": [factor]})
    got = plan(
        forecast,
        calibration,
        cases.locations(**BOUGHT_AT),
        cases.position(*stock),
        cases.options(*offers),
        settings=setting,
        as_of=cases.AS_OF,
    )
    assert got.columns == COLUMNS
    assert [(row[0], row[1]) for row in got.select("item_id", "location_id").iter_rows()] == sorted(
        row[:2] for row in stock
    )
    for row, (name, place, *units) in zip(got.iter_rows(named=True), sorted(stock), strict=True):
        mean_of, variance_of = oracle.daily(forecast, BOUGHT_AT, name, place, factor)
        here = [offer for offer in offers if (offer["item_id"], offer["location_id"]) == (name, place)]
        if not here:
            assert (
                row["supplier_id"] is None
                and row["order_quantity_units"] == 0
                and "no supplier" in row["reason"]
            )
            continue
        compare(row, here, mean_of, variance_of, sum(units), setting)


def compare(
    row: dict[str, Any],
    offers: list[dict[str, Any]],
    mean_of: Any,
    variance_of: Any,
    position: int,
    setting: Any,
) -> None:
    per_day = sum(mean_of(day) for day in range(28)) / 28
    planned = [
        oracle.plan_option(offer | {"mean_per_day": per_day}, mean_of, variance_of, position, setting, 0.95)
        for offer in offers
    ]
    expected = oracle.choose(planned, setting.review_period_days)
    rivals = [
        abs(a["comparable"] / max(expected["comparable"], 1e-9) - share)
        for a in planned
        for share in (0.95, 1 / 0.95)
    ]
    assume(all(gap > 1e-9 for gap in rivals))
    for name in ("supplier_id", "policy", "order_quantity_units", "goods_cost", "freight_cost"):
        assert row[name] == expected[name], name
    for name in (
        "demand_mean_units",
        "demand_std_units",
        "safety_stock_units",
        "reorder_point_units",
        "order_up_to_units",
        "eoq_units",
    ):
        assert row[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name
    assert row["total_cost"] == row["goods_cost"] + row["freight_cost"]
    assert (row["limit_applied"] is None) == (expected["order_quantity_units"] == expected["wanted"])
