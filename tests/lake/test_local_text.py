"""Numbers with local signs and words for nothing, as a contract says; anything else is refused, never guessed."""

from dataclasses import replace
from decimal import Decimal

import pytest

from lake.contracts.model import Column
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("item_id", "item", "string", required=True, key=True),
    Column("price", "price", "number", precision=12, scale=2, required=True, minimum=0),
    Column("units", "units", "integer"),
    Column("sent_on", "sent", "date", format="%d.%m.%Y", nulls=("n/a", "Date Not Captured")),
)


def german(**location):
    signs = {"delimiter": ";", "decimal": ",", "thousands": "."} | location
    return contract(columns=COLUMNS, location=signs)


def test_local_numbers_are_read_exactly(tmp_path):
    home = company(tmp_path)
    deliver(
        home,
        "sales.csv",
        "item;price;units;sent\nA;1.234.567,89;1.234;n/a\nB;1234,5;12;01.02.2026\nC;,5;;Date Not Captured\nD;+7;-1.000;\n",
    )
    assert load(home, german()).totals["quarantined"] == 0
    assert rows(home, "SELECT price, units, sent_on IS NULL FROM lake.raw.sales ORDER BY item_id") == [
        (Decimal("1234567.89"), 1234, True),
        (Decimal("1234.50"), 12, False),
        (Decimal("0.50"), None, True),
        (Decimal("7.00"), -1000, True),
    ]


@pytest.mark.parametrize(
    "price",
    ["12.50", "1,234.56", "1.23,4", "1.2345,6", ".123,4", "1..234", "12,5,6", "1.234.56", "1e3", "1 234,5"],
)
def test_numbers_written_otherwise_are_refused_for_their_form_alone(tmp_path, price):
    home = company(tmp_path)
    deliver(home, "sales.csv", f'item;price;units;sent\nA;"{price}";1;\nB;2,5;1;\n')
    load(home, german())
    found = rows(home, "SELECT rules, columns, messages FROM lake.meta.quarantine")
    assert found == [(["type"], ["price"], [f"'{price}' is not a number written as 1.234,56"])]
    assert rows(home, "SELECT item_id FROM lake.raw.sales") == [("B",)]


def test_limits_hold_for_the_number_that_is_meant(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales.csv", "item;price;units;sent\nA;-1,5;1;\nB;1,555;1;\nC;2,5;1;x\nD;;1;\n")
    load(home, german())
    rules = rows(home, "SELECT line, rules FROM lake.meta.quarantine ORDER BY line")
    assert rules == [(2, ["range"]), (3, ["scale"]), (4, ["type"]), (5, ["required"])]


def test_without_a_sign_for_thousands_none_may_stand(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales.csv", "item;price;units;sent\nA;1.234,5;1;\nB;1234,5;1.000;\nC;1234,5;1000;\n")
    load(home, replace(german(thousands=""), write_mode="replace"))
    assert rows(home, "SELECT item_id FROM lake.raw.sales") == [("C",)]
