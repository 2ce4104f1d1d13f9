"""Rows that say their key is gone: they stand in raw as tombstones and nowhere beyond."""

import pytest
import yaml

from lake.contracts.model import Column
from lake.dbt_files import project_files
from lake.quality.suites import contract_rules
from tests.lake.loading_kit import company, contract, deliver, load, rows

COLUMNS = (
    Column("item_id", "Item", "string", required=True, key=True),
    Column("item_name", "Name", "string", required=True),
    Column("is_deleted", "Gone", "boolean", required=True, default="false"),
)


def items(**changes):
    return contract("item", COLUMNS, write_mode="upsert", deletion_column="is_deleted", **changes)


def test_a_tombstone_replaces_its_row_and_may_be_empty_beside_its_key(tmp_path):
    home = company(tmp_path)
    deliver(home, "item_1.csv", "Item,Name,Gone\nA,Apple,\nB,Bean,false\n,,true\nC,,false\n")
    report = load(home, items())
    assert (report.totals["loaded"], report.rules) == (2, {"required": 2})
    deliver(home, "item_2.csv", "Item,Name,Gone\nA,,true\nD,,true\n")
    report = load(home, items())
    assert report.totals | {"loaded": 2, "quarantined": 0} == report.totals
    assert rows(home, "SELECT item_id, item_name, is_deleted FROM lake.raw.item ORDER BY 1") == [
        ("A", None, True),
        ("B", "Bean", False),
        ("D", None, True),
    ]


def test_staging_and_the_gate_look_past_tombstones(tmp_path):
    home = company(tmp_path)
    mapping = (("item_id", "item_id"), ("item_name", "item_name"))
    made = items(entity="item", mapping=mapping)
    variables = yaml.safe_load(project_files(home, [made])["dbt_project.yml"])["vars"]
    assert variables["entities"]["item"]["sources"][0]["where"] == '"is_deleted" is not true'
    deliver(home, "item_1.csv", "Item,Name,Gone\nA,,true\nB,Bean,false\n")
    load(home, made)
    failing = {rule.check: rows(home, rule.failing_sql) for rule in contract_rules(made)}
    assert failing["is filled"] == []
    assert not any(failing.values())
    unaware = contract_rules(contract("item", COLUMNS, write_mode="upsert"))
    assert any(rows(home, rule.failing_sql) for rule in unaware)


@pytest.mark.parametrize("answer", ["", "maybe"])
def test_without_a_clear_answer_a_row_is_no_tombstone(tmp_path, answer):
    home = company(tmp_path)
    deliver(home, "item_1.csv", f"Item,Name,Gone\nA,,{answer}\n")
    assert load(home, items()).totals["quarantined"] == 1
