"""How dbt is prepared, started and reported on."""

import os
from pathlib import Path

import pytest
import yaml

from lake import transform
from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.dbt_files import SOURCE_PROJECT
from lake.errors import StocklakeError
from tests.dbt_project import tiny
from tests.dbt_project.conftest import query

ASSUMPTIONS = {
    "location": {"location_id": "MAIN", "location_name": "Main warehouse"},
    "supplier": {"supplier_id": "ASSUMED", "supplier_name": "O'Assumed"},
    "lead_time_days": 14,
    "pack_size_units": 12,
    "unit_cost_share_of_price": 0.5,
    "on_hand_days_of_demand": 21,
    "freight": {"mode": "road", "rate_per_unit": 0.05},
}


def test_prepare_writes_below_the_home_only_and_leaves_unchanged_files_alone(tmp_path: Path) -> None:
    company = tiny.company(tmp_path / "home")
    before = sorted(SOURCE_PROJECT.rglob("*"))
    project = transform.prepare(company, [tiny.contract("item")])
    files = {path: path.stat().st_mtime_ns for path in company.dbt.rglob("*") if path.is_file()}
    stale = project.project_dir / "models" / "core" / "gone.sql"
    stale.write_text("select 1")
    assert transform.prepare(company, [tiny.contract("item")]) == project
    assert {path: path.stat().st_mtime_ns for path in company.dbt.rglob("*") if path.is_file()} == files
    assert sorted(SOURCE_PROJECT.rglob("*")) == before
    assert all(
        str(path).startswith(str(company.dbt))
        for path in (project.project_dir, project.profiles_dir, project.target_dir)
    )


def test_sources_carry_what_the_contract_says(tmp_path: Path) -> None:
    project = transform.prepare(tiny.company(tmp_path), [tiny.contract("till_sales", "sales_order_line")])
    [source] = yaml.safe_load((project.project_dir / "models" / "sources.yml").read_text())["sources"]
    [table] = source["tables"]
    assert table["config"]["meta"]["dagster"]["asset_key"] == ["raw", "till_sales"]
    assert table["config"]["meta"]["owner"] == "tests"
    units = {
        column["name"]: column.get("config", {}).get("meta", {}).get("unit") for column in table["columns"]
    }
    assert units["quantity_units"] == "units"
    assert {"_delivery_id", "_file", "_line", "_known_at"} <= units.keys()


def test_fingerprint_follows_data_contracts_and_rules(tmp_path: Path) -> None:
    company = tiny.company(tmp_path)
    contracts = [tiny.contract("item")]
    prints = [transform.inputs_fingerprint(company, contracts)]
    tiny.write_raw(Lake.of(company), "item", [{"item_id": "A"}])
    prints.append(transform.inputs_fingerprint(company, contracts))
    assert transform.inputs_fingerprint(company, contracts) == prints[-1]
    with Lake.of(company).write() as connection:
        connection.execute("CREATE TABLE lake.meta.other AS SELECT 1 AS a")
    assert transform.inputs_fingerprint(company, contracts) == prints[-1]
    with Lake.of(company).write() as connection:
        connection.execute("DELETE FROM lake.raw.item")
    prints.append(transform.inputs_fingerprint(company, contracts))
    prints.append(
        transform.inputs_fingerprint(company, [tiny.contract("item", mapping={"item_id": "item_name"})])
    )
    assert len(set(prints)) == 4


