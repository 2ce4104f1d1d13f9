"""Supply against what is true: five seeds, every seeded error found and nothing else; the models never see the truth."""

import polars as pl
import pytest

from lake import transform
from tests.dbt_project import five_worlds, tiny
from tests.dbt_project.five_worlds import Worlds

MODELS = (
    "stock_break purchase_order_match lead_time_distribution fct_shipment_leg fct_freight_cost dim_item_history"
    " dim_supplier_history dim_supplier_item_history reconciliation"
)
SERIES = ["item_id", "location_id"]
QUANTILES = {"p10_days": 0.10, "p50_days": 0.50, "p90_days": 0.90, "p95_days": 0.95}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    folder = tmp_path_factory.mktemp("five worlds")
    raw, truths = five_worlds.make(folder)
    rules = {"invoice_price_tolerance_share": 0.01}
    company = tiny.company(folder / "home", business_rules=rules)
    contracts = five_worlds.load(company, raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
        transform.build(company, contracts, " ".join(f"+{name}" for name in MODELS.split()), unit_tests=True)
    return Worlds(company, raw, truths)


def test_every_seeded_stock_break_is_found_once_and_none_else(worlds: Worlds) -> None:
    true = worlds.truth("stock_break")
    found = worlds.query("select * from lake.marts.stock_break")
    names = ("item_id", "location_id", "first_seen_on", "break_units", "settled_on")
    expected = {
        tuple(row) for row in true.select("item_id", "location_id", "day", "units", "resolved").iter_rows()
    }
    assert len(expected) == 5 * (6 + 4 + 5 + 4 + 2 * 3)
    assert {tuple(row) for row in found.select(names).iter_rows()} == expected
    assert found.height == len(expected)
    as_of = worlds.query("select as_of from lake.core.business_span").item()
    for row in found.iter_rows(named=True):
        assert row["age_days"] == ((row["settled_on"] or as_of) - row["first_seen_on"]).days
        assert row["break_value"] == row["break_units"] * row["unit_value"]


def test_balance_of_every_item_location_and_day_equals_another_way_to_compute_it(worlds: Worlds) -> None:
    """The level of the book over the ledger's running sum; what a day changes in it is that day's break."""
    moved = (
        worlds.raw["inventory_movement"]
        .group_by(*SERIES, pl.col("moved_on").alias("day"))
        .agg(pl.col("moved_units").cast(pl.Int64).sum())
        .sort("day")
        .with_columns(pl.col("moved_units").cum_sum().over(SERIES))
    )
    begins = (
        worlds.raw["inventory_movement"].group_by("location_id").agg(pl.col("moved_on").min().alias("begins"))
    )
    book = (
        worlds.raw["inventory_snapshot"]
        .join(begins, on="location_id")
        .filter(pl.col("snapshot_date") >= pl.col("begins") - pl.duration(days=1))
        .select(*SERIES, pl.col("snapshot_date").alias("day"), pl.col("on_hand_units").cast(pl.Int64))
        .sort("day")
        .join_asof(moved, on="day", by=SERIES, check_sortedness=False)
        .with_columns((pl.col("on_hand_units") - pl.col("moved_units").fill_null(0)).alias("level"))
        .with_columns((pl.col("level") - pl.col("level").shift(1)).over(SERIES).alias("break_units"))
    )
    expected = book.drop_nulls("break_units").select(*SERIES, "day", "on_hand_units", "break_units")
    balance = worlds.query("select * from lake.marts.stock_balance where is_listed")
    opened = balance.join(expected.select(*SERIES, "day"), on=[*SERIES, "day"], how="semi").sort(
        *SERIES, "day"
    )
    assert opened.height == expected.height > 100_000
    assert opened.select(*SERIES, "day", "closing_units", "break_units").equals(
        expected.sort(*SERIES, "day").rename({"on_hand_units": "closing_units"})
    )
    parts = pl.sum_horizontal(
        "opening_units", "received_units", "transferred_in_units", "returned_units", "issued_units",
        "transferred_out_units", "scrapped_units", "adjusted_units", "break_units",
    )  # fmt: skip
    assert balance.select((parts == pl.col("closing_units")).all()).item()
    # Rows that are not the oracle's: an item's first day where its location reported before; nothing came from nowhere.
    first = balance.join(expected.select(*SERIES, "day"), on=[*SERIES, "day"], how="anti")
    assert first["opening_units"].to_list() == [0] * first.height


def test_every_seeded_invoice_discrepancy_is_found_and_none_else(worlds: Worlds) -> None:
    expected = {
        ("without_order", row["invoice_id"], None)
        if row["kind"] == "without_order"
        else (row["kind"], row["purchase_order_id"], row["purchase_order_line"])
        for row in worlds.truth("invoice_discrepancy").iter_rows(named=True)
    }
    assert len(expected) == 5 * (5 + 4 + 3 + 4)
    kinds = {
        "price_difference": "price_above_order",
        "over_invoiced": "units_above_receipt",
        "invoiced_ahead": "units_above_receipt",
        "doubled_invoice": "doubled",
        "without_order": "without_order",
    }
    matches = worlds.query("select * from lake.marts.purchase_order_match")
    wrong = matches.filter(~pl.col("match_status").is_in(["matched", "open", "to_be_invoiced"]))
    found = {
        (kinds[row["match_status"]], row["invoice_id"], None)
        if row["match_status"] == "without_order"
        else (kinds[row["match_status"]], row["purchase_order_id"], row["purchase_order_line"])
        for row in wrong.iter_rows(named=True)
    }
    assert found == expected
    assert wrong.height == len(expected)
    assert matches.filter(pl.col("match_status") == "matched").height > 500
    amount = pl.col("amount").cast(pl.Decimal(18, 4)).sum()
    assert matches["invoiced_amount"].sum() == worlds.raw["supplier_invoice_line"].select(amount).item()


@pytest.fixture(scope="module")
def first_receipts(worlds: Worlds) -> pl.DataFrame:
    """Every order line with its true wait, also of what comes after the last day, and whether it is open then."""
    true = worlds.truth("lead_time")
    as_of = worlds.query("select as_of from lake.core.business_span").item()
    lines = true.group_by("purchase_order_id", "purchase_order_line", "supplier_id", "ordered_on").agg(
        pl.col("received_on").min()
    )
    return lines.with_columns(
        (pl.col("received_on") - pl.col("ordered_on")).dt.total_days().alias("days"),
        (pl.col("received_on") > as_of).alias("is_open"),
    )


def _quantile(days: list[int], share: float) -> float:
    """The day by which this share has come, if nothing is hidden; a day stands for half a day before and after it."""
    ordered = sorted(days)
    day = ordered[max(-int(-share * len(ordered) // 1) - 1, 0)]
    before, on = sum(d < day for d in ordered), ordered.count(day)
    return day - 0.5 + (share * len(ordered) - before) / on


def test_lead_times_are_the_true_ones_though_open_orders_hide_the_long_ones(
    worlds: Worlds, first_receipts: pl.DataFrame
) -> None:
    """Truth: the wait of every line, as it turns out after as_of. Ignoring the open lines misses it by far more."""
    found = worlds.query(
        "select * from lake.marts.lead_time_distribution where level = 'supplier' and measure = 'first_receipt'"
    )
    errors = []
    for (supplier,), lines in first_receipts.group_by("supplier_id"):
        row = found.row(by_predicate=pl.col("supplier_id") == supplier, named=True)
        open_lines = int(lines["is_open"].sum())
        assert (row["n"], row["n_censored"]) == (lines.height, open_lines)
        closed = lines.filter(~pl.col("is_open"))["days"].to_list()
        for name, share in QUANTILES.items():
            true, naive = _quantile(lines["days"].to_list(), share), _quantile(closed, share)
            errors.append((share, abs(row[name] / true - 1), abs(naive / true - 1)))
    table = pl.DataFrame(errors, schema=["share", "error", "naive_error"], orient="row")
    assert table.height == 5 * 7 * len(QUANTILES)
    assert table["error"].max() < 0.05
    assert table["naive_error"].max() > 0.10
    late = table.filter(pl.col("share") >= 0.5)
    assert late["naive_error"].mean() > 2 * late["error"].mean()


def test_legs_are_the_true_ones_and_scans_nobody_made_are_named(worlds: Worlds) -> None:
    scans = worlds.truth("hub_scan")
    legs = worlds.query("select * from lake.core.fct_shipment_leg")
    made = scans.filter(~pl.col("is_missed")).pivot("event", index=["seed", "shipment_id"], values="at")
    both = made.drop_nulls(["hub_arrived", "hub_departed"])
    dwell = legs.filter(
        (pl.col("leg_type") == "dwell") & pl.col("missing_event").is_null() & pl.col("ended_at").is_not_null()
    )
    hours = both.with_columns(
        ((pl.col("hub_departed") - pl.col("hub_arrived")).dt.total_seconds() / 3600).alias("hours")
    )
    assert dict(dwell.select("shipment_id", "leg_hours").iter_rows()) == pytest.approx(
        dict(hours.select("shipment_id", "hours").iter_rows())
    )
    missed = scans.filter(pl.col("is_missed")).group_by("shipment_id").agg("event")
    one = {shipment: events[0] for shipment, events in missed.iter_rows() if len(events) == 1}
    named = legs.drop_nulls("missing_event")
    told = dict(named.select("shipment_id", "missing_event").iter_rows())
    # An out-scan is missed for good once the next event is there; a shipment whose two scans are missing shows one way.
    assert set(told.items()) <= set(one.items())
    over = legs.group_by("shipment_id").agg(pl.col("leg_type").last())
    delivered = set(over.filter(pl.col("leg_type") == "unloading")["shipment_id"])
    assert {s: e for s, e in one.items() if s in delivered} == {
        s: e for s, e in told.items() if s in delivered
    }
    assert told
    assert not legs["is_out_of_order"].any()


def test_freight_is_charged_at_the_rate_of_the_day_and_shared_to_the_last_digit(worlds: Worlds) -> None:
    costs = worlds.query("select * from lake.core.fct_freight_cost")
    assert set(costs["gap"]) <= {None, "no_content"}
    rates = worlds.raw["freight_rate"].with_columns(
        pl.col("rate_per_kg", "minimum_charge", "fuel_surcharge_share").cast(pl.Float64)
    )
    sent = costs.group_by("shipment_id", "origin", "destination", "mode", "departed_on").agg(
        pl.col("shipment_weight_kg", "shipment_freight_cost").first().cast(pl.Float64),
        pl.col("freight_cost").sum(),
    )
    assert sent.height > 500
    joined = sent.sort("departed_on").join_asof(
        rates.sort("valid_from"),
        left_on="departed_on",
        right_on="valid_from",
        by=["origin", "destination", "mode"],
        check_sortedness=False,
    )
    base = pl.max_horizontal(pl.col("shipment_weight_kg") * pl.col("rate_per_kg"), "minimum_charge")
    expected = joined.select((base * (1 + pl.col("fuel_surcharge_share"))).alias("cost"))["cost"]
    assert (expected - joined["shipment_freight_cost"]).abs().max() < 0.001
    assert (joined["freight_cost"].cast(pl.Float64) - joined["shipment_freight_cost"]).abs().max() < 1e-9
    carried = costs.filter(pl.col("item_id").is_not_null())
    assert carried["units"].sum() == _carried_units(worlds, set(costs["shipment_id"]))


def _carried_units(worlds: Worlds, shipments: set[str]) -> int:
    moved = worlds.raw["inventory_movement"].filter(
        (pl.col("movement_type") == "transfer_out") & pl.col("reference_id").is_in(shipments)
    )
    events = worlds.raw["shipment_event"].filter(pl.col("event_type") == "delivered")
    came = worlds.raw["goods_receipt"].join(
        events.filter(pl.col("shipment_id").is_in(shipments)).select(
            "purchase_order_id", pl.col("event_at").dt.date().alias("received_on")
        ),
        on=["purchase_order_id", "received_on"],
        how="semi",
    )
    units = came["received_units"].cast(pl.Int64).sum() - moved["moved_units"].cast(pl.Int64).sum()
    return int(units)


@pytest.mark.parametrize(
    ("table", "truth", "key", "begins", "said"),
    [
        ("dim_item_history", "item_version", ["item_id"], "day", {"list_price": pl.col("cents") / 100}),
        (
            "dim_supplier_history",
            "supplier_version",
            ["supplier_id"],
            "day",
            {"supplier_name": pl.col("name")},
        ),
        (
            "dim_supplier_item_history",
            "supplier_item_version",
            ["supplier_id", "item_id"],
            "valid_from",
            {"unit_price": pl.col("price_cents") / 100, "lead_time_days": pl.col("lead_time_days")},
        ),
    ],
)
def test_history_is_every_true_version_without_gap_or_overlap(
    worlds: Worlds, table: str, truth: str, key: list[str], begins: str, said: dict[str, pl.Expr]
) -> None:
    true = worlds.truth(truth).select(
        *key, pl.col(begins).cast(pl.Datetime("us")).alias("valid_from"), **said
    )
    if "supplier_id" in key and "item_id" in key:
        true = true.filter(~pl.col("supplier_id").str.ends_with("SUP-001"))  # sends a list of its own
    # A version that says what the one before said is none.
    order = true.sort(*key, "valid_from")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1).over(key)) for name in said)
    if truth != "item_version":  # there the end of sale is a change, too
        order = order.filter(~same)
    order = order.with_columns(pl.col("valid_from").shift(-1).over(key).alias("valid_to"))
    found = worlds.query(f"select * from lake.core.{table}").sort(*key, "valid_from")
    assert found.height == order.height
    assert found.select(*key, "valid_from", "valid_to").equals(order.select(*key, "valid_from", "valid_to"))
    for name in said:
        is_number = order[name].dtype.is_numeric()
        values = found[name].cast(pl.Float64).round(4) if is_number else found[name]
        assert (
            values.to_list()
            == (order[name].cast(pl.Float64).round(4) if is_number else order[name]).to_list()
        )
    current = found.filter("is_current").select(key)
    assert current.height == current.n_unique() == found.select(key).n_unique()


def test_orders_are_placed_at_the_terms_in_force(worlds: Worlds) -> None:
    """What history is for: the price of every order line stands in the version of its day."""
    lines = worlds.query(
        "select count(*) as lines, count(*) filter (where orders.unit_price = terms.unit_price) as at_terms"
        " from lake.core.fct_purchase_order_line as orders join lake.core.dim_supplier_item_history as terms"
        " on orders.supplier_id = terms.supplier_id and orders.item_id = terms.item_id"
        " and orders.ordered_on >= terms.valid_from and orders.ordered_on < coalesce(terms.valid_to, date '9999-01-01')"
    ).row(0)
    assert lines[0] == lines[1] > 500


def test_raw_core_and_demand_tie_and_lost_rows_are_told(worlds: Worlds) -> None:
    steps = worlds.query("select * from lake.marts.reconciliation")
    assert set(steps["step"]) == {"raw to core", "core to demand"}  # written past the ledger
    for figure in ("rows", "units", "money"):
        assert steps[f"unexplained_{figure}"].cast(pl.Float64).abs().sum() == 0
    rows = {row["subject"]: row for row in steps.iter_rows(named=True)}
    orders = worlds.raw["purchase_order_line"]
    assert rows["fct_purchase_order_line"]["rows_before"] == orders.height
    newest = orders.select("purchase_order_id", "purchase_order_line").n_unique()
    assert rows["fct_purchase_order_line"]["rows_after"] == newest < orders.height
    sales = worlds.raw["sales_order_line"].select(
        (pl.col("quantity_units").cast(pl.Int64) * pl.col("unit_price").cast(pl.Decimal(18, 4))).sum()
    )
    assert rows["fct_sales_order_line"]["money_after"] == sales.item()
