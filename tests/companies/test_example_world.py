"""The company behaves like one: stock conserves, exports agree with the truth, demand and ordering are plausible."""

from collections import Counter

import fastexcel
import openpyxl
import polars as pl
import pytest
import yaml

from lake.company import load_company
from tests.companies.deliveries import COMPANY, SMALL, Dataset, Made, datasets

KEY = ["day", "location_id", "item_id"]


@pytest.fixture(scope="module")
def stock(clean: Made) -> pl.DataFrame:
    return clean.table("stock").sort(KEY)


def test_stock_conserves_for_every_item_location_and_day(clean: Made, stock: pl.DataFrame) -> None:
    moved = clean.table("movement").group_by(KEY).agg(pl.col("units").sum())
    book = (
        stock.join(moved, on=KEY, how="left")
        .join(clean.table("opening_stock"), on=KEY[1:], how="left")
        .sort(KEY)
    )
    book = book.with_columns(pl.col("units").fill_null(0), pl.col("opening_units").fill_null(0))
    computed = book.select(pl.col("opening_units") + pl.col("units").cum_sum().over(KEY[1:]))[:, 0]
    assert computed.equals(book["closing_units"].cast(pl.Int64), check_names=False)
    assert book["closing_units"].min() == 0
    assert set(clean.table("movement")["kind"]) == {
        "receipt", "transfer_in", "transfer_out", "sale", "return", "adjustment",
    }  # fmt: skip


def test_what_is_in_transit_left_and_has_not_arrived(clean: Made, stock: pl.DataFrame) -> None:
    moved = clean.table("movement").filter(pl.col("kind").is_in(["transfer_in", "transfer_out"]))
    by_day = moved.group_by("day", "item_id").agg(-pl.col("units").sum().alias("net"))
    total = stock.group_by("day", "item_id").agg(pl.col("in_transit_units").sum())
    joined = total.join(by_day, on=["day", "item_id"], how="left").sort("item_id", "day")
    running = joined.select(pl.col("net").fill_null(0).cum_sum().over("item_id"))[:, 0]
    assert running.equals(joined["in_transit_units"].cast(pl.Int64), check_names=False)


def test_snapshots_receipts_and_sales_say_what_truly_happened(clean: Made, stock: pl.DataFrame) -> None:
    sets = datasets(clean.inbox)
    shown = {
        (f["Date"], f["Location"], f["Item"]): int(f["OnHand"])
        for _, _, f in sets["inventory_snapshot"].rows()
    }
    true = {
        (day.strftime("%d.%m.%Y"), location, item): units
        for day, location, item, units in stock.select(*KEY, "closing_units").iter_rows()
    }
    assert all(true[key] == units for key, units in shown.items())
    assert all(units == 0 for key, units in true.items() if key not in shown)
    moved = dict(clean.table("movement").group_by("kind").agg(pl.col("units").sum()).iter_rows())
    assert sum(int(f["Qty"]) for _, _, f in sets["goods_receipt"].rows()) == moved["receipt"]
    sold = Counter()
    for _, _, f in sets["sales_order_line"].rows():
        sold[f["line_type"]] += int(f["quantity"])
    assert (sold["sale"], sold["return"]) == (-moved["sale"], -moved["return"])


def test_lost_sales_are_where_the_shelf_ran_empty(clean: Made, stock: pl.DataFrame) -> None:
    demand = clean.table("demand")
    assert demand.select((pl.col("sold_units") + pl.col("lost_units") == pl.col("demand_units")).all()).item()
    share = demand["lost_units"].sum() / demand["demand_units"].sum()
    assert 0.005 < share < 0.10
    empty = demand.filter(pl.col("lost_units") > 0).join(stock, on=KEY)
    assert empty["closing_units"].max() == 0


def test_classes_have_their_shares_and_show_in_demand(clean: Made) -> None:
    items = clean.table("item")
    counts = Counter(items["demand_class"])
    assert counts == {"smooth": 5, "erratic": 3, "intermittent": 22, "lumpy": 10}
    per_day = (
        clean.table("demand").join(items, on="item_id").group_by("item_id", "location_id", "demand_class")
    )
    series = per_day.agg(
        pl.len().alias("days"), (pl.col("demand_units").std() / pl.col("demand_units").mean()).alias("cv")
    )
    interval = (SMALL["days"] / pl.col("days")).alias("interval")
    median = series.with_columns(interval).group_by("demand_class").agg(pl.col("interval", "cv").median())
    found = {row["demand_class"]: row for row in median.iter_rows(named=True)}
    for name, often, steady in (("smooth", 1, 1), ("erratic", 1, 0), ("intermittent", 0, 1), ("lumpy", 0, 0)):
        assert (found[name]["interval"] < 1.32) == bool(often), name
        assert (found[name]["cv"] ** 2 < 0.49) == bool(steady), name


