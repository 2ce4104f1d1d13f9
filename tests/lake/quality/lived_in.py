"""A small shop with a past, in memory: ten weeks of raw and core, right until damaged; with the contracts of raw."""

from dataclasses import replace

import duckdb

from lake.contracts.model import Check, Column, Contract, KnownAt
from tests.lake.quality.house import GOOD, ITEMS, SALES

FIRST, LAST, DAYS = "2026-01-01", "2026-03-10", 69

_SALES = f"""
CREATE TABLE lake.raw.sales AS SELECT 'SO' || i AS order_id, '1' AS order_line, day AS order_date,
    day + INTERVAL 1 HOUR * (9 + i % 9) AS sold_at, 'L' || (i % 4) AS location_id, 'I' || ((i // 4) % 8) AS item_id,
    CASE WHEN hash(i) % 101 = 7 THEN -1 ELSE 1 + (hash(i) % 5)::BIGINT + 8 * (hash(i + 1) % 12 = 0)::BIGINT END AS quantity,
    CAST((2 + 3 * ((i // 4) % 8)) * CASE WHEN hash(i + 2) % 15 = 0 THEN 0.8 ELSE 1 END AS DECIMAL(18, 4)) AS unit_price, 'EUR' AS currency,
    ['card', 'card', 'cash', 'voucher'][1 + (hash(i + 3) % 4)::INTEGER] AS payment,
    CASE WHEN hash(i + 4) % 5 > 0 THEN 'C' || (i % 50) END AS customer, CASE WHEN hash(i) % 9 = 0 THEN 'gift' END AS remark,
    'd1' AS _delivery_id, 'sales.csv' AS _file, NULL::VARCHAR AS _sheet, i + 2 AS _line, day + INTERVAL 26 HOUR AS _known_at
FROM (SELECT row_number() OVER (ORDER BY d, n) - 1 AS i, d::DATE AS day FROM generate_series(DATE '{FIRST}', DATE '{LAST}', INTERVAL 1 DAY) t(d),
    range(192) s(n) WHERE n < 128 + 64 * (isodow(d) = 6)::INTEGER);
CREATE TABLE lake.raw.stock AS SELECT day AS counted_on, 'L' || l AS location_id, 'I' || i AS item_id,
    20 + (hash(i, l, day) % 60)::BIGINT AS on_hand, 'd4' AS _delivery_id, 'stock.csv' AS _file, NULL::VARCHAR AS _sheet,
    row_number() OVER (ORDER BY day, l, i) + 1 AS _line, day + INTERVAL 1 DAY AS _known_at
FROM (SELECT d::DATE AS day FROM generate_series(DATE '{FIRST}', DATE '{LAST}', INTERVAL 1 DAY) t(d)), range(4) a(l), range(8) b(i);
CREATE TABLE lake.raw.orders AS SELECT 'PO' || i AS po_id, '1' AS po_line, DATE '{FIRST}' + (i // 6)::INTEGER AS ordered_on,
    'S' || (i % 3) AS supplier_id, 'I' || (i % 8) AS item_id, 20 + 5 * (hash(i) % 5)::BIGINT AS ordered, CAST(1 + 2 * (i % 8) AS DECIMAL(18, 4)) AS unit_price,
    'd5' AS _delivery_id, 'orders.csv' AS _file, NULL::VARCHAR AS _sheet, i + 2 AS _line, DATE '{FIRST}' + (i // 6)::INTEGER + INTERVAL 30 HOUR AS _known_at
FROM range(6 * {DAYS}) t(i);
"""
_MATCHING = """
CREATE TABLE lake.staging.crosswalk AS SELECT 'item' AS kind, 'erp' AS system, 'I' || i AS code, 'I' || i AS conformed_id,
    NULL::DATE AS valid_from, NULL::DATE AS valid_to, 'master' AS method FROM range(8) t(i);
CREATE TABLE lake.staging.unmatched_value AS SELECT 'item' AS kind, 'erp' AS system, 10.0 AS unmatched_value, 1000.0 AS value, 0.02 AS maximum_share;
"""
_AFTER = f"""
INSERT INTO lake.meta.delivery SELECT * REPLACE ('d4' AS delivery_id, 'stock' AS dataset, 'stock.csv' AS file_name) FROM lake.meta.delivery WHERE delivery_id = 'd1';
INSERT INTO lake.meta.delivery SELECT * REPLACE ('d5' AS delivery_id, 'orders' AS dataset, 'orders.csv' AS file_name) FROM lake.meta.delivery WHERE delivery_id = 'd1';
UPDATE lake.meta.delivery SET loaded = n, rows_read = n + quarantined + duplicate FROM (SELECT 'd1' AS id, count(*) AS n FROM lake.raw.sales
    UNION ALL SELECT 'd2', count(*) FROM lake.raw.items UNION ALL SELECT 'd4', count(*) FROM lake.raw.stock
    UNION ALL SELECT 'd5', count(*) FROM lake.raw.orders) WHERE delivery_id = id;
UPDATE lake.meta.delivery SET rows_read = loaded, quarantined = 0, duplicate = 0, unchanged = 0 WHERE delivery_id <> 'd3';
DELETE FROM lake.meta.quarantine;
INSERT INTO lake.core.dim_location SELECT 'L' || i, 'Store', 'store', 'north', 'L0', 'L0', NULL, false FROM range(2, 4) t(i);
INSERT INTO lake.core.dim_supplier SELECT 'S' || i, 'Supplier', 'GB', false FROM (VALUES (0), (2)) t(i);
CREATE OR REPLACE TABLE lake.core.dim_calendar AS SELECT d::DATE AS calendar_date, isodow(d)::INTEGER AS day_of_week, false AS is_weekend,
    d = DATE '2026-03-09' AS is_holiday FROM generate_series(DATE '{FIRST}', DATE '{LAST}' + 120, INTERVAL 1 DAY) t(d);
CREATE OR REPLACE TABLE lake.core.fct_inventory AS SELECT item_id, location_id, counted_on AS snapshot_date, on_hand AS on_hand_units,
    false AS is_assumed, _known_at AS known_at FROM lake.raw.stock;
CREATE OR REPLACE TABLE lake.core.fct_purchase_order_line AS SELECT po_id AS purchase_order_id, po_line AS purchase_order_line, supplier_id, item_id,
    'L0' AS location_id, ordered_on, ordered_on + 7 AS expected_on, ordered AS ordered_units, ordered AS received_units, 0 AS open_units,
    ordered_on + 6 AS first_received_on, 6 AS lead_time_days, unit_price, _known_at AS known_at, _file, _line FROM lake.raw.orders;
CREATE OR REPLACE TABLE lake.core.fct_goods_receipt AS SELECT 'R' || purchase_order_id AS receipt_id, '1' AS receipt_line, purchase_order_id,
    purchase_order_line, first_received_on AS received_on, received_units, 0 AS rejected_units,
    received_units AS stocked_units FROM lake.core.fct_purchase_order_line;
"""


