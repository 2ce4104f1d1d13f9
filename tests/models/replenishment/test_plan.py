"""What a planner relies on: limits, choice of supplier, service targets, and nothing dropped or guessed."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from lake.errors import InputError
from models.replenishment.plan import plan
from models.replenishment.plots import projected_stock_plot
from tests.models.replenishment import cases
from tests.models.replenishment.cases import forecast, locations, option, options, position, settings, steady

DEMAND = forecast({("A", "DC"): steady(10, 8)})


def planned(
    *offers: dict[str, Any], stock: int | None = 20, demand: pl.DataFrame = DEMAND, **changes: Any
) -> dict[str, Any]:
    extra = {
        name: changes.pop(name)
        for name in ("items", "planner_settings", "calibration", "series_segment")
        if name in changes
    }
    held = position(("A", "DC", stock, 0, 0)) if stock is not None else position()
    rows = plan(
        demand,
        extra.pop("calibration", None),
        locations(DC="DC"),
        held,
        options(*offers),
        settings=settings(**changes),
        as_of=cases.AS_OF,
        **extra,
    )
    return rows.row(0, named=True)


def test_money_is_rounded_half_up_once() -> None:
    row = planned(
        option(unit_price=0.125, freight_cost_per_unit=0.005, minimum_order_units=999, pack_size_units=999),
        maximum_cover_days=365,
    )
    assert row["order_quantity_units"] == 999
    assert (row["goods_cost"], row["freight_cost"]) == (Decimal("124.88"), Decimal("5.00"))
    assert row["total_cost"] == Decimal("129.88")


def test_limits_cut_and_are_named() -> None:
    by_cover = planned(option(pack_size_units=8), order_cost=500.0, maximum_cover_days=30)
    assert by_cover["limit_applied"] == "maximum_cover_days"
    assert by_cover["order_quantity_units"] == 280 and by_cover["days_of_cover_after"] == 30
    by_value = planned(option(pack_size_units=8), order_cost=500.0, maximum_order_value=1_000.0)
    assert by_value["limit_applied"] == "maximum_order_value"
    assert by_value["order_quantity_units"] == 88 and by_value["total_cost"] == Decimal("924.00")
    blocked = planned(option(minimum_order_units=5_000))
    assert blocked["order_quantity_units"] == 0 and "decide by hand" in blocked["reason"]


def test_another_supplier_needs_a_clear_advantage() -> None:
    usual = option(unit_price=10.0)

    def chosen(**other: Any) -> str:
        return planned(usual, option(supplier="S2", is_preferred=False, **other))["supplier_id"]

    assert chosen(unit_price=9.9) == "S1"
    assert chosen(unit_price=9.0) == "S2"
    assert chosen(unit_price=9.0, freight_cost_per_unit=1.5) == "S1"
    assert chosen(unit_price=9.0, lead_time_days=15) == "S1"
    assert chosen(unit_price=9.0, minimum_order_units=1_700) == "S1"
    rescue = planned(
        option(minimum_order_units=5_000), option(supplier="S2", is_preferred=False, unit_price=30.0)
    )
    assert rescue["supplier_id"] == "S2" and "cannot take the order" in rescue["reason"]


def test_service_level_of_the_item_before_category_before_default() -> None:
    items = pl.DataFrame({"item_id": ["A"], "category": ["toys"]})
    own = pl.DataFrame({"item_id": ["A"], "cycle_service_level": [Decimal("0.99")], "note": [None]})
    by_category = {"default": 0.9, "by_category": {"toys": 0.97}}
    assert planned(option())["cycle_service_level"] == 0.95
    assert planned(option(), items=items, cycle_service_level=by_category)["cycle_service_level"] == 0.97
    row = planned(option(), items=items, planner_settings=own, cycle_service_level=by_category)
    assert row["cycle_service_level"] == 0.99
    assert row["safety_stock_units"] > planned(option())["safety_stock_units"]
    with pytest.raises(InputError, match=r"item_id A has a cycle_service_level of 95\.0"):
        planned(option(), planner_settings=own.with_columns(cycle_service_level=pl.lit(95.0)))


def test_variance_factor_of_the_segment() -> None:
    factors = pl.DataFrame({"segment": ["all", "lumpy"], "variance_factor": [1.0, 4.0]})
    lumpy = pl.DataFrame({"item_id": ["A"], "location_id": ["DC"], "segment": ["lumpy"]})
    usual = planned(option(), calibration=factors)["demand_std_units"]
    assert planned(option(), calibration=factors, series_segment=lumpy)["demand_std_units"] == pytest.approx(
        2 * usual
    )
    with pytest.raises(InputError, match="variance_factor above 0"):
        planned(option(), calibration=factors.with_columns(variance_factor=pl.lit(0.0)))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"stock": None}, "no stock record"),
        ({"demand": forecast({("A", "DC"): steady(0)}), "stock": 0}, "no demand"),
        ({"items": pl.DataFrame({"item_id": ["A"], "is_discontinued": [True]})}, "discontinued"),
        ({"stock": 5_000}, "above the reorder point"),
    ],
)
def test_what_orders_nothing_is_listed_and_says_why(changes: dict[str, Any], word: str) -> None:
    row = planned(option(), **changes)
    assert row["order_quantity_units"] == 0 and word in row["reason"]


def test_without_a_supplier_or_forecast_the_item_is_listed() -> None:
    row = planned()
    assert row["supplier_id"] is None and row["unit_price"] is None and "no supplier" in row["reason"]
    assert planned(option(), demand=forecast({}))["days_of_cover_before"] is None


def test_the_sentence_says_when_freight_is_not_known() -> None:
    assert "freight is counted as 0" in planned(option(freight_cost_per_unit=None))["reason"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            {"demand": DEMAND.with_columns(mean=pl.lit(-1.0))},
            "item_id A, location_id DC, forecast_date 2026-07-01 has a negative mean",
        ),
        ({"demand": DEMAND.with_columns(mean=pl.lit(None, pl.Float64))}, "has no mean"),
        ({"demand": DEMAND.with_columns(mean=pl.lit(float("nan")))}, "has a mean that is not a number"),
        ({"demand": DEMAND.with_columns(p10=pl.lit(99.0))}, "p10 above its p90"),
        ({"demand": pl.concat([DEMAND, DEMAND])}, "stands more than once"),
        ({"demand": DEMAND.filter(pl.col("horizon_days") != 5)}, "does not have each of the 28 days"),
        ({"demand": DEMAND.drop("p90")}, "lacks p90"),
        ({"demand": forecast({("A", "DC"): steady(1, days=6)})}, "at least 7"),
        ({"demand": forecast({("A", "??"): steady(1)})}, "not in core.dim_location"),
        ({"stock": -1}, "marts.inventory_position: item_id A, location_id DC has a negative on_hand_units"),
    ],
)
def test_bad_input_names_its_place(damage: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        planned(option(), **damage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit_price": None}, "supplier_id S1 has no unit_price"),
        ({"unit_price": -1.0}, "negative unit_price"),
        ({"lead_time_days": None}, "neither a realised nor a contract lead time"),
        ({"lead_time_days": -3}, "negative lead_time_days"),
        ({"lead_time_days": 9_000}, "lead time above 730 days"),
        ({"pack_size_units": 0}, "pack size below 1"),
    ],
)
def test_bad_terms_name_their_supplier(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(option(**change))


def test_order_of_rows_does_not_matter() -> None:
    demand = forecast({(f"I{n}", place): steady(n / 3, 2) for n in range(6) for place in ("DC", "ST")})
    held = position(*((f"I{n}", "DC", n, 0, 0) for n in range(6)))
    offers = options(*(option(f"I{n}", supplier=s) for n in range(6) for s in ("S1", "S2")))

    def rows(seed: int) -> pl.DataFrame:
        frames = (frame.sample(fraction=1, shuffle=True, seed=seed) for frame in (demand, held, offers))
        moved, stock, ways = frames
        return plan(
            moved, None, locations(DC="DC", ST="DC"), stock, ways, settings=settings(), as_of=cases.AS_OF
        )

    assert rows(1).equals(rows(2))


def test_the_picture_is_a_png() -> None:
    row = planned(option())
    picture = projected_stock_plot(row | {"item_id": "A"}, DEMAND, locations(DC="DC"))
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
