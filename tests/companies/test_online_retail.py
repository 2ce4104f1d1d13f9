"""The real export from file to weekly demand, against a computation in pandas that shares nothing with the platform."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lake import transform
from lake.company import Company, load_company
from lake.connection import Lake
from lake.contracts.reading import load_contracts
from lake.ingest import ingest

ROWS = 1_067_371
EXACT_DUPLICATES = 34_335
NO_PRODUCT = {
    "POST", "DOT", "C2", "C3", "M", "D", "S", "B", "CRUK", "AMAZONFEE", "BANK CHARGES", "ADJUST", "ADJUST2", "PADS",
    "GIFT", "TEST001", "TEST002",
}  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    found = load_company("online_retail", home=tmp_path_factory.mktemp("home"))
    export = Path(found.variables["STOCKLAKE_DATA"]) / "online_retail" / "online_retail.csv.xz"
    if not export.is_file():
        pytest.skip(f"the real export is not at {export}: set STOCKLAKE_DATA to the folder that has it")
    found.prepare()
    return found


@pytest.fixture(scope="module")
def report(company: Company) -> Any:
    """Loaded whole; of dbt only what leads to demand, and the tests of its data."""
    contracts = load_contracts(company)
    report = ingest(company, contracts, run_id="test")
    transform.build(company, contracts, "+fct_demand +business_rule_count +dim_item +dim_location")
    return report


@pytest.fixture(scope="module")
def lines(company: Company) -> pd.DataFrame:
    """Every line of the export but exact repetitions, with its class; `line` is the physical line of the file."""
    path = Path(company.variables["STOCKLAKE_DATA"]) / "online_retail" / "online_retail.csv.xz"
    found = pd.read_csv(path, dtype=str, keep_default_na=False)
    found["line"] = np.arange(2, len(found) + 2).astype(str)
    found = found.drop_duplicates([name for name in found.columns if name != "line"], keep="first")
    found = found.rename(columns={"Customer ID": "customer"})
    found["item"] = found["StockCode"].str.strip().str.upper()
    found["units"] = found["Quantity"].astype(int)
    found["sold_at"] = pd.to_datetime(found["InvoiceDate"], format="%m/%d/%Y %H:%M")
    found["class"] = np.select(
        [
            found["Invoice"].str.startswith("A"),
            found["item"].isin(NO_PRODUCT) | found["item"].str.startswith("GIFT_0001_"),
            found["Invoice"].str.startswith("C"),
            found["Price"].astype(float) == 0,
            found["units"] < 0,
        ],
        ["adjustment_order", "non_product_item", "cancellation_order", "zero_price", "negative_quantity"],
        default="plain_sale",
    )
    return found


def test_every_row_of_the_export_is_accounted_for(report: Any, company: Company) -> None:
    of_export = _query(
        company,
        "select rows_read, loaded, quarantined, duplicate, unchanged from lake.meta.delivery where dataset = 'erp_sales'",
    ).rows()
    assert of_export == [(ROWS, ROWS - EXACT_DUPLICATES, 0, EXACT_DUPLICATES, 0)]
    assert report.totals["files_refused"] == 0
    assert _query(company, "select count(*) from lake.meta.quarantine").item() == 0


@pytest.mark.usefixtures("report")
def test_every_line_is_counted_under_the_business_rule_that_decided(
    company: Company, lines: pd.DataFrame
) -> None:
    expected = lines.groupby("class").agg(lines=("units", "size"), units=("units", "sum"))
    counted = _query(company, "select business_rule, line_count, units from lake.core.business_rule_count")
    assert sorted(counted.rows()) == [(rule, *row) for rule, *row in expected.sort_index().itertuples()]
    assert counted["line_count"].sum() == ROWS - EXACT_DUPLICATES == len(lines)
    assert dict(counted.select("business_rule", "line_count").iter_rows()) == {
        "plain_sale": 1_003_340,
        "cancellation_order": 17_914,
        "zero_price": 5_962,
        "non_product_item": 5_814,
        "adjustment_order": 6,
    }


@pytest.mark.usefixtures("report")
def test_weekly_demand_of_the_top_20_items_equals_pandas(company: Company, lines: pd.DataFrame) -> None:
    sales = lines[lines["class"] == "plain_sale"]
    top = sales.groupby("item")["units"].sum().nlargest(20).index
    expected = {
        (item, week): units
        for item in top
        for week, units in _weekly_demand(lines[lines["item"] == item]).items()
        if units
    }
    rows = _query(
        company,
        "select item_id, date_trunc('week', demand_date)::date, sum(demand_units) from lake.core.fct_demand"
        " group by all having sum(demand_units) > 0",
    ).rows()
    actual = {(item, week): int(units) for item, week, units in rows if item in set(top)}
    assert len(expected) > 1_500
    assert actual == expected


def _weekly_demand(lines: pd.DataFrame) -> dict[Any, int]:
    """Return Monday -> units sold less units given back; what is given back leaves the day on which it was sold.

    A cancellation goes to the newest earlier sale to the same customer that was large enough (the export names no
    original order, and an order of cancellations holds no sale). A sale gives back no more than it had: cancellations
    count in the order of time, and those that come too late, or find no sale, leave their own day.
    """
    sales, returns = lines[lines["class"] == "plain_sale"], lines[lines["class"] == "cancellation_order"]
    assert not set(sales["Invoice"]) & set(returns["Invoice"])
    day_units: dict[Any, int] = defaultdict(int)
    to_customer: dict[str, list[tuple[Any, str, str, int]]] = defaultdict(list)
    for row in sales.itertuples():
        day_units[row.sold_at.date()] += row.units
        to_customer[row.customer].append((row.sold_at, row.Invoice, row.line, row.units))
    given_back: dict[tuple[Any, str, str, int], int] = defaultdict(int)
    for row in returns.sort_values(["sold_at", "Invoice", "line"]).itertuples():
        fitting = [
            sale for sale in to_customer[row.customer] if sale[0] <= row.sold_at and sale[3] >= -row.units
        ]
        day = row.sold_at.date()
        if row.customer and fitting:
            sale = max(fitting)
            given_back[sale] -= row.units
            if given_back[sale] <= sale[3]:
                day = sale[0].date()
        day_units[day] += row.units
    weekly: dict[Any, int] = defaultdict(int)
    for day, units in day_units.items():
        monday = (pd.Timestamp(day) - pd.Timedelta(days=day.weekday())).date()
        weekly[monday] += max(units, 0)
    return weekly


def _query(company: Company, sql: str) -> pl.DataFrame:
    with Lake.of(company).read() as connection:
        return connection.execute(sql).pl()
