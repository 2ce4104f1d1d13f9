"""The tables that dbt builds, on a tiny lake, against an independent computation and against the agreement."""

import math
import re
from datetime import timedelta

import polars as pl
import pytest
import yaml

from lake.company import PROJECT_ROOT
from lake.dbt_files import ENTITIES, SOURCE_PROJECT
from tests.dbt_project import oracle, tiny
from tests.dbt_project.conftest import Built, tables


def test_item_location_day_equals_an_independent_computation(built: Built) -> None:
    expected = oracle.item_location_day(built.raw)
    rows = built.query(
        "select * replace (unit_price::double as unit_price) from lake.marts.item_location_day"
    ).to_dicts()
    actual = {(row["item_id"], row["location_id"], row["day"]): row for row in rows}
    assert len(rows) == len(actual) > 900
    assert actual.keys() == expected.keys()
    wrong = [
        (key, column, actual[key][column], value)
        for key, row in expected.items()
        for column, value in row.items()
        if not _equal(actual[key][column], value)
    ]
    assert not wrong, wrong[:5]


def test_building_twice_gives_the_same_bits(built: Built) -> None:
    after = tables(built.company)
    assert after.keys() == built.before.keys()
    assert len(after) == len(_built_models("core", "marts"))
    for name, frame in after.items():
        assert frame.equals(built.before[name]), name


def test_every_model_test_and_unit_test_passed(built: Built) -> None:
    assert {node.status for node in built.report.nodes} == {"success", "pass"}
    assert {node.schema for node in built.report.models} == {"staging", "core", "marts"}
    assert sum(node.kind == "unit_test" for node in built.report.nodes) >= 14


def test_a_dataset_that_never_arrived_is_an_empty_typed_table(built: Built) -> None:
    for name in ("stg_goods_receipt", "stg_freight_rate"):  # one has a contract, the other not even that
        frame = built.query(f"select * from lake.staging.{name}")
        assert frame.height == 0
    assert frame.schema["valid_from"] == pl.Date
    assert frame.schema["rate_per_kg"] == pl.Decimal(18, 6)


def test_calendar_reaches_from_the_first_business_date_120_days_beyond_as_of(built: Built) -> None:
    row = built.query(
        "select min(calendar_date), max(calendar_date), count(*) from lake.core.dim_calendar"
    ).row(0)
    assert row == (tiny.FIRST, tiny.AS_OF + timedelta(days=120), tiny.DAYS + 120)
    assert built.query("select as_of from lake.marts.as_of").rows() == [(tiny.AS_OF,)]


def test_without_a_stock_ledger_or_invoices_nothing_is_a_break_or_a_claim(built: Built) -> None:
    for table in ("stock_balance", "stock_break", "purchase_order_match"):
        assert built.query(f"select count(*) from lake.marts.{table}").item() == 0
    steps = built.query("select * from lake.marts.reconciliation")
    assert steps.filter(pl.col("step") == "raw to core").height == 2
    steps = steps.filter(pl.col("subject") != "price sum(unit_price)")  # test_control.py
    assert steps.select(pl.col("^unexplained_.*$").cast(pl.Float64).abs().sum()).row(0) == (0, 0, 0)


def test_history_keeps_gaps_and_ends_with_a_deletion(built: Built) -> None:
    found = built.query(
        "select supplier_name, valid_from::date::varchar, valid_to::date::varchar, is_current"
        " from lake.core.dim_supplier_history where supplier_id = 'W' order by valid_from"
    )
    assert found.rows() == [
        ("Old & Co", "2025-01-10", "2025-01-20", False),
        ("New & Co", "2025-01-20", "2025-02-01", False),
        ("New & Co", "2025-03-01", "2025-03-20", False),
    ]
    assert built.query("select supplier_id from lake.core.dim_supplier order by all").rows() == [("V",)]


