"""A whole small lake for the gate's tests: every table of docs/architecture.md, made by SQL, good until damaged."""

from dataclasses import dataclass, replace
from pathlib import Path

from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.contracts.model import Check, Column, Contract, Location
from lake.quality.gate import run_gate
from lake.releases import GateResult, GateRun

GOOD = """
CREATE TABLE lake.meta.delivery AS FROM (VALUES
    ('d1', 'run-1', 'sales', 'sales.csv', 'aa', 1000, 'loaded', 123, 120, 1, 2, 0, NULL, TIMESTAMP '2026-03-11 01:00:00'),
    ('d2', 'run-1', 'items', 'items.csv', 'bb', 100, 'loaded', 3, 2, 0, 0, 1, NULL, TIMESTAMP '2026-03-11 01:00:00'),
    ('d3', 'run-1', 'sales', 'sales.csv', 'aa', 1000, 'duplicate_delivery', 0, 0, 0, 0, 0, 'known', TIMESTAMP '2026-03-11 02:00:00')
) t(delivery_id, run_id, dataset, file_name, content_sha256, size_bytes, status, rows_read, loaded, quarantined, duplicate,
    unchanged, reason, loaded_at);
CREATE TABLE lake.meta.quarantine AS SELECT 'q1' AS quarantine_id, 'd1' AS delivery_id, 'sales' AS dataset, 7 AS line;

CREATE TABLE lake.raw.items AS SELECT 'I' || i AS item_id, 'item ' || i AS item_name, 'd2' AS _delivery_id,
    'items.csv' AS _file, NULL::VARCHAR AS _sheet, i + 2 AS _line, TIMESTAMP '2026-03-01' AS _known_at FROM range(2) t(i);
CREATE TABLE lake.raw.sales AS SELECT 'SO' || i AS order_id, '1' AS order_line, DATE '2026-03-01' + (i // 12)::INTEGER AS order_date,
    'L' || (i % 2) AS location_id, 'I' || ((i // 2) % 2) AS item_id, 1 + i % 3 AS quantity, 2.5::DECIMAL(18, 4) AS unit_price,
    'card' AS payment, 'd1' AS _delivery_id, 'sales.csv' AS _file, NULL::VARCHAR AS _sheet, i + 2 AS _line,
    TIMESTAMP '2026-03-11' AS _known_at FROM range(120) t(i);

CREATE TABLE lake.core.dim_item AS SELECT item_id, item_name, 'tools' AS category, 1.5 AS unit_weight_kg, 3.0 AS list_price,
    DATE '2025-01-01' AS introduced_on, false AS is_discontinued, false AS is_assumed FROM lake.raw.items;
CREATE TABLE lake.core.dim_location AS FROM (VALUES ('L0', 'Centre', 'distribution_centre', 'north', NULL, 'L0', NULL::VARCHAR, false),
    ('L1', 'Store', 'store', 'north', 'L0', 'L0', NULL::VARCHAR, false)) t(location_id, location_name, location_type, region,
    replenished_from, purchasing_location_id, unknown_time_zone, is_assumed);
CREATE TABLE lake.core.dim_working_day AS SELECT 'company' AS working_calendar, DATE '2026-03-01' AS calendar_date,
    true AS is_working_day, 1 AS working_day_number;
CREATE TABLE lake.core.dim_supplier AS SELECT 'S1' AS supplier_id, 'Smith' AS supplier_name, 'GB' AS country, false AS is_assumed;
CREATE TABLE lake.core.dim_calendar AS SELECT d::DATE AS calendar_date, isodow(d)::INTEGER AS day_of_week, false AS is_weekend, false AS is_holiday
    FROM generate_series(DATE '2026-03-01', DATE '2026-03-10' + 120, INTERVAL 1 DAY) t(d);
CREATE TABLE lake.core.dim_supplier_item AS SELECT 'S1' AS supplier_id, item_id, 7 AS lead_time_days, 10 AS minimum_order_units,
    5 AS pack_size_units, 1.5 AS unit_price, true AS is_preferred, DATE '2025-01-01' AS valid_from, false AS is_assumed
    FROM lake.core.dim_item;
CREATE TABLE lake.core.fct_sales_order_line AS SELECT order_id, order_line, order_date::TIMESTAMP AS sold_at, order_date AS sold_on,
    location_id, item_id, quantity AS quantity_units, unit_price, quantity * unit_price AS revenue, 'sale' AS line_class,
    true AS counts_as_demand, _known_at AS known_at, _file, _line FROM lake.raw.sales;
CREATE TABLE lake.core.fct_demand AS SELECT item_id, location_id, sold_on AS demand_date, sum(quantity_units)::BIGINT AS demand_units,
    sum(quantity_units)::BIGINT AS sold_units, 0 AS returned_units, sum(revenue) AS revenue, count(*) AS line_count,
    max(known_at) AS known_at FROM lake.core.fct_sales_order_line GROUP BY ALL;
CREATE TABLE lake.core.fct_inventory AS SELECT item_id, location_id, DATE '2026-03-10' AS snapshot_date, 40 AS on_hand_units,
    false AS is_assumed, TIMESTAMP '2026-03-11' AS known_at FROM lake.core.dim_item, (SELECT location_id FROM lake.core.dim_location);
CREATE TABLE lake.core.fct_purchase_order_line AS SELECT 'PO1' AS purchase_order_id, '1' AS purchase_order_line, 'S1' AS supplier_id,
    'I0' AS item_id, 'L0' AS location_id, DATE '2026-03-02' AS ordered_on, DATE '2026-03-09' AS expected_on, 20 AS ordered_units,
    5 AS received_units, 15 AS open_units, DATE '2026-03-08' AS first_received_on, 6 AS lead_time_days, 1.5 AS unit_price,
    TIMESTAMP '2026-03-09' AS known_at, 'po.csv' AS _file, 2 AS _line;
CREATE TABLE lake.core.fct_goods_receipt AS SELECT 'R1' AS receipt_id, '1' AS receipt_line, 'PO1' AS purchase_order_id,
    '1' AS purchase_order_line, DATE '2026-03-08' AS received_on, 5 AS received_units, 1 AS rejected_units, 4 AS stocked_units;
CREATE TABLE lake.core.fct_purchase_order AS SELECT 'PO1' AS purchase_order_id, 'S1' AS supplier_id, DATE '2026-03-02' AS ordered_on,
    30.0 AS goods_amount, 3.0 AS tax_amount, 2.0 AS freight_amount, 35.0 AS total_amount, 1 AS line_count, 0 AS waiting_lines,
    true AS is_tied;
CREATE TABLE lake.core.fct_bill_of_material AS SELECT 'I0' AS assembly_item_id, 'I1' AS component_item_id, DATE '2026-01-01' AS valid_from,
    NULL::DATE AS valid_to, 2.0 AS quantity_per_assembly, 1 AS level;
CREATE TABLE lake.core.fct_shipment AS SELECT 'SH1' AS shipment_id, TIMESTAMP '2026-03-04' AS departed_at,
    TIMESTAMP '2026-03-08' AS delivered_at, 'S1' AS origin, 'L0' AS destination, 'C' AS carrier, 'road' AS mode, 12.5 AS weight_kg;
CREATE TABLE lake.core.fct_freight_rate AS SELECT 'S1' AS origin, 'L0' AS destination, 'road' AS mode, DATE '2026-01-01' AS valid_from,
    0.5 AS rate_per_kg, 20 AS minimum_charge, 0.12 AS fuel_surcharge_share, false AS is_assumed;
CREATE TABLE lake.core.fct_price AS SELECT 'I0' AS item_id, NULL::VARCHAR AS location_id, DATE '2026-01-01' AS valid_from, 2.5 AS unit_price;
CREATE TABLE lake.core.fct_promotion (promotion_id VARCHAR, item_id VARCHAR, location_id VARCHAR, starts_on DATE, ends_on DATE,
    discount_share DECIMAL(18, 6));
CREATE TABLE lake.core.fct_stock_count (counted_on DATE, location_id VARCHAR, item_id VARCHAR, counted_units BIGINT);

CREATE TABLE lake.core.fct_inventory_movement AS SELECT 'M1' AS movement_id, 'receipt' AS movement_type, DATE '2026-03-08' AS moved_on,
    'L0' AS location_id, 'I0' AS item_id, 5 AS moved_units, 'R1' AS reference_id;
CREATE TABLE lake.core.fct_supplier_invoice_line AS SELECT 'S1' AS supplier_id, 'V1' AS invoice_id, '1' AS invoice_line,
    DATE '2026-03-09' AS invoiced_on, 'PO1' AS purchase_order_id, '1' AS purchase_order_line, 'I0' AS item_id, 5 AS invoiced_units,
    1.5 AS unit_price, 7.5 AS amount;
CREATE TABLE lake.core.fct_shipment_leg AS SELECT 'SH1' AS shipment_id, 1 AS leg_number, 'transit' AS leg_type,
    TIMESTAMP '2026-03-04' AS started_at, 96.0 AS leg_hours, NULL::VARCHAR AS missing_event, false AS is_out_of_order;
CREATE TABLE lake.core.fct_freight_cost AS SELECT 'SH1' AS shipment_id, 'I0' AS item_id, 5 AS units, 12.5 AS weight_kg,
    20.0 AS shipment_freight_cost, 20.0 AS freight_cost, NULL::VARCHAR AS gap;
CREATE TABLE lake.core.dim_item_history AS SELECT item_id, TIMESTAMP '2025-01-01' AS valid_from, NULL::TIMESTAMP AS valid_to,
    true AS is_current FROM lake.core.dim_item;
CREATE TABLE lake.core.dim_supplier_history AS SELECT 'S1' AS supplier_id, TIMESTAMP '2025-01-01' AS valid_from,
    NULL::TIMESTAMP AS valid_to, true AS is_current;
CREATE TABLE lake.core.dim_supplier_item_history AS SELECT supplier_id, item_id, valid_from::TIMESTAMP AS valid_from,
    NULL::TIMESTAMP AS valid_to, true AS is_current, lead_time_days, unit_price FROM lake.core.dim_supplier_item;
CREATE TABLE lake.core.dim_unit_conversion AS SELECT 'I0' AS item_id, 'CS' AS from_unit, 'EA' AS to_unit, 12::DECIMAL(18, 6) AS factor,
    DATE '2025-01-01' AS valid_from, DATE '9999-12-31' AS valid_to, TIMESTAMP '2025-01-01' AS known_at;
CREATE TABLE lake.core.fct_exchange_rate AS SELECT 'USD' AS currency, DATE '2026-03-01' AS valid_on, DATE '2026-03-08' AS valid_to,
    0.9::DECIMAL(18, 8) AS rate, TIMESTAMP '2026-03-01' AS known_at;
CREATE TABLE lake.core.unconverted_row (entity VARCHAR, dataset VARCHAR, line BIGINT, rule VARCHAR, message VARCHAR);
CREATE TABLE lake.core.fct_signal AS SELECT 'weather' AS series, NULL::VARCHAR AS item_id, NULL::VARCHAR AS location_id,
    'north' AS region, DATE '2026-03-09' AS observed_for, TIMESTAMP '2026-03-09 05:00:00' AS published_at, 0 AS horizon_days,
    0.5::DECIMAL(18, 6) AS value;

CREATE TABLE lake.marts.signal_day AS SELECT series, item_id, location_id, region, observed_for AS day, value,
    published_at AS known_at, TIMESTAMP '2026-03-10' AS as_of_ts FROM lake.core.fct_signal;
CREATE TABLE lake.marts.as_of AS SELECT DATE '2026-03-10' AS as_of;
CREATE TABLE lake.marts.stock_break (item_id VARCHAR, location_id VARCHAR, first_seen_on DATE, break_units BIGINT, age_days INTEGER,
    settled_on DATE);
CREATE TABLE lake.marts.purchase_order_match AS SELECT 'PO1' AS purchase_order_id, '1' AS purchase_order_line,
    NULL::VARCHAR AS invoice_id, NULL::VARCHAR AS invoice_line, 20 AS ordered_units, 5 AS received_units, 5 AS invoiced_units,
    0.0 AS overcharged_amount, 'open' AS match_status;
CREATE TABLE lake.marts.lead_time_distribution AS SELECT 'supplier' AS level, 'first_receipt' AS measure, 'S1' AS supplier_id,
    NULL::VARCHAR AS item_id, NULL::VARCHAR AS origin, NULL::VARCHAR AS destination, NULL::VARCHAR AS mode, 1 AS n, 0 AS n_censored,
    'supplier' AS basis, 5.6 AS p10_days, 6.0 AS p50_days, 6.4 AS p90_days, 6.45 AS p95_days, 6.0 AS mean_days,
    0.0 AS never_arrived_share;
CREATE TABLE lake.marts.reconciliation AS SELECT 'source to raw' AS step, 'sales' AS subject, 0 AS unexplained_rows,
    0 AS unexplained_units, 0.0 AS unexplained_money;
CREATE TABLE lake.marts.item_location_day AS SELECT item_id, location_id, demand_date AS day, demand_date + INTERVAL 1 DAY AS as_of_ts,
    known_at, demand_units, 40 AS on_hand_units, false AS is_stockout, 2.5::DECIMAL(18, 4) AS unit_price,
    0.0 AS discount_share, false AS is_promoted, demand_units::DOUBLE AS unconstrained_demand_units, 'observed' AS demand_method
    FROM lake.core.fct_demand;
CREATE TABLE lake.marts.stockout_day (item_id VARCHAR, location_id VARCHAR, day DATE, is_partial BOOLEAN, sold_units BIGINT,
    expected_units DOUBLE, unconstrained_demand_units DOUBLE, method VARCHAR);
CREATE TABLE lake.marts.item_location_future AS SELECT item_id, 'L0' AS location_id, DATE '2026-03-11' AS day, 2.5 AS unit_price,
    0.0 AS discount_share, false AS is_promoted, TIMESTAMP '2026-03-11' AS known_at FROM lake.core.dim_item;
CREATE TABLE lake.marts.supplier_lead_time AS SELECT 'S1' AS supplier_id, DATE '2026-03-08' AS day, TIMESTAMP '2026-03-09' AS as_of_ts,
    TIMESTAMP '2026-03-09' AS known_at, 6.0 AS lead_time_mean_days, 0.0 AS lead_time_std_days, 6.0 AS lead_time_p90_days, 0.0 AS late_mean_days,
    1.0 AS on_time_share, 1 AS receipts;
CREATE TABLE lake.marts.item_location_feature AS SELECT item_id, location_id, demand_date AS day, demand_date + INTERVAL 1 DAY AS as_of_ts,
    demand_date + INTERVAL 1 DAY AS known_at, demand_units, 3.0 AS lag_7, 3.0 AS lag_14, 3.0 AS lag_28, 3.0 AS mean_7, 3.0 AS mean_28,
    3.0 AS mean_91, 1.0 AS std_28, 3 AS median_28, 4 AS p90_28, 0.0 AS zero_share_28, 1.0 AS demand_interval_91, 1 AS days_since_last_sale,
    2.5::DECIMAL(18, 4) AS unit_price, 0.0 AS discount_share, 0.0 AS promoted_share_28, 0 AS on_hand_age_days FROM lake.core.fct_demand;
CREATE TABLE lake.marts.supplier_item_term (supplier_id VARCHAR, item_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP,
    quoted_lead_time_days INTEGER, minimum_order_units INTEGER, pack_size_units INTEGER, unit_cost DECIMAL(18, 4));
CREATE TABLE lake.marts.open_order_day (item_id VARCHAR, location_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP,
    on_order_units BIGINT, open_order_lines BIGINT);
CREATE TABLE lake.marts.lane_freight_rate (supplier_id VARCHAR, location_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP,
    freight_rate_per_kg DOUBLE, minimum_freight_charge DOUBLE, fuel_surcharge_share DOUBLE, freight_modes BIGINT);
CREATE TABLE lake.marts.location_calendar_day (location_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP, day_of_week INTEGER);
CREATE TABLE lake.marts.location_signal_day (location_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP);
CREATE TABLE lake.marts.item_signal_day (item_id VARCHAR, day DATE, as_of_ts TIMESTAMP, known_at TIMESTAMP, competitor_price DOUBLE);
CREATE TABLE lake.marts.inventory_position AS SELECT item_id, 'L0' AS location_id, DATE '2026-03-10' AS as_of, 80 AS on_hand_units,
    0 AS in_transit_units, 15 AS on_order_units, false AS is_assumed FROM lake.core.dim_item;
CREATE TABLE lake.marts.supply_option AS SELECT item_id, 'L0' AS location_id, 'S1' AS supplier_id, 7 AS lead_time_days,
    6.0 AS lead_time_mean_days, 0.0 AS lead_time_std_days, 10 AS minimum_order_units, 5 AS pack_size_units, 1.5 AS unit_price,
    0.7 AS freight_cost_per_unit, 'road' AS freight_mode, true AS is_preferred, false AS is_assumed FROM lake.core.dim_item;
"""

