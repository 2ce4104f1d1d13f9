"""What the keys of a contract come to, the order of contracts, and the example of the documentation."""

import re
from pathlib import Path

import pytest
import yaml

from lake.company import PROJECT_ROOT
from lake.contracts.model import Check, KnownAt, Limits, Location
from lake.contracts.reading import load_contracts
from lake.errors import ContractError
from tests.lake.contracts.conftest import GOOD, ITEM, Make


def test_every_key_comes_to_its_field(make: Make) -> None:
    (contract,) = load_contracts(make(sales=GOOD))
    assert (contract.dataset, contract.version, contract.title) == ("sales", "1.0.0", "Sales")
    assert contract.description == "What was sold. One row per order line."
    assert (contract.owner, contract.domain, contract.entity) == (
        "sales operations",
        "erp",
        "sales_order_line",
    )
    assert contract.location == Location(path="${INBOX}/sales_*.csv", format="csv", delimiter=";")
    assert (contract.write_mode, contract.duplicates, contract.business_date) == ("upsert", "drop", "sold_at")
    assert contract.known_at == KnownAt(column="sold_at", delay_days=1)
    assert contract.keys == ("order_id", "line_number")
    assert contract.checks == (
        Check(name="no day is missing", kind="no_missing_days", severity="warn", columns=("sold_at",)),
    )
    assert contract.mapping == (
        ("order_id", "order_id"),
        ("order_line", "line_number"),
        ("sold_at", "sold_at"),
        ("location_id", "'MAIN'"),
        ("item_id", "item"),
        ("quantity_units", "quantity"),
        ("unit_price", "price"),
        ("line_type", "null"),
    )
    order, price, channel = (contract.column(name) for name in ("order_id", "price", "channel"))
    assert (order.source_name, order.pattern, order.required, order.key) == ("Order", r"\d{5}", True, True)
    assert price.duckdb_type == "DECIMAL(12, 2)"
    assert (channel.allowed, channel.default) == (("web", "shop"), "web")
    assert contract.column("sold_at").format == "%d.%m.%Y %H:%M"
    assert (contract.column("quantity").minimum, contract.column("quantity").maximum) == (-10, 10)


def test_limits_are_those_of_the_contract_or_the_usual(make: Make) -> None:
    said = "{property: duplicates, value: drop}", "{property: limits, value: {memory_mb: 300, seconds: 5}}"
    (contract,) = load_contracts(make(sales=GOOD.replace(*said)))
    assert contract.limits == Limits(memory_mb=300, seconds=5, output_mb=Limits().output_mb)


def test_values_stay_as_written(make: Make) -> None:
    """YAML 1.1 would make false, 7 and a date of them."""
    text = GOOD.replace("[web, shop]", "[no, 007, 1.50, 2024-01-31]").replace("value: web", "value: 007")
    (contract,) = load_contracts(make(sales=text))
    assert contract.column("channel").allowed == ("no", "007", "1.50", "2024-01-31")
    assert contract.column("channel").default == "007"


def test_the_relaxed_spellings_mean_the_same(make: Make) -> None:
    relaxed = GOOD.replace(
        "    format: csv\n", '    format: csv\n    delimiter: "|"\n    encoding: latin-1\n'
    )
    relaxed = relaxed.replace(
        "        physicalType: DECIMAL(12,2)\n", "        logicalTypeOptions: {precision: 9, scale: 3}\n"
    )
    relaxed = relaxed.replace(
        '      - {property: delimiter, value: ";"}\n', '      - {property: quote, value: "\'"}\n'
    )
    relaxed = relaxed.replace("{pattern: '\\d{5}'}", "{minLength: 2, maxLength: 5}")
    (contract,) = load_contracts(make(sales=relaxed))
    assert (contract.location.delimiter, contract.location.encoding, contract.location.quote) == (
        "|",
        "iso8859-1",
        "'",
    )
    assert contract.column("price").duckdb_type == "DECIMAL(9, 3)"
    assert contract.column("order_id").pattern == "(?s:.{2,5})"


def test_unique_is_a_check_and_constants_are_sql(make: Make) -> None:
    text = GOOD.replace("      - name: item\n", "      - name: item\n        unique: true\n")
    text = text.replace(
        "{location_id: MAIN, line_type: null}", "{location_id: O'Hare, customer_id: 007, line_type: $file}"
    )
    (contract,) = load_contracts(make(sales=text))
    assert Check(name="item is unique", kind="unique", columns=("item",)) in contract.checks
    mapping = dict(contract.mapping)
    assert (mapping["location_id"], mapping["customer_id"]) == ("'O''Hare'", "'007'")
    assert mapping["line_type"] == "_file"


def test_a_dataset_stands_after_those_it_references(make: Make) -> None:
    def contract(name: str, *targets: str) -> str:
        text = ITEM.replace("acme.erp.item", f"acme.{name}").replace("- name: item\n", f"- name: {name}\n")
        relationships = "".join(f"        relationships: [{{to: {target}.item_id}}]\n" for target in targets)
        return text.replace("        primaryKey: true\n", "        primaryKey: true\n" + relationships)

    company = make(
        a=contract("a", "c"), b=contract("b", "a"), c=contract("c"), d=contract("d"), z=contract("z", "d")
    )
    assert [c.dataset for c in load_contracts(company)] == ["c", "d", "a", "z", "b"]


def test_all_problems_are_in_the_error(make: Make) -> None:
    company = make(
        sales=GOOD.replace("domain: erp", "domain: x"), item=ITEM.replace("version: 1.0.0", "version: x")
    )
    with pytest.raises(ContractError, match="have 2 problems; correct and run again") as caught:
        load_contracts(company)
    assert re.search(
        r"item\.odcs\.yaml, line 4, version: .*\n.*sales\.odcs\.yaml, line 7, domain: ", str(caught.value)
    )


def test_the_example_of_the_documentation_is_a_good_contract(make: Make) -> None:
    """docs/architecture.md shows a part of the columns; with the other required ones it has to lint."""
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text()
    shown = re.search(r"```yaml\n(apiVersion.*?)```", text, re.DOTALL)
    assert shown
    document = yaml.safe_load(shown[1])
    columns = {"order_id": "string", "order_line": "string", "location_id": "string", "item_id": "string"}
    for name, kind in {**columns, "order_date": "date", "posted_at": "timestamp"}.items():
        target = "sold_at" if name == "order_date" else name
        maps = [] if name == "posted_at" else [{"property": "maps_to", "value": target}]
        column = {"name": name, "logicalType": kind, "required": True, "customProperties": maps}
        document["schema"][0]["properties"].append(column)
    document["schema"][0]["properties"][0]["relationships"][0]["to"] = (
        "item.number"  # an integer, as quantity is
    )
    contracts = load_contracts(make(sales_order_line=yaml.safe_dump(document), item=ITEM))
    assert [contract.dataset for contract in contracts] == ["item", "sales_order_line"]
    quantity = contracts[1].column("quantity")
    assert (quantity.source_name, quantity.unit, quantity.default, quantity.pii) == (
        "Qty",
        "units",
        "0",
        None,
    )
    assert contracts[1].location.final_newline == "required"


def test_paths_keep_their_variables(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX", str(Path("elsewhere")))
    assert load_contracts(make(item=ITEM))[0].location.path == "${INBOX}/item.csv"
