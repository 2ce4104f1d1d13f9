"""Quarantine and landing from the command line: refused, corrected, replayed, accepted, purged."""

import json

import pytest
from typer.testing import CliRunner

from lake.company import load_company
from lake.connection import Lake
from orchestration.cli import app

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: acme.erp.sale
name: Sales
version: 1.0.0
status: active
domain: erp
team: {name: sales}
servers:
  - {server: export, type: local, path: "${INBOX}/sale_*.csv", format: csv}
schema:
  - name: sale
    customProperties:
      - {property: retention_days, value: 1}
      - {property: control_totals, value: {trailer: {marker: TRL, figures: [rows]}, severity: warn}}
    properties:
      - {name: item, logicalType: string, required: true}
      - {name: units, logicalType: integer, logicalTypeOptions: {maximum: 9}}
"""


@pytest.fixture
def acme(tmp_path, monkeypatch):
    monkeypatch.setenv("STOCKLAKE_COMPANIES", str(tmp_path))
    folder = tmp_path / "acme"
    (folder / "contracts").mkdir(parents=True)
    (folder / "company.yaml").write_text("title: Acme\ncurrency: EUR\n")
    (folder / "contracts" / "sale.odcs.yaml").write_text(CONTRACT)
    inbox = tmp_path / "home" / "acme" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "sale_1.csv").write_text("item,units,colour\nA,1,red\nB,50,red\nC,x,red\nTRL,4,\n")

    def run(*command, exit_code=0):
        options = ["--company", "acme", "--home", str(tmp_path / "home")]
        result = CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result.output

    run.home = tmp_path / "home"
    return run, folder / "contracts" / "sale.odcs.yaml"


def test_the_way_out_of_quarantine(acme):
    run, contract = acme
    told = run("ingest")
    assert "sale, sale_1.csv: the column 'colour' is new: passed over" in told
    assert "figures not tied" in told
    contract.write_text(CONTRACT.replace("maximum: 9", "maximum: 99"))
    counts = json.loads(run("quarantine", "replay", "sale", "--json"))
    assert counts == {"loaded": 1, "duplicate": 0, "unchanged": 0, "still_open": 1, "problems": []}
    assert "1 rows accepted as refused" in run(
        "quarantine", "accept", "sale", "--by", "Dana", "--reason", "a test row"
    )
    assert "Nothing is in quarantine" in run("quarantine", "list")
    every = run("quarantine", "show", "--all")
    assert "replayed" in every
    assert "accepted by Dana: a test row" in every
    state = json.loads(run("status", "--json"))
    assert {name: state[name] for name in ("rows_read", "loaded", "quarantined")} == {
        "rows_read": 3, "loaded": 2, "quarantined": 1,
    }  # fmt: skip
    assert (state["control_figures"], state["control_figures_not_tied"]) == (1, 1)
    assert json.loads(run("landing", "purge", "--dry-run", "--json")) == []


def test_lines_that_wait_for_a_factor_are_listed_beside_the_refused_ones(acme):
    """core.unconverted_row as dbt would leave it: one place to look, and nothing to replay or accept."""
    run, _ = acme
    run("ingest")
    with Lake.of(load_company("acme", run.home)).write() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS lake.core")
        connection.execute(
            "CREATE TABLE lake.core.unconverted_row AS SELECT 'sales_order_line' AS entity, 'sale' AS dataset,"
            " 'd1' AS delivery_id, 'sale_1.csv' AS file_name, 7::bigint AS line, 'missing_factor' AS rule,"
            " 'unit' AS column_name, 'no factor from CS to EA holds for A on 2025-03-01' AS message,"
            " '1 | A | 2 | CS' AS row_text, timestamp '2025-03-01 20:00:00' AS known_at"
        )
    listed = json.loads(run("quarantine", "list", "--json"))
    assert {(row["rule"], row["rows"]) for row in listed} == {
        ("type", 1),
        ("range", 1),
        ("missing_factor", 1),
    }
    shown = run("quarantine", "show", "sale", "--rule", "missing_factor")
    assert "sale_1.csv, line 7" in shown
    assert "missing_factor: unit: no factor from CS to EA holds for A on 2025-03-01" in shown
    assert json.loads(run("status", "--json"))["unconverted"] == 1
    told = run("quarantine", "accept", "sale", "--by", "Dana", "--reason", "no", "--rule", "missing_factor")
    assert told.startswith("0 rows")
