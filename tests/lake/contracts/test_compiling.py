"""What follows from a contract is written as runs use it: equal whenever and wherever it is compiled."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from lake.company import load_company
from lake.contracts.compiling import compile_contract, row_schema, suite
from lake.contracts.model import Contract
from lake.contracts.reading import load_contracts
from lake.dbt_files import project_files
from lake.quality.suites import contract_rules


def test_a_compilation_depends_on_the_contract_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.commands.contracts import app

    texts = []
    for turn in ("one", "another"):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("STOCKLAKE_DATA", str(tmp_path / turn))
        out = tmp_path / turn / "out"
        done = CliRunner().invoke(
            app, ["compile", "--company", "example", "--home", str(tmp_path / turn), "--out", str(out)]
        )
        assert done.exit_code == 0, done.output
        texts.append(
            {path.relative_to(out): path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}
        )
    assert texts[0] == texts[1]
    datasets = {path.parts[0] for path in texts[0]}
    assert datasets == {contract.dataset for contract in load_contracts(load_company("example"))}
    assert {path.name for path in texts[0]} == {
        "reader.json", "row.schema.json", "expectations.json", "dbt_source.yml", "dagster.json",
    }  # fmt: skip
    assert not any(str(tmp_path) in text for text in texts[0].values())
    shown = CliRunner().invoke(
        app, ["compile", "item", "--company", "example", "--home", str(tmp_path / "one")]
    )
    for name in ("reader.json", "dagster.json"):
        assert f"# --- item/{name}\n{texts[0][Path('item', name)]}" in shown.output


def test_what_is_written_is_what_runs_use() -> None:
    company = load_company("example")
    contracts = load_contracts(company)
    project = project_files(company, contracts)
    used = {table["name"]: table for source in yaml.safe_load(project["models/sources.yml"])["sources"]
            for table in source["tables"]}  # fmt: skip
    entities = yaml.safe_load(project["dbt_project.yml"])["vars"]["entities"]
    for contract in contracts:
        written = yaml.safe_load(compile_contract(contract, matches=True)["dbt_source.yml"])
        assert written["sources"][0]["tables"] == [used[contract.dataset]]
        if contract.entity:
            feeds = written["vars"]["entities"][contract.entity]["sources"]
            assert feeds[0] in entities[contract.entity]["sources"]
        queries = [one["kwargs"]["unexpected_rows_query"] for one in suite(contract)["expectations"]]
        assert queries == [rule.failing_sql for rule in contract_rules(contract)]


@pytest.fixture(scope="module")
def sales() -> Contract:
    return next(c for c in load_contracts(load_company("example")) if c.dataset == "sales_order_line")


ROW = {
    "order_id": "SO00000001", "order_line": 1, "posted_at": "2024-05-01T06:00:00", "order_date": "2024-05-01",
    "location_id": "ST-01", "item_id": "ITM-00001", "item_text": None, "quantity": -3, "unit_price": 9.99,
    "line_type": "sale", "customer_ref": None, "original_order_id": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"order_id": "X"}, {"order_line": 0}, {"quantity": 5001}, {"quantity": 1.5}, {"line_type": "gift"},
        {"unit_price": 1.999}, {"item_id": None}, {"customer_ref": "C1"}, {"another": 1}, {"order_date": 3},
    ],
    ids=str,
)  # fmt: skip
def test_the_schema_of_a_row_takes_what_the_reader_takes(sales: Contract, wrong: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(row_schema(sales))))
    jsonschema.Draft202012Validator.check_schema(validator.schema)
    assert validator.is_valid(ROW | wrong) == (not wrong)