SALES = Contract(
    dataset="sales",
    path=Path("sales.odcs.yaml"),
    version="1.0.0",
    title="Sales",
    description="",
    owner="sales",
    domain="erp",
    location=Location("${INBOX}/sales_*.csv", "csv"),
    columns=(
        Column("order_id", "Order", "string", key=True, pattern=r"SO\d{1,6}(?:-[AB])?"),
        Column("order_line", "Line", "string", key=True),
        Column("order_date", "Date", "date", required=True),
        Column("location_id", "Site", "string", required=True),
        Column("item_id", "Item", "string", required=True, references="items.item_id"),
        Column("quantity", "Qty", "integer", required=True, minimum=-500, maximum=5000, unit="units"),
        Column("unit_price", "Price", "number", scale=4, minimum=0),
        Column("payment", "Payment", "string", allowed=("card", "it's cash")),
    ),
    duplicates="drop",
    business_date="order_date",
    checks=(
        Check("has every day", "no_missing_days", "warn", ("order_date",)),
        Check("is fresh", "freshness_days", "stop", ("order_date",), maximum=3),
        Check("is of a plausible size", "row_count_between", "stop", minimum=100, maximum=10_000),
        Check("has one line per order", "unique", "warn", ("order_id",)),
        Check(
            "has no free tools",
            "sql_no_rows",
            "stop",
            query="select * from {table} where unit_price::double = 0",
        ),
    ),
)
ITEMS = replace(
    SALES,
    dataset="items",
    columns=(Column("item_id", "Item", "string", key=True), Column("item_name", "Name", "string")),
    write_mode="upsert",
    duplicates="keep",
    business_date=None,
    checks=(),
)


@dataclass(frozen=True)
class House:
    """A company with a lake, and the contracts that its gate reads."""

    company: Company
    contracts: tuple[Contract, ...] = (SALES, ITEMS)

    @property
    def lake(self) -> Lake:
        return Lake.of(self.company)

    def execute(self, sql: str) -> None:
        """Write to the lake, in one transaction."""
        with self.lake.write() as connection:
            connection.execute(sql)

    def gate(self) -> GateRun:
        return run_gate(self.company, self.contracts)


def open_house(home: Path) -> House:
    """Return the house whose lake is below `home`, made or not."""
    settings = CompanySettings(title="Small", currency="EUR")
    return House(Company("small", home / "folder", home / "small", settings))


def new_house(home: Path) -> House:
    """Make a lake below `home` in which everything is right."""
    house = open_house(home)
    house.execute(GOOD)
    return house


def problem(run: GateRun, table: str, check: str) -> GateResult:
    """Return the one problem of that table and check; fail if there is none, saying which there are."""
    found = [r for r in run.problems() if r.table_name == table and r.check_name == check]
    assert len(found) == 1, run.summary()
    return found[0]
