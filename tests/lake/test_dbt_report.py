"""What a failed build says: which rule, of which table, and how many rows, not the name that dbt gave the test."""

import json

import pytest

from lake.dbt_report import raise_on_failures, read_report
from lake.errors import GateFailed, StocklakeError

RULES = {
    "relationships": ({"to": "ref('dim_item')", "field": "item_id", "column_name": "item_id"},
                      "the item_id of 12,345 rows of fct_sales is not in dim_item.item_id: load what is missing there"),
    "one_row_per": ({"columns": ["item_id", "day"]}, "12,345 rows of fct_sales are not the only one of their item_id, day"),
    "accepted_values": ({"column_name": "method", "values": ["a", "b"]}, "12,345 values of fct_sales.method are none of a, b"),
    "known_in_order": ({}, "12,345 rows of fct_sales fail known_in_order"),
}  # fmt: skip


def _report(tmp_path, nodes):
    """Write what dbt writes of nodes, name -> (kind, status, what its manifest knows besides), and read it."""
    manifest, results = {}, []
    for name, (kind, status, more) in nodes.items():
        manifest[name] = {"name": name, "fqn": ["stocklake", "core", name], "resource_type": kind, **more}
        results.append(
            {"unique_id": name, "status": status, "execution_time": 0.1, "message": f"dbt on {name}", "adapter_response": {},
             "failures": 12_345 if status == "fail" else None}
        )  # fmt: skip
    files = tmp_path / "run_results.json", tmp_path / "manifest.json"
    files[0].write_text(json.dumps({"results": results, "elapsed_time": 1.0}))
    files[1].write_text(json.dumps({"nodes": manifest, "unit_tests": {}}))
    return read_report(*files)


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_said_with_its_table_and_its_rows(tmp_path, rule):
    given, told = RULES[rule]
    known = {"test_metadata": {"name": rule, "kwargs": given}, "attached_node": "model.stocklake.fct_sales"}
    report = _report(
        tmp_path, {f"{rule}_fct_sales__etc": ("test", "fail", known), "behind": ("model", "skipped", {})}
    )
    with pytest.raises(GateFailed, match="1 dbt nodes failed and 1 were skipped") as failed:
        raise_on_failures(report)
    assert told in str(failed.value) and "Got" not in str(failed.value)


def test_what_failed_otherwise_is_said_as_dbt_says_it(tmp_path):
    report = _report(tmp_path, {"fct_sales": ("model", "error", {}), "own_test": ("test", "fail", {})})
    with pytest.raises(
        StocklakeError, match="model fct_sales: dbt on fct_sales; test own_test: dbt on own_test"
    ) as failed:
        raise_on_failures(report)
    assert not isinstance(failed.value, GateFailed)
    assert [node.failing_rows for node in report.nodes] == [0, 12_345]
