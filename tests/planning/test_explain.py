"""An explanation holds the plan's numbers and the newest facts as the release knew them."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from lake.catalogs import SqliteCatalog
from lake.connection import Lake
from lake.errors import InputError
from lake.releases import Release, create_tables
from planning.explain import Explanation, explain
from planning.narrate import order_lines
from planning.proposals import list_proposals, propose
from tests.models.replenishment.cases import AS_OF
from tests.planning.conftest import DEMAND, small_plan

# Item B has no terms, rates, purchase orders or stock file: a company without such exports.
_FACTS = """
CREATE TABLE lake.core.dim_location AS SELECT * FROM (VALUES ('DC', 'DC'), ('ST', 'DC'), ('XX', 'XX')) AS t(location_id, purchasing_location_id);
CREATE TABLE lake.core.fct_sales_order_line AS SELECT * FROM (VALUES
    ('O1', 'A', 'DC', 3, DATE '2026-06-29', TIMESTAMP '2026-06-29 10:00', TIMESTAMP '2026-06-30', 'sales_06-29.csv', 17),
    ('O2', 'A', 'ST', 4, DATE '2026-06-30', TIMESTAMP '2026-06-30 09:00', TIMESTAMP '2026-06-30', 'sales_06-30.csv', 5),
    ('O3', 'A', 'XX', 9, DATE '2026-06-30', TIMESTAMP '2026-06-30 11:00', TIMESTAMP '2026-06-30', 'sales_06-30.csv', 6),
    ('O4', 'A', 'DC', 9, DATE '2026-07-01', TIMESTAMP '2026-07-01 11:00', TIMESTAMP '2026-07-01', 'sales_07-01.csv', 2),
    ('O5', 'B', 'DC', 1, DATE '2026-05-01', TIMESTAMP '2026-05-01 11:00', TIMESTAMP '2026-05-01', 'sales_05-01.csv', 8)
  ) AS t(order_id, item_id, location_id, quantity_units, sold_on, sold_at, known_at, _file, _line);
CREATE TABLE lake.marts.inventory_position AS SELECT * FROM (VALUES
    ('A', 'DC', DATE '2026-06-30', 50, 15, 5, 'D1', 'stock_06-30.csv', 44, false),
    ('B', 'DC', DATE '2026-06-30', 10, 0, 0, NULL, NULL, NULL, true)
  ) AS t(item_id, location_id, as_of, on_hand_units, in_transit_units, on_order_units, newest_delivery_id, newest_file, newest_line, is_assumed);
CREATE TABLE lake.core.fct_inventory AS SELECT * FROM (VALUES
    ('A', 'DC', DATE '2026-06-29', 31, false, 'stock_06-29.csv', 40), ('A', 'DC', DATE '2026-06-30', 30, false, 'stock_06-30.csv', 44),
    ('A', 'ST', DATE '2026-06-30', 20, false, 'stock_06-30.csv', 45), ('A', 'XX', DATE '2026-06-30', 7, false, 'stock_06-30.csv', 46),
    ('B', 'DC', DATE '2026-06-30', 10, true, NULL, NULL)
  ) AS t(item_id, location_id, snapshot_date, on_hand_units, is_assumed, _file, _line);
CREATE TABLE lake.marts.supply_option AS SELECT * FROM (VALUES
    ('A', 'DC', 'S1', 7, 8.5, 1.5, 48, 24, 10.0, 0.5, 'road', true), ('B', 'DC', 'S2', 7, 7.0, NULL, 1, 1, 3.335, 0.5, NULL, true)
  ) AS t(item_id, location_id, supplier_id, lead_time_days, lead_time_mean_days, lead_time_std_days, minimum_order_units,
         pack_size_units, unit_price, freight_cost_per_unit, freight_mode, is_preferred);
CREATE TABLE lake.core.fct_purchase_order_line AS SELECT * FROM (VALUES
    ('P1', 'A', 'DC', 'S1', DATE '2026-06-20', 20, 20, TIMESTAMP '2026-06-20', 'po.csv', 3)
  ) AS t(purchase_order_id, item_id, location_id, supplier_id, ordered_on, ordered_units, open_units, known_at, _file, _line);
