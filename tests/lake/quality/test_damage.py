"""Forty-odd kinds of damage at once, each found under its own name, with its rows counted and shown."""

import json

import pytest

from lake.errors import GateFailed
from lake.releases import GateRun, current_release, gate_results
from tests.lake.quality.house import House, new_house

DAMAGE = """
INSERT INTO lake.raw.sales SELECT 'SO0', '1', DATE '2026-03-01', 'L0', 'I0', 9, 2.5, 'card', 'd1', 'sales.csv', NULL, 2, TIMESTAMP '2026-03-11';
UPDATE lake.raw.sales SET order_id = 'X-7' WHERE _line = 9;
UPDATE lake.raw.sales SET location_id = NULL WHERE _line IN (10, 11);
UPDATE lake.raw.sales SET quantity = -501 WHERE _line = 12;
UPDATE lake.raw.sales SET quantity = 5001 WHERE _line = 13;
UPDATE lake.raw.sales SET unit_price = -0.01 WHERE _line = 14;
UPDATE lake.raw.sales SET unit_price = 0 WHERE _line = 15;
UPDATE lake.raw.sales SET payment = 'shells' WHERE _line IN (16, 17, 18);
UPDATE lake.raw.sales SET payment = 'it''s cash' WHERE _line = 19;
UPDATE lake.raw.sales SET item_id = 'I9' WHERE _line = 20;
UPDATE lake.raw.sales SET order_date = DATE '2026-03-04' WHERE order_date = DATE '2026-03-05';
INSERT INTO lake.raw.items SELECT * FROM lake.raw.items WHERE item_id = 'I1';
INSERT INTO lake.core.dim_item SELECT * FROM lake.core.dim_item WHERE item_id = 'I1';
UPDATE lake.core.dim_location SET replenished_from = 'L7' WHERE location_id = 'L1';
DELETE FROM lake.core.dim_calendar WHERE calendar_date = DATE '2026-05-05';
UPDATE lake.core.dim_supplier_item SET pack_size_units = 0 WHERE item_id = 'I0';
UPDATE lake.core.fct_sales_order_line SET line_class = 'gift' WHERE _line = 2;
UPDATE lake.core.fct_sales_order_line SET unit_price = -1 WHERE _line IN (3, 4);
UPDATE lake.core.fct_demand SET demand_units = -1 WHERE demand_date = DATE '2026-03-02' AND item_id = 'I0';
UPDATE lake.core.fct_demand SET item_id = 'I77' WHERE demand_date = DATE '2026-03-03' AND item_id = 'I0' AND location_id = 'L0';
UPDATE lake.core.fct_inventory SET on_hand_units = -3 WHERE item_id = 'I1';
UPDATE lake.core.fct_inventory SET snapshot_date = DATE '2026-02-20';
UPDATE lake.core.fct_purchase_order_line SET supplier_id = 'S9';
UPDATE lake.core.fct_goods_receipt SET purchase_order_id = 'PO9';
UPDATE lake.core.fct_shipment SET delivered_at = TIMESTAMP '2026-03-01';
UPDATE lake.core.fct_freight_rate SET rate_per_kg = -0.5;
UPDATE lake.core.fct_price SET unit_price = NULL;
INSERT INTO lake.core.fct_promotion VALUES ('P1', 'I0', NULL, DATE '2026-03-05', DATE '2026-03-04', 1.2);
INSERT INTO lake.marts.as_of VALUES (DATE '2026-03-10');
UPDATE lake.marts.item_location_day SET unit_price = -2.5 WHERE day = DATE '2026-03-10' AND item_id = 'I0';
UPDATE lake.marts.item_location_feature SET zero_share_28 = 1.5 WHERE day = DATE '2026-03-09' AND item_id = 'I0' AND location_id = 'L0';
DELETE FROM lake.marts.item_location_day WHERE day = DATE '2026-03-04' AND item_id = 'I1' AND location_id = 'L1';
UPDATE lake.marts.item_location_future SET day = DATE '2026-03-10' WHERE item_id = 'I0';
UPDATE lake.marts.supplier_lead_time SET on_time_share = 1.5;
UPDATE lake.marts.item_location_day SET known_at = TIMESTAMP '2062-03-10' WHERE day = DATE '2026-03-08' AND item_id = 'I0';
UPDATE lake.marts.inventory_position SET on_order_units = NULL WHERE item_id = 'I0';
INSERT INTO lake.marts.supply_option SELECT * FROM lake.marts.supply_option WHERE item_id = 'I0';
UPDATE lake.meta.delivery SET rows_read = 4 WHERE delivery_id = 'd2';
UPDATE lake.meta.delivery SET loaded = 1 WHERE delivery_id = 'd3';
DELETE FROM lake.meta.quarantine;
INSERT INTO lake.core.unconverted_row VALUES ('purchase_order_line', 'orders', 2, 'missing_rate', 'no rate of USD');
INSERT INTO lake.core.unconverted_row VALUES ('sales_order_line', 'sales', 2, 'missing_rate', 'no rate of USD');
UPDATE lake.core.fct_purchase_order SET is_tied = false, line_count = 0, waiting_lines = 1;
UPDATE lake.core.dim_location SET unknown_time_zone = 'Mars/Phobos' WHERE location_id = 'L1';
"""

