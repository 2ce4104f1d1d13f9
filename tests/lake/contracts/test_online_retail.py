"""The contracts of companies/online_retail against the real export and the committed workbook."""

import io
import lzma
from pathlib import Path

import fastexcel
import polars as pl
import pytest

from lake.company import Company, load_company
from lake.contracts.model import Contract
from lake.contracts.reading import load_contracts


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return load_company("online_retail", home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def contracts(company: Company) -> dict[str, Contract]:
    return {contract.dataset: contract for contract in load_contracts(company)}


@pytest.fixture(scope="module")
def export(company: Company) -> pl.DataFrame:
    path = Path(company.variables["STOCKLAKE_DATA"]) / "online_retail" / "online_retail.csv.xz"
    if not path.exists():
        pytest.skip(f"the real export is not at {path}: set STOCKLAKE_DATA to the folder that has it")
    with lzma.open(path) as file:
        return pl.read_csv(io.BytesIO(file.read()), infer_schema=False)


def test_all_datasets_feed_their_entities(contracts: dict[str, Contract]) -> None:
    assert {name: contract.entity for name, contract in contracts.items()} == {
        "erp_sales": "sales_order_line",
        "planner_setting": "planner_setting",
        "shipment_history": "shipment_event",
    }


def test_every_line_of_the_export_keeps_the_rules_of_form(
    contracts: dict[str, Contract], export: pl.DataFrame
) -> None:
    """What is odd in it is a matter of business rules: nothing of it goes to quarantine."""
    contract = contracts["erp_sales"]
    assert export.columns == [column.source_name for column in contract.columns]
    for column in contract.columns:
        text = export[column.source_name]
        if column.required:
            assert text.null_count() == 0, column.name
        if column.pattern:
            assert text.drop_nulls().str.contains(rf"^(?:{column.pattern})$").all(), column.name
        if column.type == "integer":
            units = text.cast(pl.Int64)
            assert column.minimum is not None
            assert column.maximum is not None
            assert units.is_between(column.minimum, column.maximum).all()
        if column.type == "number":
            assert text.str.contains(
                rf"^-?\d{{1,{column.precision - column.scale}}}(\.\d{{1,{column.scale}}})?$"
            ).all()
        if column.type == "timestamp":
            assert column.format
            assert text.str.to_datetime(column.format, strict=False).null_count() == 0


def test_exact_duplicates_are_as_many_as_said(contracts: dict[str, Contract], export: pl.DataFrame) -> None:
    assert contracts["erp_sales"].duplicates == "drop"
    assert (export.height, export.height - export.unique().height) == (1_067_371, 34_335)


def test_business_rules_class_every_line(company: Company, export: pl.DataFrame) -> None:
    """The counts that company.yaml states beside each rule, in its order."""
    rules = company.settings.business_rules
    lines = export.unique().with_columns(
        code=pl.col("StockCode").str.strip_chars().str.to_uppercase(), units=pl.col("Quantity").cast(pl.Int64)
    )
    is_non_product = pl.col("code").is_in(rules["non_product_codes"])
    is_voucher = pl.any_horizontal(pl.col("code").str.starts_with(p) for p in rules["non_product_prefixes"])
    counts = lines.group_by(
        pl.when(pl.col("Invoice").str.starts_with(rules["adjustment_prefix"])).then(pl.lit("adjustment"))
        .when(is_non_product).then(pl.lit("non_product"))
        .when(is_voucher).then(pl.lit("voucher"))
        .when(pl.col("Invoice").str.starts_with(rules["cancellation_prefix"])).then(pl.lit("cancellation"))
        .when(pl.col("Price").cast(pl.Float64) == 0).then(pl.lit("zero_price"))
        .when(pl.col("units") < 0).then(pl.lit("return"))
        .otherwise(pl.lit("sale")).alias("rule")
    ).len()  # fmt: skip
    assert dict(counts.iter_rows()) == {
        "adjustment": 6,
        "non_product": 5_714,
        "voucher": 100,
        "cancellation": 17_914,
        "zero_price": 5_962,
        "sale": 1_003_340,
    }


def test_the_planners_workbook_holds_what_its_contract_says(
    company: Company, contracts: dict[str, Contract]
) -> None:
    contract = contracts["planner_setting"]
    path = Path(contract.location.path.replace("${COMPANY}", company.variables["COMPANY"]))
    sheet = fastexcel.read_excel(path).load_sheet(
        contract.location.sheet or 0, header_row=contract.location.header_row - 1
    )
    rows = sheet.to_polars()
    assert rows.columns == [column.source_name for column in contract.columns]
    level = contract.column("cycle_service_level")
    assert rows[level.source_name].is_between(level.minimum, level.maximum).all()
    item = contract.column("item_id")
    assert rows[item.source_name].is_unique().all()
    assert rows[item.source_name].str.contains(f"^{item.pattern}$").all()
    assert rows.height == 12


def test_planned_items_are_sold(company: Company, export: pl.DataFrame) -> None:
    rows = fastexcel.read_excel(company.folder / "planner.xlsx").load_sheet(0, header_row=3).to_polars()
    assert set(rows["Stock code"]) <= set(export["StockCode"])


def test_assumptions_have_the_keys_that_the_models_read(company: Company) -> None:
    assert set(company.settings.assumptions) == {
        "location", "supplier", "lead_time_days", "minimum_order_units", "pack_size_units",
        "unit_cost_share_of_price", "on_hand_days_of_demand", "freight",
    }  # fmt: skip
