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
CANCELLATIONS = {
    "": 15_677,
    "no_earlier_sale": 1_530,
    "names_no_origin": 328,
    "larger_than_any_sale": 195,
    "already_returned": 184,
}
"""Cancellations by the reason for which they found no sale; '' found theirs."""
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
    transform.build(
        company,
        contracts,
        "+fct_demand +business_rule_count +dim_item +reconciliation +lead_time_distribution",
    )
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


@pytest.fixture(scope="module")
def netted(lines: pd.DataFrame) -> pd.DataFrame:
    """Every sale and cancellation with the day on which it counts, and why a cancellation found no sale ('' if it did).

    In pandas and for all items at once; what a cancellation may take back is said at `_weekly_demand`.
    """
    sales = lines[lines["class"] == "plain_sale"].assign(counts_on=lambda f: f["sold_at"].dt.date, why="")
    back = (
        lines[lines["class"] == "cancellation_order"]
        .sort_values(["sold_at", "Invoice", "line"])
        .reset_index(drop=True)
    )
    back["back"] = back.index
    named = back[back["customer"] != ""]
    pairs = named[["back", "item", "customer", "sold_at", "units"]].merge(
        sales[["item", "customer", "sold_at", "Invoice", "line", "units"]],
        on=["item", "customer"],
        suffixes=("", "_sale"),
    )
    pairs = pairs[pairs["sold_at_sale"] <= pairs["sold_at"]]
    fitting = pairs[pairs["units_sale"] >= -pairs["units"]].sort_values(
        ["back", "sold_at_sale", "Invoice", "line"]
    )
    best = fitting.drop_duplicates("back", keep="last").sort_values("back")
    best["given_back"] = -best.groupby(["Invoice", "line"])["units"].cumsum()
    matched = best[best["given_back"] <= best["units_sale"]].set_index("back")
    back["why"] = np.select(
        [
            back["back"].isin(matched.index),
            back["back"].isin(best["back"]),
            back["back"].isin(pairs["back"]),
            back["customer"] == "",
        ],
        ["", "already_returned", "larger_than_any_sale", "names_no_origin"],
        default="no_earlier_sale",
    )
    counts_on = back["back"].map(matched["sold_at_sale"]).fillna(back["sold_at"])
    return pd.concat([sales, back.assign(counts_on=counts_on.dt.date)])


@pytest.mark.usefixtures("report")
def test_every_cancellation_finds_its_sale_or_says_why_not(company: Company, netted: pd.DataFrame) -> None:
    expected = netted[netted["class"] == "cancellation_order"]["why"].value_counts().to_dict()
    counted = _query(
        company,
        "select coalesce(unmatched_reason, ''), count(*) from lake.core.fct_return_match group by all",
    )
    assert dict(counted.rows()) == expected
    assert sum(expected.values()) == 17_914
    assert expected == CANCELLATIONS


@pytest.mark.usefixtures("report")
def test_demand_of_every_item_and_day_equals_pandas(company: Company, netted: pd.DataFrame) -> None:
    netted = netted.assign(
        sold=netted["units"].clip(lower=0),
        money=netted["units"] * (netted["Price"].astype(float) * 10_000).round().astype("int64"),
    )
    expected = netted.groupby(["item", "counts_on"]).agg(
        units=("units", "sum"), sold=("sold", "sum"), money=("money", "sum"), lines=("units", "size")
    )
    expected["units"] = expected["units"].clip(lower=0)
    found = _query(
        company,
        "select item_id, demand_date, demand_units, sold_units, (revenue * 10000)::bigint, line_count"
        " from lake.core.fct_demand",
    )
    assert found.height == len(expected) == 530_707
    assert {row[:2]: row[2:] for row in found.rows()} == {
        row[0]: tuple(row[1:]) for row in expected.itertuples()
    }


@pytest.mark.usefixtures("report")
def test_units_and_revenue_tie_from_the_export_to_demand(company: Company, lines: pd.DataFrame) -> None:
    steps = _query(company, "select * from lake.marts.reconciliation")
    rows = {row["subject"]: row for row in steps.iter_rows(named=True)}
    assert set(rows) == {
        "erp_sales",
        "planner_setting",
        "shipment_history",
        "fct_sales_order_line",
        "fct_demand",
    }
    assert steps.select(pl.col("^unexplained_.*$").cast(pl.Float64).abs().sum()).row(0) == (0, 0, 0)
    assert (rows["erp_sales"]["rows_before"], rows["erp_sales"]["duplicate_rows"]) == (ROWS, EXACT_DUPLICATES)
    money = lines["units"] * (lines["Price"].astype(float) * 10_000).round().astype("int64")
    of_class = {name: int(money[lines["class"].isin(classes)].sum()) for name, classes in {
        "money_before": set(lines["class"]),
        "adjustment_money": {"adjustment_order", "zero_price"},
        "non_product_money": {"non_product_item"},
        "money_after": {"plain_sale", "cancellation_order"},
    }.items()}  # fmt: skip
    assert {name: int(rows["fct_demand"][name] * 10_000) for name in of_class} == of_class
    assert rows["fct_demand"]["units_before"] == int(lines["units"].sum())


@pytest.mark.usefixtures("report")
def test_shipments_give_lead_times_for_each_vendor(company: Company) -> None:
    """Door to door, as many shipments as pandas counts and the median that it finds."""
    path = Path(company.variables["STOCKLAKE_DATA"]) / "scms" / "SCMS_Delivery_History_Dataset.csv.xz"
    if not path.is_file():
        pytest.skip(f"the shipment history is not at {path}")
    told = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\r", encoding="utf-8-sig")
    told["ordered"] = pd.to_datetime(told["PO Sent to Vendor Date"], format="%m/%d/%y", errors="coerce")
    told["delivered"] = pd.to_datetime(told["Delivered to Client Date"], format="%d-%b-%y")
    shipments = told.sort_values("delivered").groupby("ASN/DN #").agg(
        vendor=("Vendor", "last"), ordered=("ordered", "min"), delivered=("delivered", "min")
    ).dropna()  # fmt: skip
    shipments["days"] = (shipments["delivered"] - shipments["ordered"]).dt.days
    shipments = shipments[shipments["days"] >= 0]
    days = shipments.groupby("vendor")["days"]
    sizes, medians = days.size().to_dict(), days.quantile(0.5, interpolation="lower").to_dict()
    found = _query(
        company,
        "select supplier_id, n, n_censored, p50_days from lake.marts.lead_time_distribution"
        " where level = 'supplier' and measure = 'door_to_door'",
    )
    assert dict(found.select("supplier_id", "n").iter_rows()) == sizes
    assert found["n_censored"].sum() == 0
    assert all(abs(p50 - medians[vendor]) < 0.501 for vendor, _, _, p50 in found.iter_rows())


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