def test_promotions_lift_demand(clean: Made) -> None:
    sheet = {f["Promotion"]: f for _, _, f in datasets(clean.inbox)["promotion"].rows()}
    demand = clean.table("demand").group_by("day", "item_id").agg(pl.col("demand_units").sum())
    items = clean.table("item").filter(pl.col("demand_class") == "smooth")["item_id"]
    lifts = []
    for row in sheet.values():
        if row["Item"] in items and not row["Location"]:
            mine = demand.filter(pl.col("item_id") == row["Item"])
            on = pl.col("day").is_between(
                pl.lit(row["Starts"]).str.to_date(), pl.lit(row["Ends"]).str.to_date()
            )
            if mine.filter(on).height:
                lifts.append(mine.filter(on)["demand_units"].mean() / mine.filter(~on)["demand_units"].mean())
    assert len(lifts) >= 3
    assert sum(lifts) / len(lifts) > 1.2


def test_promotions_and_prices_to_come_are_known(clean: Made) -> None:
    sets = datasets(clean.inbox)
    for _, _, f in sets["promotion"].rows():
        assert f["Announced on"] <= "2026-06-30"
    assert max(f["Starts"] for _, _, f in sets["promotion"].rows()) > "2026-07-01"
    assert max(f["valid_from"] for _, _, f in sets["price"].rows()) > "2026-06-30"
    assert all(f["published_on"] <= "2026-06-30" for _, _, f in sets["price"].rows())


def _terms(sets: dict[str, Dataset]) -> list[dict[str, str]]:
    """Return the terms of the ERP and of the price list, under the ERP's names."""
    terms = [f for _, _, f in sets["supplier_item"].rows() if f]
    for _, _, f in sets["supplier_price_list"].rows():
        terms.append(
            {
                "Supplier": "SUP-001",
                "Item": f["Artikel"],
                "LeadTimeDays": f["Lieferzeit (Tage)"],
                "MinOrderQty": f["Mindestmenge"],
                "PackSize": f["Verpackung"],
                "Preferred": {"Ja": "Y", "Nein": "N"}[f["Hauptlieferant"]],
            }
        )
    return terms


def test_orders_are_whole_packs_and_at_least_the_minimum(clean: Made) -> None:
    sets = datasets(clean.inbox)
    terms = {(f["Supplier"], f["Item"]): f for f in _terms(sets)}
    seen = 0
    for _, _, f in sets["purchase_order_line"].rows():
        term, units = terms[f["Vendor"], f["Material"]], int(f["Order Qty"])
        if f["Status"] == "open":
            assert units % int(term["PackSize"]) == 0
            assert units >= int(term["MinOrderQty"])
            seen += 1
    assert seen > 50


def test_open_orders_stand_at_the_end_and_some_items_need_one(clean: Made, stock: pl.DataFrame) -> None:
    last = stock["day"].max()
    lead = clean.table("lead_time")
    open_units = lead.filter((pl.col("ordered_on") <= last) & (pl.col("received_on") > last))
    assert open_units.height >= 5
    sets = datasets(clean.inbox)
    centre = {f["location"]: f["replenished_from"] or f["location"] for _, _, f in sets["location"].rows()}
    days = {f["Item"]: int(f["LeadTimeDays"]) + 7 for f in _terms(sets) if f["Preferred"] == "Y"}
    echelon = pl.col("location_id").replace_strict(centre).alias("location_id")
    on_hand = stock.filter(pl.col("day") == last).with_columns(echelon)
    on_hand = on_hand.group_by("location_id", "item_id").agg(
        (pl.col("closing_units") + pl.col("in_transit_units")).sum().alias("units")
    )
    recent = clean.table("demand").filter(pl.col("day") > last - pl.duration(days=56)).with_columns(echelon)
    recent = recent.group_by("location_id", "item_id").agg((pl.col("demand_units").sum() / 56).alias("mean"))
    ordered = open_units.group_by("location_id", "item_id").agg(pl.col("received_units").sum())
    position = recent.join(on_hand, on=["location_id", "item_id"]).join(
        ordered, on=["location_id", "item_id"], how="left"
    )
    need = pl.col("mean") * pl.col("item_id").replace_strict(days)
    short = position.select(
        (pl.col("units") + pl.col("received_units").fill_null(0) < 1.3 * need).mean()
    ).item()
    assert 0.05 < short < 0.7