def test_future_holds_28_days_of_every_series_with_planned_price_and_promotion(built: Built) -> None:
    future = built.query("select * from lake.marts.item_location_future")
    assert future.height == 28 * len(tiny.ITEMS) * len(tiny.STORES)
    promoted = future.filter(pl.col("is_promoted"))
    assert set(promoted["day"]) == {tiny.AS_OF + timedelta(days=n) for n in range(1, 5)}
    assert set(promoted["item_id"]) == {"B"} and set(promoted["location_id"]) == {"S2"}
    planned = tiny.FIRST + timedelta(days=tiny.DAYS + 9)
    prices = {p["item_id"]: p["unit_price"] for p in built.raw.tables["price"] if p["valid_from"] == planned}
    for row in future.filter((pl.col("location_id") == "S1") & (pl.col("day") >= planned)).iter_rows(
        named=True
    ):
        assert float(row["unit_price"]) == prices[row["item_id"]]


def test_position_of_the_centre_holds_its_stores(built: Built) -> None:
    position = built.query("select * from lake.marts.inventory_position order by item_id")
    newest = [r for r in built.raw.tables["inventory_snapshot"] if r["snapshot_date"] == tiny.AS_OF]
    for row in position.iter_rows(named=True):
        assert row["location_id"] == "DC"
        assert row["on_hand_units"] == sum(
            r["on_hand_units"] for r in newest if r["item_id"] == row["item_id"]
        )
        assert row["newest_file"] == "inventory_snapshot.csv"


@pytest.mark.parametrize("path", sorted(SOURCE_PROJECT.glob("models/*/*.sql")), ids=lambda path: path.stem)
def test_every_model_has_its_yml_with_grain_and_columns(path) -> None:  # type: ignore[no-untyped-def]
    model = yaml.safe_load(path.with_suffix(".yml").read_text())["models"][0]
    assert model["name"] == path.stem
    assert re.match(r"One row(:| per )", model["description"])
    assert all(column["description"] for column in model["columns"])


def test_yml_names_exactly_the_columns_that_are_built(built: Built) -> None:
    columns = (
        built.query(
            "select table_name, column_name from information_schema.columns"
            " where table_catalog = 'lake' and table_schema in ('staging', 'core', 'marts')"
        )
        .group_by("table_name")
        .agg("column_name")
        .rows()
    )
    assert len(columns) == len(_built_models("staging", "core", "marts"))
    for table, names in columns:
        [path] = SOURCE_PROJECT.glob(f"models/*/{table}.yml")
        documented = [column["name"] for column in yaml.safe_load(path.read_text())["models"][0]["columns"]]
        assert sorted(documented) == sorted(names), table


def _built_models(*folders: str) -> list[str]:
    """The models that stand in the lake: ephemeral ones are part of others."""
    paths = [path for folder in folders for path in (SOURCE_PROJECT / "models" / folder).glob("*.sql")]
    return [path.stem for path in paths if "ephemeral" not in path.read_text(encoding="utf-8")]


def test_every_entity_has_its_staging_model() -> None:
    entities = yaml.safe_load(ENTITIES.read_text())
    assert {path.stem for path in SOURCE_PROJECT.glob("models/staging/*.sql")} == {
        f"stg_{name}" for name in entities
    }


def test_columns_are_those_of_the_architecture(built: Built) -> None:
    """Every column that docs/architecture.md names stands in the table; a table may add to them."""
    agreed = {
        "fct_demand": "item_id, location_id, demand_date, demand_units, sold_units, returned_units, revenue, line_count, known_at",
        "supply_option": "freight_cost_per_unit, freight_mode, is_preferred, is_assumed",
    }
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text()
    for table, columns in agreed.items():
        assert table in text
        built.query(f"select {columns} from lake.{'marts' if table == 'supply_option' else 'core'}.{table}")


def _equal(actual: object, expected: object) -> bool:
    if (
        isinstance(expected, int | float)
        and not isinstance(expected, bool)
        and isinstance(actual, int | float)
    ):
        return math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9)
    return actual == expected


def test_tables_that_never_had_a_row_have_statistics(built: Built) -> None:
    """Without them each column costs a look into the catalogue whenever the table is read (macros/materializations.sql)."""
    without = built.query(
        "select schema_name || '.' || table_name from __ducklake_metadata_lake.main.ducklake_table as t"
        " join __ducklake_metadata_lake.main.ducklake_schema as s using (schema_id)"
        " where t.end_snapshot is null and schema_name in ('core', 'marts')"
        " and table_id not in (select table_id from __ducklake_metadata_lake.main.ducklake_table_stats)"
    )
    assert without.height == 0, without
