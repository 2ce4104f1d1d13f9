"""APIs as contracts say them: the documented examples hold, and what does not is named with its line."""

import re

import pytest
import yaml

from lake.company import PROJECT_ROOT
from lake.contracts.linting import lint
from lake.contracts.reading import load_contracts
from lake.sources.apis.settings import ByCursor, OAuth2
from tests.lake.webhooks import kit

HEAD, COLUMNS = (
    kit.CONTRACT.split("  - server: receiver")[0],
    """
    properties:
      - {name: id, logicalType: integer, primaryKey: true, required: true, description: The order.}
      - {name: changed_at, logicalType: timestamp, required: true, description: When it changed.}
""",
)
SERVER = """  - server: api
    type: custom
    format: json
    customProperties:
      - {property: records_path, value: %s}
      - property: source
        value: %s
schema:
  - name: scan
    logicalType: object
    physicalType: api
    description: One row per order.
    customProperties: [{property: write_mode, value: %s}, {property: optional, value: true}]"""


def documented():
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(- property: source\n  value:\n    kind: rest.*?)```", text, re.DOTALL)
    return yaml.safe_load(example)[0]["value"]


def company(tmp_path, monkeypatch, source, *, mode="upsert", records_path="value"):
    source = yaml.safe_dump(source, default_flow_style=True, width=10_000).strip()
    monkeypatch.setattr(
        kit, "CONTRACT", HEAD + (SERVER % (records_path, source, mode)).replace("%", "%%") + COLUMNS
    )
    return kit.company(tmp_path, monkeypatch)


def test_the_documented_example_is_sound(tmp_path, monkeypatch):
    made = company(tmp_path, monkeypatch, documented())
    assert lint(made) == []
    [contract] = load_contracts(made)
    assert isinstance(contract.source.auth, OAuth2)
    assert isinstance(contract.source.paging, ByCursor)
    assert contract.source.limits.page_mb == 32
    assert "ERP_SECRET" in repr(contract)


@pytest.mark.parametrize(
    ("changes", "mode", "said"),
    [
        ({"url": "http://erp.example.com/"}, "upsert", "url: has to begin with https://"),
        ({"pages": 3}, "upsert", "pages"),
        ({"paging": {"kind": "cursor"}}, "upsert", "path` in the body or `record_path`"),
        ({}, "append", "append needs `duplicates: drop`"),
        ({}, "replace", "needs all records each time"),
        (
            {"incremental": {"column": "changed", "parameter": "since"}},
            "upsert",
            "which the contract does not have",
        ),
    ],
)
def test_what_does_not_hold_is_named_with_its_line(tmp_path, monkeypatch, changes, mode, said):
    problems = lint(company(tmp_path, monkeypatch, documented() | changes, mode=mode))
    assert any(said in problem.message for problem in problems), problems
    assert all(problem.line > 1 for problem in problems)


def test_odata_is_written_in_few_lines(tmp_path, monkeypatch):
    source = {
        "kind": "odata",
        "url": "https://erp.example.com/odata/Orders",
        "incremental": {"column": "changed_at"},
    }
    assert lint(company(tmp_path, monkeypatch, source)) == []
    [problem] = lint(company(tmp_path, monkeypatch, source, records_path="rows"))
    assert "write the custom property records_path: value" in problem.message