def test_deliveries_and_contracts_have_the_same_columns(clean: Made) -> None:
    for name, dataset in datasets(clean.inbox).items():
        assert dataset.files, name
        list(dataset.rows())
        columns = [c.get("physicalName", c["name"]) for c in dataset.columns]
        assert all(header == columns for header in dataset.headers.values()), name


def test_every_delivery_has_one_contract(clean: Made) -> None:
    matched = Counter(path for dataset in datasets(clean.inbox).values() for path in dataset.files)
    delivered = {p for p in clean.inbox.rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert set(matched) == delivered
    assert set(matched.values()) == {1}


def test_contracts_say_owner_key_and_personal_data() -> None:
    entities = yaml.safe_load(
        (COMPANY.parents[1] / "lake/contracts/entities.yaml").read_text(encoding="utf-8")
    )
    for path in (COMPANY / "contracts").glob("*.yaml"):
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        schema = contract["schema"][0]
        assert contract["apiVersion"] == "v3.1.0"
        assert contract["team"]["name"]
        assert contract["id"] == f"example.{contract['domain']}.{schema['name']}"
        assert path.name == f"{schema['name']}.odcs.yaml"
        entity = entities[next(p["value"] for p in schema["customProperties"] if p["property"] == "entity")]
        custom = [p for c in schema["properties"] for p in c.get("customProperties", [])]
        mapped = {p["value"] for p in custom if p["property"] == "maps_to"}
        mapped |= {k for p in schema["customProperties"] if p["property"] == "constants" for k in p["value"]}
        assert {name for name, column in entity["columns"].items() if column.get("required")} <= mapped
        assert mapped <= set(entity["columns"])
        personal = {c["name"] for c in schema["properties"] if c.get("classification")}
        assert personal == ({"customer_ref"} if schema["name"] == "sales_order_line" else set())


def test_the_company_loads(tmp_path) -> None:
    settings = load_company("example", tmp_path).settings
    assert settings.currency == "USD"
    assert (COMPANY / str(settings.data_program)).is_file()
    category = next(c for c in datasets(tmp_path)["item"].columns if c["name"] == "category")
    allowed = next(p["value"] for p in category["customProperties"] if p["property"] == "allowed")
    assert set(settings.replenishment.cycle_service_level.by_category) <= set(allowed)


def test_a_stock_count_is_a_planners_workbook(clean: Made) -> None:
    path = sorted((clean.inbox / "spreadsheets").glob("stock_count_*.xlsx"))[-1]
    sheet = openpyxl.load_workbook(path)["Count"]
    assert sheet["A1"].value == "Monthly stock count"
    assert {str(m) for m in sheet.merged_cells.ranges} == {"A4:B4", "C4:D4", "E4:G4"}
    assert [sheet.cell(4, c).value for c in (1, 3, 5)] == ["Place", "Item", "Units"]
    rows = list(sheet.iter_rows(min_row=6, values_only=True))
    assert rows[-1][0] == "Total"
    for column in (4, 5, 6):
        assert rows[-1][column] == sum(row[column] for row in rows[:-1])
    other = fastexcel.read_excel(path).load_sheet("Count", header_row=None, skip_rows=5).to_polars()
    assert other.height == len(rows)


def test_counts_differ_from_the_book_now_and_then_and_are_booked(clean: Made) -> None:
    rows = [f for _, _, f in datasets(clean.inbox)["stock_count"].rows()]
    differences = {
        (f["Place / Counted on"], f["Place / Location"], f["Item / Code"]): int(f["Units / Difference"])
        for f in rows
    }
    wrong = {key: units for key, units in differences.items() if units and key[0] < "2026-06-30"}
    assert 0.02 < len(wrong) / len(rows) < 0.12
    booked = (
        clean.table("movement")
        .filter(pl.col("kind") == "adjustment")
        .with_columns(pl.col("day") - pl.duration(days=1))
    )
    assert {
        (str(day), loc, item): units for day, loc, item, units in booked.select(*KEY, "units").iter_rows()
    } == wrong
