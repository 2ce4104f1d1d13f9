import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from lake.contracts.model import Check
from lake.errors import GateFailed, NoRelease, StocklakeError
from lake.quality import expectations
from lake.releases import current_release, list_releases, newest_gate_run, release
from tests.lake.quality.house import SALES, House, new_house, problem

AGAIN = """
import json, sys
from pathlib import Path
from tests.lake.quality.house import open_house
run = open_house(Path(sys.argv[1])).gate()
print(json.dumps([run.gate_run_id, run.is_standing, run.passed, "great_expectations" in sys.modules]))
"""


def gate_elsewhere(house: House) -> "subprocess.Popen[str]":
    """Run the gate in a process of its own; it prints the run's id, whether it stood, passed, and imported GX."""
    command = [sys.executable, "-c", AGAIN, str(house.company.home.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."})


def heard(process: "subprocess.Popen[str]") -> list[object]:
    try:
        out, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0
    said: list[object] = json.loads(out.strip().splitlines()[-1])
    return said


@pytest.fixture
def house(tmp_path: Path) -> House:
    return new_house(tmp_path)


def test_good_data_makes_a_release_and_an_unchanged_second_run_does_not_import_great_expectations(
    house: House,
) -> None:
    with pytest.raises(NoRelease):
        current_release(house.lake)
    pinned = house.lake.snapshot()
    first = house.gate()
    assert first.summary() == [f"Gate passed: {len(first.results)} checks passed (as of 2026-03-10)"]
    assert len(first.results) > 200
    made = current_release(house.lake)
    assert made == first.release == release(house.lake, made.release_id)
    assert (made.snapshot_id, made.as_of) == (pinned, date(2026, 3, 10))
    with pytest.raises(NoRelease, match="no release 'r7'"):
        release(house.lake, "r7")

    # What downstream writes, and a delivery that was skipped, change nothing that the gate looks at.
    house.execute(
        "CREATE TABLE lake.forecasts.demand_forecast AS SELECT 1 AS x;"
        "CREATE OR REPLACE TABLE lake.forecasts.demand_forecast AS SELECT 2 AS x;"
        "INSERT INTO lake.meta.delivery SELECT * FROM lake.meta.delivery WHERE status = 'duplicate_delivery'"
    )
    assert heard(gate_elsewhere(house)) == [first.gate_run_id, True, True, False]
    assert list_releases(house.lake) == [made]


def test_a_negative_price_in_a_mart_stops_downstream_and_missing_days_only_warn(house: House) -> None:
    house.execute("DELETE FROM lake.raw.sales WHERE order_date IN (DATE '2026-03-05', DATE '2026-03-07')")
    house.execute("UPDATE lake.meta.delivery SET loaded = 96, rows_read = 99 WHERE delivery_id = 'd1'")
    warned = replace(house, contracts=(replace(SALES, checks=SALES.checks[:1]), house.contracts[1])).gate()
    assert warned.passed
    assert warned.summary()[1:] == [
        "raw.sales.order_date: 2026-03-05 is missing; 2026-03-07 is missing (warn)",
    ]
    good = current_release(house.lake)

    house.execute("UPDATE lake.marts.supply_option SET unit_price = -1.5 WHERE item_id = 'I0'")
    failed = house.gate()
    assert problem(failed, "marts.supply_option", "is at least 0").line() == (
        "marts.supply_option.unit_price: 1 row below 0 (stop)"
    )
    with pytest.raises(GateFailed, match=r"marts\.supply_option\.unit_price: 1 row below 0") as caught:
        current_release(house.lake)
    assert caught.value.exit_code == 3
    assert current_release(house.lake, last_good=True) == good
    assert house.gate().is_standing


def test_what_could_not_run_is_an_error_and_is_asked_again(house: House) -> None:
    broken = replace(
        SALES,
        checks=(
            Check(
                "asks too much", "sql_no_rows", "warn", query="select * from {table} where no_such_column > 1"
            ),
            Check(
                "divides", "sql_no_rows", "warn", query="select * from {table} where error('boom: {x}') = 1"
            ),
        ),
        columns=(*SALES.columns, replace(SALES.columns[-1], name="payment_terms")),
    )
    house.execute(
        "DROP TABLE lake.core.fct_shipment;"
        "CREATE OR REPLACE TABLE lake.core.dim_supplier AS SELECT 'S1' AS supplier_id;"
        "CREATE OR REPLACE TABLE lake.marts.supplier_lead_time AS SELECT 'S1' AS supplier_id, DATE '2026-03-08' AS day,"
        " 'soon' AS as_of_ts, 'long' AS lead_time_mean_days, 0 AS lead_time_std_days, 1.0 AS on_time_share, 0 AS receipts,"
        " 9.0 AS lead_time_p90_days, 0.0 AS late_mean_days"
    )
    strange = replace(house, contracts=(broken, house.contracts[1]))
    run = strange.gate()
    assert not run.passed
    assert problem(run, "raw.sales", "asks too much").outcome == "error"
    assert "boom" in problem(run, "raw.sales", "divides").observed
    assert problem(run, "core.fct_shipment", "exists").outcome == "error"
    allowed = "is one of card, it's cash"
    assert problem(run, "raw.sales", allowed).column_name == "payment_terms"
    # One broken neighbour in the shared query hides neither good nor bad ones.
    mart = {r.column_name: r.outcome for r in run.results if r.table_name == "marts.supplier_lead_time"}
    assert mart["lead_time_mean_days"] == "error"
    assert mart["receipts"] == "failed"
    assert mart["lead_time_std_days"] == mart["on_time_share"] == "passed"
    with pytest.raises(GateFailed):
        current_release(house.lake)
    again = strange.gate()
    assert not again.is_standing
    assert again.gate_run_id != run.gate_run_id


def test_two_at_once_make_one_release(house: House) -> None:
    twins = [gate_elsewhere(house), gate_elsewhere(house)]
    said = [heard(twin) for twin in twins]
    assert {str(one[0]) for one in said} == {"gate-1"}
    assert all(one[2] for one in said)
    assert len(list_releases(house.lake)) == 1
    with house.lake.read() as connection:
        newest = newest_gate_run(connection)
        assert connection.execute("SELECT count(*) FROM lake.meta.gate_run").fetchone() == (1,)
    assert newest is not None
    assert newest.passed


def test_nothing_delivered_is_told_plainly(tmp_path: Path) -> None:
    house = new_house(tmp_path)
    house.execute("DROP TABLE lake.raw.items; DELETE FROM lake.raw.sales; DELETE FROM lake.meta.delivery")
    run = house.gate()
    assert (
        problem(run, "raw.items", "has been delivered").line() == "raw.items: no delivery has arrived (stop)"
    )
    assert problem(run, "raw.sales", "holds at least 1 rows").observed == "0 rows, at least 1 expected"


def test_newest_is_told_by_snapshot_and_not_by_the_clock(house: House) -> None:
    from lake.releases import GateRun, create_tables, record_gate_run

    early, late = datetime(2020, 1, 1), datetime(2030, 1, 1)
    with house.lake.write() as connection:
        create_tables(connection)
        record_gate_run(connection, GateRun("old", 5, late, True, date(2026, 3, 9), "a", ()))
        record_gate_run(connection, GateRun("new", 6, early, False, date(2026, 3, 10), "b", ()))
    with pytest.raises(GateFailed, match="Gate run new failed"):
        current_release(house.lake)


@pytest.mark.parametrize("says", ["passed", "failed", "error"])
def test_canaries_notice_when_verdicts_mean_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, says: expectations.Answer
) -> None:
    with house.lake.read() as connection:
        expectations.Validator(connection)
    monkeypatch.setattr(expectations, "_verdict", lambda _: expectations.Verdict(says))
    with house.lake.read() as connection, pytest.raises(StocklakeError, match="cannot be trusted"):
        expectations.Validator(connection)


def test_the_gate_cannot_write_to_the_lake(house: House) -> None:
    with house.lake.read(house.lake.snapshot()) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM lake.raw.sales")
