"""Mutation test of the gate: damage is done one kind at a time and has to be named; clean variations have to pass.

Every kind is done in a transaction that is taken back, and asked through Great Expectations as `run_gate` does it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pytest

from lake.company import HistorySettings
from lake.connection import memory_connection
from lake.quality import expectations
from lake.quality.expectations import Question, Validator
from lake.quality.rules import Rule
from lake.quality.suites import all_rules
from tests.lake.quality.lived_in import CONTRACTS, move_in

TODAY = "DATE '2026-03-10'"
SALES = "lake.raw.sales"
NEW = f"order_date = {TODAY}"
THE_DAY = f"(SELECT * FROM {SALES} WHERE {NEW})"

# name: (what is done, table that is named, column that is named, text of the finding or number of rows)
DAMAGE: dict[str, tuple[str, str, str, str | int]] = {
    "a null": (f"UPDATE {SALES} SET item_id = NULL WHERE _line IN (100, 200)", "raw.sales", "item_id", 2),
    "a duplicate key": ("INSERT INTO lake.raw.stock SELECT * FROM lake.raw.stock WHERE _line = 9", "raw.stock", "counted_on, location_id, item_id, _known_at, _delivery_id", 2),
    "an orphan": (f"UPDATE {SALES} SET item_id = 'I99' WHERE _line = 90", "raw.sales", "item_id", 1),
    "units x 1000, one item": (f"UPDATE {SALES} SET quantity = quantity * 1000 WHERE {NEW} AND item_id = 'I3'", "raw.sales", "quantity", "of I3 is"),
    "units x 1000, all": (f"UPDATE {SALES} SET quantity = quantity * 1000 WHERE {NEW}", "raw.sales", "quantity", "before from"),
    "currency swapped to yen": (f"UPDATE {SALES} SET unit_price = unit_price * 160 WHERE {NEW}", "raw.sales", "unit_price", "times what each item_id had"),
    "currency swapped to a near one": (f"UPDATE {SALES} SET unit_price = unit_price * 0.86 WHERE {NEW}", "raw.sales", "unit_price", "is 0.86 times"),
    "currency code swapped": (f"UPDATE {SALES} SET currency = 'USD' WHERE {NEW}", "raw.sales", "currency", "no currency EUR"),
    "a day missing": (f"DELETE FROM {SALES} WHERE order_date = DATE '2026-03-06'", "raw.sales", "order_date", "2026-03-06 is missing"),
    "dates shifted by a week": (f"UPDATE {SALES} SET order_date = order_date - 7 WHERE {NEW} AND _line % 2 = 0", "raw.sales", "order_date", "2026-03-10 has"),
    "dates shifted, all": (f"UPDATE {SALES} SET order_date = order_date - 7 WHERE order_date > {TODAY} - 7", "raw.sales", "order_date", "days before 2026-03-10"),
    "dates ahead": (f"UPDATE {SALES} SET order_date = order_date + 30 WHERE {NEW} AND _line % 5 = 0", "raw.sales", "order_date", 25),
    "day and month exchanged": (f"UPDATE {SALES} SET order_date = DATE '2026-10-03' WHERE {NEW}", "raw.sales", "order_date", 128),
    "a frozen feed of stock": ("UPDATE lake.raw.stock AS s SET on_hand = o.on_hand FROM lake.raw.stock AS o WHERE o.counted_on = s.counted_on - 1 AND o.item_id = s.item_id AND o.location_id = s.location_id"
                               f" AND s.counted_on = {TODAY}", "raw.stock", "location_id, item_id, on_hand", "2026-03-10 repeats 2026-03-09"),
    "yesterday's sales again": (f"DELETE FROM {SALES} WHERE {NEW}; INSERT INTO {SALES} SELECT * REPLACE ('SO9' || order_id[4:] AS order_id, {TODAY} AS order_date) FROM {SALES} WHERE order_date = {TODAY} - 1",
                                "raw.sales", "location_id, item_id, quantity, unit_price", "2026-03-10 repeats 2026-03-09"),
    "signs flipped": (f"UPDATE {SALES} SET quantity = -quantity WHERE {NEW}", "raw.sales", "quantity", "quantity mostly from"),
    "a drifted mix": (f"UPDATE {SALES} SET payment = 'cash' WHERE {NEW} AND _line % 5 < 3", "raw.sales", "payment", "% of rows moved"),
    "a truncated file": (f"DELETE FROM {SALES} WHERE {NEW} AND _line % 128 > 50", "raw.sales", "order_date", "where 128 are usual"),
    "a delivery doubled": (f"INSERT INTO {SALES} SELECT * FROM {THE_DAY}", "raw.sales", "order_id, order_line, _known_at, _delivery_id", 256),
    "a delivery doubled under new keys": (f"INSERT INTO {SALES} SELECT * REPLACE ('SO7' || order_id[4:] AS order_id) FROM (SELECT d.* FROM {THE_DAY} AS d, range(3))", "raw.sales", "order_date", "2026-03-10 has 512 rows"),
    "columns swapped": (f"UPDATE {SALES} SET quantity = unit_price, unit_price = abs(quantity) WHERE {NEW}", "raw.sales", "unit_price", "unit_price"),
    "text columns swapped": (f"UPDATE {SALES} SET customer = remark, remark = customer WHERE {NEW}", "raw.sales", "customer", "not matching"),
    "a late feed": (f"DELETE FROM lake.raw.stock WHERE counted_on > {TODAY} - 5", "raw.stock", "counted_on", "5 days before"),
    "prices zeroed": (f"UPDATE {SALES} SET unit_price = 0 WHERE {NEW} AND item_id = 'I5'", "raw.sales", "unit_price", "of I5 is 0"),
    "decimals shifted": (f"UPDATE {SALES} SET unit_price = unit_price * 100 WHERE {NEW} AND item_id = 'I2'", "raw.sales", "unit_price", "of I2 is"),
    "letters garbled": (f"UPDATE {SALES} SET remark = 'caf' || chr(195) || chr(169) WHERE {NEW} AND _line % 4 = 0", "raw.sales", "currency, remark", 32),
    "negative stock": ("UPDATE lake.raw.stock SET on_hand = -4 WHERE _line = 77", "raw.stock", "on_hand", 1),
    "negative stock in core": ("UPDATE lake.core.fct_inventory SET on_hand_units = -1 WHERE item_id = 'I1' AND location_id = 'L0' AND snapshot_date = DATE '2026-03-01'", "core.fct_inventory", "on_hand_units", 1),
    "receipts without orders": ("UPDATE lake.core.fct_goods_receipt SET purchase_order_id = 'PO999' WHERE receipt_id IN ('RPO3', 'RPO4')", "core.fct_goods_receipt", "", 2),
    "receipts that do not go into stock": ("UPDATE lake.core.fct_goods_receipt SET stocked_units = 0 WHERE receipt_id = 'RPO3'", "core.fct_goods_receipt", "", 1),
    "codes that are matched to nothing": ("UPDATE lake.staging.unmatched_value SET unmatched_value = 50", "staging.unmatched_value", "", "5.00 % of the value"),
    "a stale snapshot": ("UPDATE lake.core.fct_inventory SET snapshot_date = snapshot_date - 20", "core.fct_inventory", "snapshot_date", "20 days before 2026-03-10"),
    "a location lost": (f"DELETE FROM {SALES} WHERE order_date > {TODAY} - 3 AND location_id = 'L2'", "raw.sales", "location_id", "no location_id L2"),
    "the case of keys changed": (f"UPDATE {SALES} SET order_id = lower(order_id) WHERE {NEW}", "raw.sales", "order_id", 128),
    "item codes padded": (f"UPDATE {SALES} SET item_id = item_id || ' ' WHERE {NEW} AND item_id = 'I1'", "raw.sales", "item_id", 16),
    "a clock 8 hours off": (f"UPDATE {SALES} SET sold_at = sold_at + INTERVAL 8 HOUR WHERE {NEW}", "raw.sales", "sold_at", "hour of sold_at"),
    "quantities capped": (f"UPDATE {SALES} SET quantity = least(quantity, 1) WHERE {NEW}", "raw.sales", "quantity", "mostly from"),
    "an outlier": (f"UPDATE {SALES} SET quantity = 4000 WHERE {NEW} AND _line % 128 = 3", "raw.sales", "quantity", "is 4000"),
    "a column constant": (f"UPDATE {SALES} SET payment = 'card' WHERE {NEW}", "raw.sales", "payment", "no payment cash"),
    "a category renamed": (f"UPDATE {SALES} SET payment = 'bank' WHERE {NEW} AND payment = 'cash'", "raw.sales", "payment", "no payment cash"),
    "a category unknown": (f"UPDATE {SALES} SET payment = 'cheque' WHERE {NEW} AND payment = 'cash'", "raw.sales", "payment", "not one of"),
    "an optional column emptied": (f"UPDATE {SALES} SET customer = NULL WHERE {NEW}", "raw.sales", "customer, remark", "100 % of customer empty"),
    "rows lost after loading": (f"DELETE FROM {SALES} WHERE _line = 500", "raw.sales", "", "the ledger says"),
    "a delivery that nobody logged": (f"UPDATE {SALES} SET _delivery_id = 'd9' WHERE {NEW}", "raw.sales", "", "d9"),
    "rows read do not add up": ("UPDATE lake.meta.delivery SET rows_read = rows_read + 1 WHERE delivery_id = 'd5'", "meta.delivery", "", 1),
    "purchase prices in cents": (f"UPDATE lake.raw.orders SET unit_price = unit_price * 100 WHERE ordered_on > {TODAY} - 3", "raw.orders", "unit_price", "unit_price"),
    "demand lost on its way to the mart": ("DELETE FROM lake.marts.item_location_day WHERE item_id = 'I2' AND day = DATE '2026-03-02'", "marts.item_location_day", "", "core.fct_demand has"),
    "demand doubled in core": (f"INSERT INTO lake.core.fct_demand SELECT * FROM lake.core.fct_demand WHERE demand_date = {TODAY}", "core.fct_demand", "item_id, location_id, demand_date", 64),
    "a supplier lost in core": ("DELETE FROM lake.core.dim_supplier WHERE supplier_id = 'S2'", "core.fct_purchase_order_line", "supplier_id", 138),
    "a mistyped year": (f"UPDATE lake.core.fct_demand SET known_at = known_at + INTERVAL 36 YEAR WHERE item_id = 'I1' AND demand_date = {TODAY}", "core.fct_demand", "known_at", 4),
}  # fmt: skip

_MORE = f"INSERT INTO {SALES} SELECT * REPLACE ('SO' || (500000 + row_number() OVER ()) AS order_id, {{replace}}) FROM {{rows}}; {{ledger}}"
_LEDGER = f"UPDATE lake.meta.delivery SET loaded = n, rows_read = n FROM (SELECT count(*) AS n FROM {SALES}) WHERE delivery_id = 'd1'"


def more(rows: str, replace: str = "2 AS _line") -> str:
    return _MORE.format(rows=rows, replace=replace, ledger=_LEDGER)


CLEAN = {
    "nothing": "SELECT 1",
    "a promotion sells 60 % more": more(f"{THE_DAY} WHERE _line % 5 < 3"),
    "one item is promoted and sells three times as often": more(f"(SELECT d.* FROM {THE_DAY} AS d, range(2) WHERE item_id = 'I4')"),
    "a new item": "INSERT INTO lake.raw.items SELECT * REPLACE ('I8' AS item_id, 99 AS _line) FROM lake.raw.items WHERE item_id = 'I7';"
    "UPDATE lake.meta.delivery SET loaded = loaded + 1, rows_read = rows_read + 1 WHERE delivery_id = 'd2';" + more(f"{THE_DAY} WHERE item_id = 'I7'", "'I8' AS item_id"),
    "a new shop": more(f"{THE_DAY} WHERE location_id = 'L1'", "'L4' AS location_id"),
    "a holiday without sales": f"DELETE FROM {SALES} WHERE order_date = DATE '2026-03-09' AND _line % 16 > 0; {_LEDGER}",
    "prices rise by 5 %": f"UPDATE {SALES} SET unit_price = unit_price * 1.05 WHERE order_date > {TODAY} - 4",
    "a seasonal peak": more(f"(SELECT * FROM {SALES} WHERE order_date > {TODAY} - 7)"),
    "a slow week": f"DELETE FROM {SALES} WHERE order_date > {TODAY} - 7 AND hash(_line) % 9 < 2; {_LEDGER}",
    "a late but complete feed": f"UPDATE {SALES} SET _known_at = _known_at + INTERVAL 1 DAY WHERE {NEW}",
    "a large order": f"UPDATE {SALES} SET quantity = 60 WHERE {NEW} AND _line % 128 = 5",
    "returns after a holiday": f"UPDATE {SALES} SET quantity = -1 WHERE {NEW} AND _line % 25 = 0",
    "a sale: a fifth of prices cut by 20 %": f"UPDATE {SALES} SET unit_price = unit_price * 0.8 WHERE {NEW} AND _line % 5 = 0",
    "cash is a little less used": f"UPDATE {SALES} SET payment = 'card' WHERE {NEW} AND payment = 'cash' AND _line % 4 = 0",
    "a new way to pay": f"UPDATE {SALES} SET payment = 'bank' WHERE {NEW} AND _line % 12 = 0",
    "loyalty cards are pushed": f"UPDATE {SALES} SET customer = 'C77' WHERE {NEW}",
    "stock is counted up after a delivery": f"UPDATE lake.raw.stock SET on_hand = on_hand + 200 WHERE counted_on = {TODAY} AND item_id = 'I3'",
    "an item sells out": f"UPDATE lake.raw.stock SET on_hand = 0 WHERE counted_on > {TODAY} - 3 AND item_id = 'I6'",
    "a larger purchase order": f"UPDATE lake.raw.orders SET ordered = 120 WHERE ordered_on = {TODAY} AND item_id = 'I1'",
    "a supplier without orders this week": f"UPDATE lake.raw.orders SET supplier_id = 'S1' WHERE ordered_on = {TODAY} AND supplier_id = 'S2'",
    "shops open an hour earlier": f"UPDATE {SALES} SET sold_at = sold_at - INTERVAL 1 HOUR WHERE order_date > {TODAY} - 5 AND hour(sold_at) = 10",
    "another item is bought more": f"UPDATE {SALES} SET quantity = quantity + 2 WHERE order_date > {TODAY} - 5 AND item_id = 'I2' AND quantity > 0",
    "a column of remarks is used": f"UPDATE {SALES} SET remark = 'Käse, São Tomé, Ångström' WHERE {NEW}",
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_connection() as opened:
        move_in(opened)
        yield opened


@pytest.fixture(scope="module")
def validator(connection: duckdb.DuckDBPyConnection) -> Validator:
    return Validator(connection)


@contextmanager
def changed(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[None]:
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute(sql)
        yield
    finally:
        connection.execute("ROLLBACK")


def touched(sql: str) -> set[str]:
    """Return the tables that a change names: only rules that read one of them can answer otherwise than before."""
    return {f"{s}.{t}" for s in ("raw", "core", "marts", "meta") for t in _names(sql, f"lake.{s}.")}


def _names(sql: str, prefix: str) -> list[str]:
    return [part.split()[0].strip("(),;") for part in sql.split(prefix)[1:]]


def found(
    connection: duckdb.DuckDBPyConnection, validator: Validator, sql: str
) -> list[tuple[Rule, int, str]]:
    """Return (rule, failing rows, what they say) of every rule that does not hold after the change."""
    tables, by_table = touched(sql), dict[str, list[Rule]]()
    for rule in all_rules(CONTRACTS, HistorySettings()):
        if rule.reads & tables or not tables:
            by_table.setdefault(rule.table, []).append(rule)
    failed = []
    with changed(connection, sql):
        for its in by_table.values():
            for rule, verdict in zip(its, validator.validate([Question(rule) for rule in its]), strict=True):
                assert verdict.answer != "error", f"{rule.table} {rule.check}: {verdict.message}"
                if verdict.answer == "failed":
                    failed.append((rule, verdict.failing_rows, _said(connection, rule)))
    return failed


def _said(connection: duckdb.DuckDBPyConnection, rule: Rule) -> str:
    cursor = connection.execute(f"FROM ({rule.failing_sql}) LIMIT 300")
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    texts = [str(row[names.index("finding")]) for row in rows] if "finding" in names else []
    return " | ".join([rule.finding, rule.check, *texts])


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(connection: duckdb.DuckDBPyConnection, validator: Validator, name: str) -> None:
    sql, table, column, wanted = DAMAGE[name]
    problems = found(connection, validator, sql)
    assert any(
        rule.table == table and ", ".join(rule.columns) == column
        and (rows == wanted if isinstance(wanted, int) else wanted in said)
        for rule, rows, said in problems
    ), [(rule.table, rule.columns, rows, said[:200]) for rule, rows, said in problems]  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_variation_passes(
    connection: duckdb.DuckDBPyConnection, validator: Validator, name: str
) -> None:
    problems = found(connection, validator, CLEAN[name])
    assert [(rule.table, rule.columns, rows, said[:300]) for rule, rows, said in problems] == []


def test_a_copy_of_the_days_looked_at_answers_as_the_table(
    connection: duckdb.DuckDBPyConnection, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large tables are compared with their past in a copy of those days; here all are large."""
    by_table: dict[str, list[Question]] = {}
    for rule in all_rules(CONTRACTS, HistorySettings()):
        if rule.window:
            by_table.setdefault(rule.table, []).append(Question(rule))
    failed = 0
    monkeypatch.setattr(expectations, "SMALL_PART", 0)
    for name, (sql, table, *_) in [*DAMAGE.items()][::3]:
        questions = by_table.get(table, [])
        if len(questions) >= expectations.WORTH_A_COPY:
            with changed(connection, sql):
                answers = []
                for few in (-1, 10**6):
                    monkeypatch.setattr(expectations, "FEW_ROWS", few)
                    with validator._copies(questions) as copies:
                        assert [*copies] == [questions[0].rule.window if few < 0 else None], name
                    answers.append(validator.validate(questions))
            assert answers[0] == answers[1], name
            failed += sum(verdict.answer == "failed" for verdict in answers[0])
    assert failed > 5


def test_there_are_enough_of_both() -> None:
    assert len(DAMAGE) >= 40
    assert len(CLEAN) >= 20
