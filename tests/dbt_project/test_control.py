"""What sources say that they sent is held against what was read, what stands in raw, and so what stands in core."""

from decimal import Decimal

import polars as pl
import pytest

from lake.dbt_files import feed
from lake.quality.suites import model_rules
from tests.dbt_project import tiny
from tests.dbt_project.conftest import Built


def step(built: Built, name: str, subject: str) -> dict[str, object]:
    steps = built.query("select * from lake.marts.reconciliation")
    found = steps.filter((pl.col("step") == name) & (pl.col("subject") == subject))
    assert found.height == 1
    return found.row(0, named=True)


def test_what_was_sent_was_read_and_stands_in_raw_and_core(built: Built) -> None:
    sold = built.raw.tables["sales_order_line"]
    units = sum(row["quantity_units"] for row in sold)
    rows = step(built, "control to source", "sales_order_line")
    assert (rows["rows_before"], rows["rows_after"], rows["unexplained_rows"]) == (len(sold), len(sold), 0)
    for name in ("control to source", "control to raw"):
        found = step(built, name, "sales_order_line sum(quantity_units)")
        assert (found["units_before"], found["units_after"], found["unexplained_units"]) == (units, units, 0)
    money = step(built, "control to raw", "sales_order_line sum(unit_price)")
    assert (
        money["money_before"] == money["money_after"] == sum(Decimal(str(row["unit_price"])) for row in sold)
    )
    # And onward: what core has of it begins with what raw has.
    assert step(built, "raw to core", "fct_sales_order_line")["units_before"] == units


def test_what_a_contract_only_warns_of_is_told_and_explains_itself(built: Built) -> None:
    stock = built.raw.tables["inventory_snapshot"]
    rows = step(built, "control to source", "inventory_snapshot")
    assert (rows["rows_before"], rows["untied_rows"], rows["unexplained_rows"]) == (len(stock) + 2, 2, 0)
    for name in ("control to source", "control to raw"):
        found = step(built, name, "inventory_snapshot sum(on_hand_units)")
        assert (found["untied_units"], found["unexplained_units"]) == (7, 0)


def test_what_is_lost_after_it_was_read_is_found_by_what_the_source_said(built: Built) -> None:
    found = step(built, "control to raw", "price sum(unit_price)")
    assert found["unexplained_money"] == Decimal("1.25")
    assert step(built, "control to source", "price sum(unit_price)")["unexplained_money"] == 0
    (rule,) = [
        rule for rule in model_rules() if rule.table == "marts.reconciliation" and "money" in rule.check
    ]
    assert rule.severity == "stop"
    assert built.query(rule.failing_sql)["subject"].to_list() == ["price sum(unit_price)"]


def test_a_figure_that_is_neither_units_nor_money_stays_with_its_file(built: Built) -> None:
    figures = feed(tiny.controlled_contract("price"), matches=False)["control"]
    assert figures == [{"figure": "sum(unit_price)", "column": "unit_price", "of": "money"}]
    steps = built.query("select subject from lake.marts.reconciliation where step like 'control%'")
    assert set(steps["subject"]) == {
        "sales_order_line", "inventory_snapshot", "price", "sales_order_line sum(quantity_units)",
        "sales_order_line sum(unit_price)", "inventory_snapshot sum(on_hand_units)", "price sum(unit_price)",
    }  # fmt: skip


@pytest.mark.parametrize("dataset", tiny.CONTROLLED)
def test_rows_of_the_ledger_tie_with_raw(built: Built, dataset: str) -> None:
    found = step(built, "source to raw", dataset)
    assert found["rows_before"] == found["rows_after"] == len(built.raw.tables[dataset])