LINES = [
    r"raw.sales.order_id: 1 row not matching SO\d{1,6}(?:-[AB])? (stop)",
    "raw.sales.location_id: 2 rows without a value (stop)",
    "raw.sales.quantity: 2 rows below -500 or above 5,000 (stop)",
    "raw.sales.unit_price: 1 row below 0 (stop)",
    "raw.sales: 1 row against the check 'has no free tools' (stop)",
    "raw.sales.payment: 3 rows not one of card, it's cash (stop)",
    "raw.sales.item_id: 1 row not in raw.items.item_id (warn)",
    "raw.sales.order_date: 2026-03-05 is missing (warn)",
    "raw.sales: 2 rows repeating order_id + order_line + _known_at + _delivery_id (warn)",
    "raw.sales.order_id: 2 rows repeating order_id (warn)",
    "raw.sales: sales.csv: the ledger says 120 rows loaded, the table holds 121 (stop)",
    "raw.items.item_id: 2 rows repeating item_id (stop)",
    "raw.items: items.csv: the ledger says 2 rows loaded, the table holds 3 (stop)",
    "core.dim_item.item_id: 2 rows repeating item_id (stop)",
    "core.dim_location.replenished_from: 1 row not in core.dim_location.location_id (stop)",
    "core.dim_calendar: 129 days from 2026-03-01 to 2026-07-08; the calendar ends before 2026-07-08 or has gaps",
    "core.dim_supplier_item.pack_size_units: 1 row below 1 (stop)",
    "core.fct_sales_order_line.line_class: 1 row not one of sale, return, cancellation, adjustment, non_product (stop)",
    "core.fct_sales_order_line: 2 rows with a price below 0 (stop)",
    "core.fct_demand.demand_units: 2 rows below 0 (stop)",
    "core.fct_demand.item_id: 1 row not in core.dim_item.item_id (stop)",
    "core.fct_inventory.on_hand_units: 2 rows below 0 (stop)",
    "core.fct_inventory.snapshot_date: the newest snapshot_date is 2026-02-20, 18 days before 2026-03-10; at most 7 are allowed",
    "core.fct_purchase_order_line.supplier_id: 1 row not in core.dim_supplier.supplier_id (stop)",
    "core.fct_goods_receipt: 1 row whose purchase order line is not known (warn)",
    "core.fct_shipment: 1 row delivered before departure (warn)",
    "core.fct_freight_rate.rate_per_kg: 1 row below 0 (stop)",
    "core.fct_price.unit_price: 1 row without a value (stop)",
    "core.fct_promotion.discount_share: 1 row below 0 or above 1 (stop)",
    "core.fct_promotion: 1 row with an end before the start (stop)",
    "core.unconverted_row: 1 of 2 rows of purchase_order_line have no factor or rate (stop)",
    "core.unconverted_row: 2 rows, 0 to 0 expected (warn)",
    "core.dim_location: 1 row whose time zone nobody knows: the company's counts (warn)",
    "marts.as_of: 2 rows, 1 to 1 expected (stop)",
    "marts.item_location_day.unit_price: 2 rows below 0 (stop)",
    "marts.item_location_feature.zero_share_28: 1 row below 0 or above 1 (stop)",
    "marts.item_location_day: I1 at L1 has 9 days from 2026-03-01 to 2026-03-10",
    "marts.item_location_day: 234 units of demand; core.fct_demand has",
    "marts.item_location_future: 1 row on or before as_of (stop)",
    "marts.item_location_day.known_at: 2 rows known more than 31 days after as_of (stop)",
    "marts.supplier_lead_time.on_time_share: 1 row below 0 or above 1 (stop)",
    "marts.inventory_position.on_order_units: 1 row without a value (stop)",
    "marts.supply_option: 2 rows repeating item_id + location_id + supplier_id + freight_mode (stop)",
    "meta.delivery: 1 row where rows_read is not loaded + quarantined + duplicate + unchanged (stop)",
    "meta.delivery: 1 row not loaded and yet with rows (stop)",
    "meta.delivery: sales.csv of sales: the ledger counts 1 rows in quarantine, 0 are there (stop)",
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = new_house(tmp_path_factory.mktemp("damaged"))
    house.execute(DAMAGE)
    return house


@pytest.fixture(scope="module")
def run(house: House) -> GateRun:
    return house.gate()


@pytest.mark.parametrize("line", LINES)
def test_damage_is_named(run: GateRun, line: str) -> None:
    assert any(found.startswith(line) for found in run.summary()), "\n".join(run.summary())


def test_nothing_else_is_accused(run: GateRun) -> None:
    others = [found for found in run.summary()[1:] if not any(found.startswith(line) for line in LINES)]
    assert others == []


def test_nothing_could_not_run(run: GateRun) -> None:
    assert run.count("error") == 0
    assert not run.passed
    assert run.release is None


def test_a_sample_names_file_and_line_and_no_more_than_it_has_to(run: GateRun) -> None:
    found = next(r for r in run.problems() if r.table_name == "raw.sales" and r.column_name == "payment")
    assert found.failing_rows == 3
    assert sorted(row["_line"] for row in found.sample) == [16, 17, 18]
    assert {row["_file"] for row in found.sample} == {"sales.csv"}
    assert set(found.sample[0]) == {"order_id", "order_line", "payment", "_file", "_sheet", "_line"}


def test_results_are_in_the_lake_problems_first(house: House, run: GateRun) -> None:
    stored = gate_results(house.lake)
    assert {r.line() for r in stored} == {r.line() for r in run.results}
    assert [r.outcome for r in stored] == sorted(
        (r.outcome for r in stored), key=["error", "failed", "warned", "passed"].index
    )
    assert gate_results(house.lake, run.gate_run_id) == stored
    assert gate_results(house.lake, "gate-99") == []
    json.dumps([vars(r) for r in stored])


def test_downstream_stops(house: House, run: GateRun) -> None:
    with pytest.raises(GateFailed, match=r"gate-1 failed.*and [0-9]+ more") as caught:
        current_release(house.lake)
    assert caught.value.exit_code == 3


def test_a_failed_gate_stays_failed_on_the_same_data(house: House, run: GateRun) -> None:
    again = house.gate()
    assert again.is_standing
    assert again.gate_run_id == run.gate_run_id
    assert not again.passed
    assert again.release is None