CREATE TABLE lake.staging.stg_supplier_item AS SELECT * FROM (VALUES
    (' a', 'S1', 7, 48, 24, 10.0, DATE '2026-01-01', TIMESTAMP '2026-01-01', 'terms.csv', 9),
    ('A', 'S1', 7, 48, 24, 11.0, DATE '2026-12-01', TIMESTAMP '2026-01-01', 'terms.csv', 10)
  ) AS t(item_id, supplier_id, lead_time_days, minimum_order_units, pack_size_units, unit_price, valid_from, _known_at, _file, _line);
CREATE TABLE lake.staging.stg_freight_rate AS SELECT * FROM (VALUES
    ('S1', 'DC', 'road', 0.25, 0.12, DATE '2026-06-01', TIMESTAMP '2026-06-01', 'rates.csv', 2),
    ('S1', 'DC', 'air', 2.5, 0.12, DATE '2026-06-02', TIMESTAMP '2026-06-01', 'rates.csv', 3)
  ) AS t(origin, destination, mode, rate_per_kg, fuel_surcharge_share, valid_from, _known_at, _file, _line);
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    home = tmp_path_factory.mktemp("explained")
    lake = Lake(SqliteCatalog(home / "catalog.sqlite", home / "writer.lock"), home / "data", home / "spill")
    with lake.write() as connection:
        connection.execute(_FACTS)
    release = Release("R1", lake.snapshot(), "G1", datetime(2026, 7, 1), AS_OF)
    plan = small_plan()
    with lake.write() as connection:
        create_tables(connection)
        connection.execute(
            "INSERT INTO lake.meta.release VALUES ('R1', ?, 'G1', '2026-07-01', ?, [])",
            [release.snapshot_id, AS_OF],
        )
        for table, frame in (("plan.replenishment", plan), ("forecasts.demand_forecast", DEMAND)):
            connection.register("frame", frame.select(pl.lit("R1").alias("release_id"), pl.all()))
            connection.execute(f"CREATE TABLE lake.{table} AS SELECT * FROM frame")
        # What arrives after the release must not stand in an explanation of it.
        connection.execute(
            "INSERT INTO lake.core.fct_sales_order_line VALUES ('O9', 'A', 'DC', 1, '2026-06-30', '2026-06-30 23:00', '2026-07-02', 'late.csv', 1)"
        )
    propose(lake, release, plan, "EUR")
    return lake


@pytest.fixture(scope="module")
def of_s1(planned: Lake) -> Explanation:
    return explain(
        planned, next(row["order_id"] for row in list_proposals(planned) if row["supplier_id"] == "S1")
    )


def test_numbers_are_those_of_the_plan(of_s1: Explanation) -> None:
    row = small_plan().row(0, named=True)
    line = of_s1.to_dict()["lines"][0]
    assert line["policy"]["reorder_point_units"] == row["reorder_point_units"]
    assert line["order"]["order_quantity_units"] == row["order_quantity_units"]
    assert line["stock"] | {"is_assumed": None} == {
        "on_hand_units": 50,
        "in_transit_units": 15,
        "on_order_units": 5,
        "inventory_position_units": 70,
        "days_of_cover_before": row["days_of_cover_before"],
        "days_of_cover_after": row["days_of_cover_after"],
        "is_assumed": None,
    }
    assert line["lead_time"] == {"mean_days": 8.5, "std_days": 1.5, "contract_days": 7}
    assert line["forecast"]["models"] == ["xgboost"] and line["forecast"]["locations"] == 2
    policy = line["policy"]
    variance = 15.5 * policy["variance_per_day"] + policy["demand_per_day_units"] ** 2 * 1.5**2
    assert variance == pytest.approx(row["demand_std_units"] ** 2)