def test_company_without_masters_stock_and_terms_lives_on_labelled_assumptions(tmp_path: Path) -> None:
    company = tiny.company(
        tmp_path,
        assumptions=ASSUMPTIONS,
        business_rules={"item_code_case": "upper", "cancellation_prefix": "C"},
    )
    sale = {
        "location_id": "MAIN",
        "item_id": "x1",
        "sold_at": tiny.FIRST,
        "item_text": "LAMP",
        "unit_price": 4,
        "quantity_units": 91,
    }
    rows = [
        sale | {"order_id": "1", "order_line": "1", "customer_id": "K"},
        sale | {"order_id": "2", "order_line": "1", "item_id": "X1", "item_text": "LAMP"},
        sale | {"order_id": "3", "order_line": "1", "item_text": "lamp?"},
        sale | {"order_id": "C4", "order_line": "1", "customer_id": "K", "quantity_units": -91},
    ]
    tiny.write_raw(Lake.of(company), "till", rows, entity="sales_order_line")
    report = transform.build(company, [tiny.contract("till", "sales_order_line")])
    assert not report.warnings
    assert query(company, "select item_id, item_name, is_assumed from lake.core.dim_item").rows() == [
        ("X1", "LAMP", False)
    ]
    assert query(company, "select demand_units, returned_units from lake.core.fct_demand").rows() == [
        (182, 91)
    ]
    position = query(
        company,
        "select location_id, on_hand_units, is_assumed, newest_file from lake.marts.inventory_position",
    )
    assert position.rows() == [("MAIN", 42, True, None)]
    options = query(
        company,
        "select location_id, supplier_id, lead_time_mean_days, lead_time_std_days, minimum_order_units, pack_size_units,"
        " unit_price::double, freight_cost_per_unit::double, freight_mode, is_assumed from lake.marts.supply_option",
    )
    assert options.rows() == [("MAIN", "ASSUMED", 14.0, None, 1, 12, 2.0, 0.05, "road", True)]
    assert query(company, "select count(*) from lake.core.dim_location where not is_assumed").item() == 0

    # Nothing has changed: dbt is not even started.
    contracts = [tiny.contract("till", "sales_order_line")]
    again = transform.build(company, contracts)
    assert not again.built and {n.unique_id for n in again.nodes} == {n.unique_id for n in report.nodes}

    # A failing data test stops the build and is named with its message; what was built before stays readable.
    tiny.write_raw(
        Lake.of(company), "till", [sale | {"order_id": None, "order_line": "1"}], entity="sales_order_line"
    )
    with pytest.raises(StocklakeError, match=r"\d+ were skipped.*one_row_per_fct_sales_order_line") as error:
        transform.build(company, contracts)
    assert "\n" not in str(error.value)
    assert query(company, "select demand_units from lake.core.fct_demand").rows() == [(182,)]

    # Put right, everything behind it is built and tested again, and nothing else.
    tiny.write_raw(
        Lake.of(company),
        "till",
        [*rows, sale | {"order_id": "5", "order_line": "1"}],
        entity="sales_order_line",
    )
    mended = transform.build(company, contracts)
    assert len(mended.nodes) == len(report.nodes) and not mended.warnings
    assert query(company, "select demand_units from lake.core.fct_demand").rows() == [(273,)]
    built = {model.name for model in mended.built}
    assert {"fct_sales_order_line", "fct_demand", "item_location_day", "reconciliation"} <= built
    assert built.isdisjoint({"stg_supplier", "fct_purchase_order", "supplier_lead_time", "fct_shipment"})
    tested = {test.name.partition("_fct")[2] for test in mended.tests if not test.is_standing}
    assert any(name.startswith("_sales_order_line") for name in tested)
    assert not any(name.startswith("_shipment") for name in tested)


def test_dbt_that_cannot_start_says_why(tmp_path: Path) -> None:
    company = tiny.company(tmp_path)
    broken = tiny.contract("item", mapping={"item_id": "{{ nothing_of_the_kind() }}"})
    with pytest.raises(StocklakeError, match="dbt parse could not run for company 'tiny'"):
        transform.parse(company, [broken, broken])


def test_environment_keeps_dbt_quiet_and_offline(tmp_path: Path) -> None:
    env = transform.prepare(tiny.company(tmp_path), []).env
    assert env["DO_NOT_TRACK"] == "1"
    assert env["DBT_SEND_ANONYMOUS_USAGE_STATS"] == env["DBT_VERSION_CHECK"] == "false"
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(PROJECT_ROOT)
