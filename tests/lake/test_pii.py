"""Personal data: nothing of what a contract hides stands anywhere but in the original, which is its owner's alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import ContractError
from lake.quality.suites import contract_rules
from lake.retention import purge
from lake.secrets import Secret
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("order_id", "Order", "string", required=True, key=True),
    Column(
        "email", "Email", "string", pii="contact", pii_action="hash", pattern="[^@]+@[^@]+", required=True
    ),
    Column("name", "Name", "string", pii="name", pii_action="drop"),
    Column("units", "Units", "integer", maximum=9),
)
TEXT = (
    "Order,Email,Name,Units\n1,ann@example.org,Ann,1\n2,bob@example.org,Bob,2\n3,ann@example.org,,3\n"
    '4,"dora, no mail",Dora,4\n5,eve@example.org,Eve,50\n6,finn@example.org,Finn\n'
)
SECRETS = ("ann@", "bob@", "dora", "eve@", "finn@", "Ann", "Bob", "Dora", "Eve", "Finn")


def private(tmp_path, monkeypatch, key="a long enough key of a company"):
    monkeypatch.setenv("PII_KEY", key)
    made = company(tmp_path)
    return replace(made, settings=made.settings.model_copy(update={"pii_key": Secret("${env:PII_KEY}")}))


def test_hidden_values_reach_neither_raw_nor_quarantine_nor_any_file_of_the_lake(tmp_path, monkeypatch):
    home = private(tmp_path, monkeypatch)
    deliver(home, "sales_1.csv", TEXT)
    report = load(home, contract(columns=COLUMNS))
    assert report.totals | {"loaded": 3, "quarantined": 3} == report.totals
    first, second, third = rows(home, "SELECT email, name FROM lake.raw.sales ORDER BY order_id")
    assert first == third
    assert first[0] != second[0]
    assert (len(first[0]), first[1]) == (32, None)
    told = {row.line: row for row in quarantine.show(Lake.of(home))}
    assert told[5].raw_text == '{"Order": "4", "Email": "***", "Name": "***", "Units": "4"}'
    assert told[5].reasons == "email: '***' does not match the pattern [^@]+@[^@]+"
    assert told[6].reasons == "units: '50' is above 9"
    assert "see line 7 of the original" in told[7].raw_text
    files = [path for path in home.home.rglob("*") if path.is_file() and home.inbox not in path.parents]
    holders = {path for path in files if any(word.encode() in path.read_bytes() for word in SECRETS)}
    [original] = holders
    assert home.landing in original.parents
    assert original.stat().st_mode & 0o077 == 0
    assert home.landing.stat().st_mode & 0o077 == 0


def test_a_hash_is_the_same_on_every_day_and_another_under_another_key(tmp_path, monkeypatch):
    hashes = []
    for number, key in enumerate(["key of the company 1", "key of the company 1", "key of the company 2"]):
        home = private(tmp_path / str(number), monkeypatch, key)
        deliver(home, "sales_1.csv", TEXT)
        load(home, contract(columns=COLUMNS))
        hashes.append(rows(home, "SELECT email FROM lake.raw.sales ORDER BY order_id")[0][0])
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(("key", "sentence"), [(None, "is not there"), ("short", "is shorter than 16")])
def test_without_a_key_nothing_is_hashed_and_nothing_loads(tmp_path, monkeypatch, key, sentence):
    home = private(tmp_path, monkeypatch, key) if key else company(tmp_path)
    deliver(home, "sales_1.csv", TEXT)
    with pytest.raises(ContractError, match=sentence):
        load(home, contract(columns=COLUMNS))
    assert not Lake.of(home).exists


def test_the_gate_does_not_hold_a_hash_against_the_rules_of_its_value(tmp_path, monkeypatch):
    home = private(tmp_path, monkeypatch)
    deliver(home, "sales_1.csv", TEXT)
    made = contract(columns=COLUMNS)
    load(home, made)
    assert [rule.check for rule in contract_rules(made) if rows(home, rule.failing_sql)] == []


def test_originals_go_when_their_retention_ends_and_not_before(tmp_path):
    home = company(tmp_path)
    columns = (Column("order_id", "Order", "string", key=True),)
    kept, short = contract("kept", columns), contract("short", columns, retention_days=30)
    deliver(home, "short_1.csv", "Order\n1\n")
    deliver(home, "short_2.csv", "Order\n2\n")
    deliver(home, "short_3.csv", "Code\n3\n")
    deliver(home, "kept_1.csv", "Order\n2\n")
    load(home, kept, short)
    now = datetime.now(UTC)
    assert purge(home, [kept, short], now=now + timedelta(days=29)) == []
    late = now + timedelta(days=31)
    assert [one.file_name for one in purge(home, [kept, short], now=late, dry_run=True)] == ["short_1.csv"]
    assert [one.file_name for one in purge(home, [kept, short], now=late)] == ["short_1.csv"]
    assert purge(home, [kept, short], now=late) == []
    assert sorted(path.read_text() for path in home.landing.rglob("*") if path.is_file()) == [
        "", "Code\n3\n", "Order\n2\n",
    ]  # fmt: skip
    assert rows(home, "SELECT file_name, length(content_sha256) FROM lake.meta.purged") == [
        ("short_1.csv", 64)
    ]
    assert load(home, kept, short).totals["files_skipped"] == 3
    assert not any(
        path.suffix == "" and path.read_text() == "Order\n1\n"
        for path in home.landing.rglob("*")
        if path.is_file()
    )


def test_purged_content_that_comes_back_as_news_loads(tmp_path):
    home = company(tmp_path)
    columns = (Column("order_id", "Order", "string", key=True),)
    item = contract("item", columns, write_mode="replace", retention_days=1)
    for content in ("1", "2"):
        deliver(home, "item.csv", f"Order\n{content}\n")
        load(home, item)
    assert len(purge(home, [item], now=datetime.now(UTC) + timedelta(days=2))) == 2
    deliver(home, "item.csv", "Order\n1\n")
    assert load(home, item).totals["loaded"] == 1
    assert rows(home, "SELECT order_id FROM lake.raw.item") == [("1",)]
