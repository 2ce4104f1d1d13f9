"""Units, money and local days in core against the same by hand, before and after a missing factor and rate have come."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from lake import ledger, quarantine, transform
from lake.company import Company
from lake.connection import Lake
from lake.contracts.entities import load_entities
from tests.dbt_project import tiny
from tests.dbt_project.conftest import query
from tests.dbt_project.trading_world import (
    AS_OF,
    BOOK,
    CALENDAR,
    LATER,
    Book,
    Converted,
    Row,
    World,
    cents,
    convert,
    local_day,
    make,
    working_days,
)  # fmt: skip

MODELS = "reconciliation purchase_order_match fct_purchase_order fct_price dim_supplier_item fct_freight_rate fct_freight_cost"
AGAIN = "dim_unit_conversion fct_exchange_rate fct_sales_order_line fct_purchase_order_line fct_purchase_order unconverted_row"
"""What is built again for the second state; the other tables stay those of the first."""
TABLES = (
    "core.fct_sales_order_line core.fct_purchase_order_line core.fct_purchase_order core.fct_goods_receipt"
    " core.fct_supplier_invoice_line core.fct_inventory core.fct_inventory_movement core.fct_stock_count core.fct_price"
    " core.dim_supplier_item core.fct_freight_rate core.fct_freight_cost core.unconverted_row core.dim_location core.business_span"
    " marts.reconciliation marts.purchase_order_match"
)
ENTITY = {"till": "sales_order_line", "shop": "sales_order_line"}


@dataclass(frozen=True)
class State:
    """The tables of one build, what converted in it, and what `stocklake quarantine` then says."""

    world: World
    book: Book
    tables: Mapping[str, pl.DataFrame]
    listed: list[quarantine.RuleCount]
    shown: list[quarantine.QuarantinedRow]

    def rows(self, table: str, *key: str) -> dict[tuple[Any, ...], Row]:
        rows = self.tables[table].to_dicts()
        found = {tuple(row[name] for name in key): row for row in rows}
        assert len(found) == len(rows) > 0
        return found

    def waiting(self, entity: str) -> Counter[tuple[str, str]]:
        """(document, rule) -> rows."""
        rows = self.tables["core.unconverted_row"].filter(entity=entity)
        return Counter(rows.select("document_id", "rule").iter_rows())


def _write_book(lake: Lake, book: Book) -> None:
    factors = ("item_id", "from_unit", "to_unit", "factor", "valid_from", "_known_at")
    rates = ("currency", "valid_on", "rate", "published_at", "_known_at")
    tiny.write_raw(
        lake, "unit_conversion", [dict(zip(factors, row, strict=True)) for row in reversed(book.factors)]
    )
    tiny.write_raw(
        lake, "exchange_rate", [dict(zip(rates, (*row, row[3]), strict=True)) for row in reversed(book.rates)]
    )


def _state(company: Company, world: World, book: Book) -> State:
    tables = {name: query(company, f"select * from lake.{name}") for name in TABLES.split()}
    lake = Lake.of(company)
    return State(
        world, book, tables, quarantine.list_quarantine(lake), quarantine.show(lake, "till", limit=10_000)
    )


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, State]:
    """Two builds: a factor and a rate that some rows wait for come in between."""
    company = tiny.company(
        tmp_path_factory.mktemp("trading"),
        timezone="Europe/Berlin",
        business_rules={"sold_at_time_zone": "UTC"},
        calendar=CALENDAR,
    )
    lake, world = Lake.of(company), make(seed=11)
    contracts = [tiny.contract("unit_conversion"), tiny.contract("exchange_rate")]
    for dataset, rows in world.tables.items():
        entity = ENTITY.get(dataset, dataset)
        columns = load_entities()[entity].columns
        widened = {name: "DECIMAL(18,6)" for name, column in columns.items() if column.converted_by == "unit"}
        tiny.write_raw(lake, dataset, rows, entity, widened)
        mapping = None if dataset == "shop" else {name: name for name in columns}
        contracts.append(tiny.contract(dataset, entity, mapping))
    with lake.write() as connection:
        ledger.create_tables(connection)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
        for name, book, models in (
            ("before", BOOK, " ".join(f"+{model}" for model in MODELS.split())),
            ("after", LATER, AGAIN),
        ):
            _write_book(lake, book)
            transform.build(company, contracts, models, unit_tests=True)
            found[name] = _state(company, world, book)
    return found


@pytest.fixture
def state(states: dict[str, State]) -> State:
    return states["before"]


@pytest.fixture(params=["before", "after"])
def each_state(request: pytest.FixtureRequest, states: dict[str, State]) -> State:
    return states[request.param]


def _agree(
    actual: Row, row: Row, expected: Converted, names: dict[str, str], value: str | None = None
) -> None:
    """A row of a fact against what it comes to; `names`: the row's column -> the fact's."""
    for column, units in expected.units.items():
        assert actual[column] == units, (column, row)
    if "unit_price" in names:
        assert expected.price is not None
        assert abs(actual[names["unit_price"]] - expected.price) <= Decimal("0.00005001"), row
    if value is not None:
        assert actual[value] == expected.value, row


def _check(
    state: State,
    dataset: str,
    fact: str,
    key: tuple[str, ...],
    units: list[str],
    item_and_day: Callable[[Row], tuple[str | None, date]],
    *,
    price: str | None = None,
    value: str | None = None,
    has_unit: bool = True,
    has_currency: bool = False,
) -> dict[tuple[str, ...], Converted]:
    """Every newest row stands in the fact, as it comes to, or waits with its reason, once; return what it came to."""
    entity = ENTITY.get(dataset, dataset)
    facts, waiting, found = state.rows(fact, *key), Counter[tuple[str, str]](), {}
    for name, row in state.world.newest(dataset, *key).items():
        item, day = item_and_day(row)
        expected = convert(state.book, row, item, day, units, has_unit=has_unit, has_currency=has_currency)
        found[name] = expected
        if expected.problem:
            waiting[str(name[0]), expected.problem] += 1
            assert name not in facts, (row, expected)
        else:
            _agree(facts[name], row, expected, {"unit_price": price} if price else {}, value)
            if has_unit:
                assert facts[name]["original_unit"] == row["unit"]
            if has_currency:
                assert facts[name]["original_currency"] == row["currency"]
    if dataset != "shop":
        assert state.waiting(entity) == waiting
        assert any(waiting.values()) and len(waiting) < len(found)
    return found


def test_sales_convert_by_what_held_on_their_local_day(each_state: State) -> None:
    key, facts = (
        ("order_id", "order_line"),
        each_state.rows("core.fct_sales_order_line", "order_id", "order_line"),
    )
    for dataset, converts in (("till", True), ("shop", False)):
        found = _check(
            each_state, dataset, "core.fct_sales_order_line", key, ["quantity_units"],
            lambda row: (row["item_id"], local_day(row)),
            price="unit_price", value="revenue", has_unit=converts, has_currency=converts,
        )  # fmt: skip
        for name, row in each_state.world.newest(dataset, *key).items():
            if name in facts:
                assert facts[name]["sold_on"] == local_day(row)
                assert facts[name]["known_at"] == max(
                    row["_known_at"], found[name].known_at or datetime.min
                ), row
                assert facts[name]["original_quantity"] == (row["quantity_units"] if converts else None)
                assert facts[name]["original_unit_price"] == (row["unit_price"] if converts else None)
    assert len(facts) == sum(
        row["order_id"].startswith(("T", "S"))
        for row in each_state.tables["core.fct_sales_order_line"].to_dicts()
    )


def _orders(state: State) -> dict[tuple[str, ...], Row]:
    return state.world.newest("purchase_order", "purchase_order_id")


def test_purchase_order_lines_take_the_day_from_their_order(each_state: State) -> None:
    key = ("purchase_order_id", "purchase_order_line")
    found = _check(
        each_state, "purchase_order_line", "core.fct_purchase_order_line", key, ["ordered_units"],
        lambda row: (row["item_id"], _orders(each_state)[row["purchase_order_id"],]["ordered_on"]),
        price="unit_price", value="ordered_amount", has_currency=True,
    )  # fmt: skip
    lines = each_state.world.newest("purchase_order_line", *key)
    for name, row in each_state.rows("core.fct_purchase_order_line", *key).items():
        assert row["line_amount"] == found[name].amount
        assert row["original_line_amount"] == lines[name].get("line_amount")
        if row["first_received_on"]:
            assert row["lead_time_working_days"] == working_days(
                row["location_id"], row["ordered_on"], row["first_received_on"]
            ), row


def test_an_order_is_tied_in_its_own_currency_and_not_while_a_line_waits(each_state: State) -> None:
    waiting = {document for document, _ in each_state.waiting("purchase_order_line")}
    verdicts = Counter[tuple[bool, bool]]()
    for (order,), row in each_state.rows("core.fct_purchase_order", "purchase_order_id").items():
        lines = [
            line
            for line in each_state.world.tables["purchase_order_line"]
            if line["purchase_order_id"] == order
        ]
        total = sum((line["ordered_units"] * line["unit_price"] for line in lines), Decimal(0))
        goods = _orders(each_state)[order,]["goods_amount"]
        assert row["is_tied"] == (order not in waiting and goods in (None, total)), row
        assert (row["waiting_lines"] > 0) == (order in waiting)
        assert row["line_count"] + row["waiting_lines"] == len(lines)
        if order not in waiting:
            assert row["lines_amount"] == total
            assert row["currency"] == lines[0]["currency"]
        verdicts[order in waiting, goods is None] += 1
    assert len(verdicts) == 4  # waiting or not, with a figure of its own or none


def _order_line(state: State, row: Row) -> tuple[str, date]:
    [line] = [
        line
        for line in state.world.tables["purchase_order_line"]
        if all(line[name] == row[name] for name in ("purchase_order_id", "purchase_order_line"))
    ]
    return line["item_id"], _orders(state)[row["purchase_order_id"],]["ordered_on"]


def test_receipts_and_invoices_know_their_item_by_the_order_line(state: State) -> None:
    _check(
        state, "goods_receipt", "core.fct_goods_receipt", ("receipt_id", "receipt_line"),
        ["received_units", "rejected_units", "stocked_units"],
        lambda row: (_order_line(state, row)[0], row["received_on"]),
    )  # fmt: skip
    key = ("supplier_id", "invoice_id", "invoice_line")
    found = _check(
        state, "supplier_invoice_line", "core.fct_supplier_invoice_line", key, ["invoiced_units"],
        lambda row: _order_line(state, row),
        price="unit_price", value="computed_amount", has_currency=True,
    )  # fmt: skip
    for name, row in state.rows("core.fct_supplier_invoice_line", *key).items():
        delivered = state.world.newest("supplier_invoice_line", *key)[name]
        expected = found[name].amount if delivered["amount"] is not None else found[name].value
        assert row["amount"] == expected


def test_a_rate_that_moved_after_the_order_is_no_claim(state: State) -> None:
    """10 cartons of 12 at 10 USD, at .925 on the day of the order; .9123 when charged."""
    matched = state.rows("marts.purchase_order_match", "purchase_order_id", "purchase_order_line")
    row = matched["PX", "1"]
    assert (row["ordered_units"], row["received_units"], row["invoiced_units"]) == (120, 120, 120)
    assert (row["ordered_amount"], row["invoiced_amount"]) == (Decimal("92.5"), Decimal("92.5"))
    assert (row["overcharged_amount"], row["match_status"]) == (0, "matched")
    assert not any(row["has_price_difference"] or row["has_amount_difference"] for row in matched.values())


def test_stock_movements_and_counts_convert(state: State) -> None:
    for dataset, fact, day, units in (
        ("inventory_snapshot", "core.fct_inventory", "snapshot_date", "on_hand_units"),
        ("stock_count", "core.fct_stock_count", "counted_on", "counted_units"),
    ):
        _check(
            state,
            dataset,
            fact,
            ("item_id", "location_id", day),
            [units],
            lambda row, day=day: (row["item_id"], row[day]),
        )  # type: ignore[misc]
    _check(
        state, "inventory_movement", "core.fct_inventory_movement", ("movement_id",), ["moved_units"],
        lambda row: (row["item_id"], row["moved_on"]),
    )  # fmt: skip


def test_prices_terms_and_rates_convert_and_what_begins_later_by_the_newest_rate(state: State) -> None:
    assert state.tables["core.business_span"]["as_of"].item() == AS_OF
    _check(
        state, "price", "core.fct_price", ("item_id", "valid_from"), [],
        lambda row: (row["item_id"], min(row["valid_from"], AS_OF)),
        price="unit_price", has_currency=True,
    )  # fmt: skip
    _check(
        state, "supplier_item", "core.dim_supplier_item", ("supplier_id", "item_id"),
        ["minimum_order_units", "pack_size_units"], lambda row: (row["item_id"], AS_OF),
        price="unit_price", has_currency=True,
    )  # fmt: skip
    lanes = state.rows("core.fct_freight_rate", "destination", "mode")
    assert {mode for _, mode in lanes} == {"road", "air"}  # francs have no rate
    for (_, mode), row in lanes.items():
        factor = {"road": Decimal("0.925"), "air": Decimal("1.1987654321")}[mode]
        assert row["rate_per_kg"] == cents(Decimal("0.123456") * factor, "0.000001")
        assert row["minimum_charge"] == cents(Decimal("12.5") * factor)
        assert row["original_rate_per_kg"] == Decimal("0.123456")
    [shipped] = state.rows("core.fct_freight_cost", "shipment_id", "item_id").values()
    rate = cents(Decimal("0.123456") * Decimal("0.925"), "0.000001")  # of its departure, in company money
    assert shipped["shipment_freight_cost"] == shipped["freight_cost"] == cents(200 * rate)


def test_everything_is_reconciled_as_it_was_delivered(state: State) -> None:
    steps = state.tables["marts.reconciliation"]
    assert steps.select(pl.col("^unexplained_.*$").cast(pl.Float64).abs().sum()).row(0) == (0, 0, 0)
    of = {row["subject"]: row for row in steps.filter(pl.col("step") == "raw to core").to_dicts()}
    sold = [*state.world.tables["till"], *state.world.tables["shop"]]
    row = of["fct_sales_order_line"]
    assert row["units_before"] == sum(line["quantity_units"] for line in sold)
    assert row["money_before"] == sum(line["quantity_units"] * line["unit_price"] for line in sold)
    waiting = state.tables["core.unconverted_row"].filter(entity="sales_order_line")
    assert row["unconverted_rows"] == waiting.height > 0
    assert row["unconverted_units"] == waiting["original_quantity"].sum() > 0
    assert row["unconverted_money"] == waiting["original_amount"].sum() > 0
    assert {name for name, row in of.items() if row["unconverted_rows"]} == {
        "fct_sales_order_line", "fct_purchase_order_line", "fct_goods_receipt", "fct_supplier_invoice_line",
        "fct_inventory", "fct_inventory_movement", "fct_stock_count",
    }  # fmt: skip


def test_what_waits_is_listed_by_quarantine_with_its_reason(each_state: State) -> None:
    waiting = each_state.tables["core.unconverted_row"]
    expected = {
        (row["dataset"], row["rule"]): row["len"]
        for row in waiting.group_by("dataset", "rule").len().to_dicts()
    }
    assert {(row.dataset, row.rule): row.rows for row in each_state.listed} == expected
    assert {rule for _, rule in expected} == {
        "missing_unit", "missing_factor", "missing_currency", "missing_rate", "fractional_units",
    }  # fmt: skip
    assert len(each_state.shown) == waiting.filter(dataset="till").height
    for row in each_state.shown:
        assert row.raw_text and row.line and row.reasons.startswith(("unit: ", "currency: "))


def test_what_waited_converts_once_when_its_factor_or_rate_has_come(states: dict[str, State]) -> None:
    before, after = states["before"], states["after"]
    sold = ("core.fct_sales_order_line", "order_id", "order_line")
    came = after.rows(*sold).keys() - before.rows(*sold).keys()
    assert before.rows(*sold).keys() <= after.rows(*sold).keys()
    assert (
        len(came)
        == before.waiting("sales_order_line").total() - after.waiting("sales_order_line").total()
        > 3
    )
    for name in came:
        assert after.rows(*sold)[name]["known_at"] >= datetime(2025, 3, 17, 9)
    for name, row in before.rows(*sold).items():
        assert after.rows(*sold)[name] == row


def test_a_zone_that_nobody_knows_is_told_and_the_company_s_counts(state: State) -> None:
    places = state.rows("core.dim_location", "location_id")
    assert {name: row["time_zone"] for (name,), row in places.items()} == {
        "DEN": "America/Denver", "TOK": "Asia/Tokyo", "BER": "Europe/Berlin", "WEB": "Europe/Berlin",
    }  # fmt: skip
    assert [row["unknown_time_zone"] for (name,), row in places.items() if name == "WEB"] == ["Mars/Phobos"]
    assert {name: row["working_calendar"] for (name,), row in places.items()} == {
        "DEN": "US", "TOK": "JP", "BER": "location BER", "WEB": "company",
    }  # fmt: skip