def _column(name: str, kind: str = "string", **more: object) -> Column:
    return Column(name, name, kind, **more)  # type: ignore[arg-type]


DAILY = Check("has every day", "no_missing_days", "warn")
FRESH = Check("is fresh", "freshness_days", "warn", maximum=3)
LIVED_SALES = replace(
    SALES,
    columns=(
        _column("order_id", key=True, pattern=r"SO\d{1,6}"), _column("order_line", key=True),
        _column("order_date", "date", required=True), _column("sold_at", "timestamp", required=True),
        _column("location_id", required=True, references="places.location_id", pattern=r"L\d"),
        _column("item_id", required=True, references="items.item_id", pattern=r"I\d+"),
        _column("quantity", "integer", required=True, minimum=-500, maximum=50_000, unit="units"),
        _column("unit_price", "number", required=True, scale=4, minimum=0, unit="EUR"),
        _column("currency", required=True), _column("payment", required=True, allowed=("card", "cash", "voucher", "bank")),
        _column("customer", pattern=r"C\d+"), _column("remark"),
    ),
    mapping=(("item_id", "item_id"),), known_at=KnownAt(column="order_date", delay_days=1), checks=(DAILY, FRESH),
)  # fmt: skip
STOCK = replace(
    LIVED_SALES, dataset="stock", business_date="counted_on", known_at=KnownAt(column="counted_on", delay_days=1),
    columns=(
        _column("counted_on", "date", key=True), _column("location_id", key=True, references="places.location_id"),
        _column("item_id", key=True, references="items.item_id"), _column("on_hand", "integer", required=True, minimum=0, unit="units"),
    ),
)  # fmt: skip
ORDERS = replace(
    LIVED_SALES, dataset="orders", business_date="ordered_on", known_at=KnownAt(column="ordered_on", delay_days=1),
    columns=(
        _column("po_id", key=True, pattern=r"PO\d+"), _column("po_line", key=True), _column("ordered_on", "date", required=True),
        _column("supplier_id", required=True, references="sellers.supplier_id"), _column("item_id", required=True, references="items.item_id"),
        _column("ordered", "integer", required=True, minimum=0, unit="units"), _column("unit_price", "number", scale=4, minimum=0, unit="EUR"),
    ),
)  # fmt: skip
CONTRACTS: tuple[Contract, ...] = (LIVED_SALES, ITEMS, STOCK, ORDERS)


def move_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the shop in a catalog `lake` of the connection."""
    ledger, _, rest = GOOD.partition("CREATE TABLE lake.raw.items")
    items, _, derived = rest.partition("CREATE TABLE lake.core.dim_item")
    items = items.partition("CREATE TABLE lake.raw.sales")[0].replace("range(2)", "range(8)")
    places = "CREATE TABLE lake.raw.places AS SELECT 'L' || i AS location_id FROM range(5) t(i);"
    sellers = "CREATE TABLE lake.raw.sellers AS SELECT 'S' || i AS supplier_id FROM range(4) t(i);"
    connection.execute("ATTACH ':memory:' AS lake")
    for schema in ("meta", "raw", "staging", "core", "marts"):
        connection.execute(f"CREATE SCHEMA lake.{schema}")
    connection.execute(ledger)
    connection.execute(_MATCHING)
    connection.execute(f"CREATE TABLE lake.raw.items{items}{places}{sellers}{_SALES}")
    connection.execute(f"CREATE TABLE lake.core.dim_item{derived}")
    connection.execute(_AFTER)