def test_facts_name_the_file_and_line_that_the_release_knew(of_s1: Explanation) -> None:
    assert [(fact.kind, fact.file, fact.line) for fact in of_s1.items[0].facts] == [
        ("newest sales line", "sales_06-30.csv", 5),
        ("inventory snapshot", "stock_06-30.csv", 44),  # of each location whose stock the order counts
        ("inventory snapshot", "stock_06-30.csv", 45),
        ("newest purchase order line", "po.csv", 3),
        ("supplier terms", "terms.csv", 9),
        ("freight rate", "rates.csv", 2),
        ("selling price", None, None),
    ]


def test_what_the_company_does_not_export_is_said_to_be_assumed(planned: Lake) -> None:
    order = next(row["order_id"] for row in list_proposals(planned) if row["supplier_id"] == "S2")
    explanation = explain(planned, order)
    assumed = {fact.kind for fact in explanation.items[0].facts if fact.statement.startswith("assumed: ")}
    assert assumed == {
        "inventory snapshot",
        "newest purchase order line",
        "supplier terms",
        "freight rate",
        "selling price",
    }
    assert any("sales_05-01.csv, line 8" in line for line in explanation.lines())


def test_the_text_fills_in_the_formulas(of_s1: Explanation) -> None:
    text, row = "\n".join(of_s1.lines()), small_plan().row(0, named=True)
    for part in (
        "on hand 50 + in transit 15 + on order 5 = position 70",
        "mean 8.5 days, standard deviation 1.5; the contract says 7",
        "in packs of 24, at least 48",
        "by road",
        "fixed reorder point",
        "with EOQ 468: order 480 now, position 70 is at or below it; "
        f"{row['legacy_cost_per_year']:,.0f} EUR a year, {row['legacy_fill_rate']:.1%} served",
        "weekly review up to 234: order 168 now; "
        f"{row['weekly_review_cost_per_year']:,.0f} EUR a year, {row['weekly_review_fill_rate']:.1%} served",
        f"the policy of this order: order 576 now; {row['policy_cost_per_year']:,.0f} EUR a year",
        "snapshot",
        "terms.csv, line 9",
    ):
        assert part in text
    json.dumps(of_s1.to_dict())


@pytest.mark.parametrize(
    ("wrong", "hint"), [("po-20260630-", "did you mean PO-20260630-"), ("nonsense", "orders list")]
)
def test_an_unknown_order_names_near_matches(planned: Lake, wrong: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        explain(planned, wrong)


def test_no_order_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No order has been proposed yet"):
        explain(
            Lake(
                SqliteCatalog(tmp_path / "c.sqlite", tmp_path / "lock"), tmp_path / "data", tmp_path / "spill"
            ),
            "PO-1",
        )


def test_one_item_of_an_order_and_the_dearest_lines_of_a_long_one(planned: Lake, of_s1: Explanation) -> None:
    order_id, item = of_s1.order["order_id"], of_s1.items[-1].order["item_id"]
    alone = explain(planned, order_id, item)
    assert alone.to_dict()["lines"] == of_s1.to_dict()["lines"][-1:]
    with pytest.raises(InputError, match=f"{order_id} has no line for item 'nonsense'"):
        explain(planned, order_id, "nonsense")
    [line] = alone.to_dict()["lines"]
    many = [
        line
        | {"order": line["order"] | {"line_number": n, "item_id": f"I{n}"}}
        | {"cost": line["cost"] | {"goods_cost": float(n)}}
        for n in range(1, 31)
    ]
    text = order_lines(of_s1.to_dict() | {"lines": many})
    told = [row.split()[-1] for row in text if " Item I" in row]
    assert told == [f"I{n}" for n in range(11, 31)]
    assert "20 dearest lines. For one of the other 10: --item CODE" in text[-1]


def test_a_plan_of_an_older_version_is_told_without_what_it_did_not_say(of_s1: Explanation) -> None:
    told = of_s1.to_dict()
    legacy = told["lines"][0]["legacy"]
    for name in legacy:
        if name.endswith(("per_year", "fill_rate")) or name == "weekly_review_order_up_to_units":
            legacy[name] = None
    text = "\n".join(order_lines(told))
    assert "weekly review: order 168 now\n" in text and "EUR a year" not in text and "None" not in text
