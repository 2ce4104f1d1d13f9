"""What a whole run tells of its lineage, and that a run goes on whatever becomes of what it tells."""

import json
import shutil
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from lake import transform
from lake.company import Company, LineageSettings
from lake.connection import Lake
from lake.contracts.reading import load_contracts
from lake.lineage_events import Job
from orchestration import telling
from orchestration.defs.raw.assets import raw_assets
from orchestration.house import House
from tests.conftest import SmallHome
from tests.lake.loading_kit import HEADER, contract, deliver
from tests.lake.openlineage import problems
from tests.orchestration.kit import open_tiny, resource_over


@pytest.fixture(scope="module")
def events(small_home: SmallHome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in small_home.lineage_events.read_text(encoding="utf-8").splitlines()]


def completed(events: list[dict[str, Any]], job: str) -> dict[str, Any]:
    return next(e for e in events if e["job"]["name"] == job and e["eventType"] == "COMPLETE")


def test_every_job_of_a_run_begins_and_ends_once(events: list[dict[str, Any]], small_home: SmallHome) -> None:
    assert [found for event in events for found in problems(event)] == []
    by_run: dict[tuple[str, str], list[str]] = {}
    for event in events:
        by_run.setdefault((event["job"]["name"], event["run"]["runId"]), []).append(event["eventType"])
    assert set(map(tuple, by_run.values())) == {("START", "COMPLETE")}
    jobs = {name for name, _ in by_run}
    assert len(jobs) == len(by_run)
    datasets = {f"ingest.{one.dataset}" for one in load_contracts(small_home.company)}
    assert jobs >= datasets | {"dbt.core.fct_demand", "dbt.marts.item_location_day", "gate", "plan"}
    assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in events}) == 1


def test_rows_and_columns_are_told_as_they_are(events: list[dict[str, Any]], small_home: SmallHome) -> None:
    made = completed(events, "ingest.sales_order_line")["outputs"][0]
    with Lake.of(small_home.company).read() as connection:
        (rows,) = connection.execute("select count(*) from lake.raw.sales_order_line").fetchone() or (0,)
        described = connection.execute("describe lake.marts.inventory_position").fetchall()
        planned = connection.execute("describe lake.plan.replenishment").fetchall()
    assert made["name"] == "raw.sales_order_line"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == rows
    assert made["facets"]["ownership"]["owners"][0]["name"] == "sales operations"
    position = completed(events, "dbt.marts.inventory_position")["outputs"][0]["facets"]
    assert {(f["name"], f["type"]) for f in position["schema"]["fields"]} == {
        (row[0], row[1]) for row in described
    }
    sources = position["columnLineage"]["fields"]["on_hand_units"]["inputFields"]
    assert {(one["name"], one["field"]) for one in sources} >= {("core.fct_inventory", "on_hand_units")}
    plan = completed(events, "plan")["outputs"][0]
    assert {row[0] for row in planned} - {"release_id"} <= {
        field["name"] for field in plan["facets"]["schema"]["fields"]
    }


def test_what_the_gate_asked_is_told_with_its_answer(
    events: list[dict[str, Any]], small_home: SmallHome
) -> None:
    told = {
        (one["name"], asserted["assertion"], asserted["success"])
        for one in completed(events, "gate")["inputs"]
        for asserted in one.get("inputFacets", {}).get("dataQualityAssertions", {}).get("assertions", [])
    }
    with Lake.of(small_home.company).read() as connection:
        found = connection.execute(
            "select table_name, check_name, outcome = 'passed' from lake.meta.gate_result where gate_run_id ="
            " (select gate_run_id from lake.meta.gate_run order by ran_at limit 1)"
        ).fetchall()
    assert told == set(found)
    assert len(told) > 100


def test_every_table_that_is_read_was_made_by_a_job(events: list[dict[str, Any]]) -> None:
    made = {one["name"] for event in events for one in event["outputs"]}
    read = {
        one["name"] for event in events if event["job"]["name"].startswith("dbt.") for one in event["inputs"]
    }
    assert read - made <= {"staging.crosswalk"}  # which the matching of codes makes


def with_lineage(house: House, **settings: Any) -> House:
    lineage = LineageSettings.model_validate(settings)
    company = house.company
    changed = company.settings.model_copy(update={"lineage": lineage})
    return House(Company(company.name, company.folder, company.home, changed), house.contracts, house.lake)


def test_a_refused_file_is_a_job_that_failed_and_its_neighbour_did_not(tmp_path: Path) -> None:
    house = with_lineage(
        open_tiny(tmp_path, contract("item"), contract("sales")), file=str(tmp_path / "said")
    )
    deliver(house.company, "item_1.csv", HEADER + "A1,1,2.50,2024-01-05\n")
    deliver(house.company, "sales_1.csv", "")
    dg.materialize([raw_assets(house)], resources={"house": resource_over(house)}, raise_on_error=False)
    telling.teller_of(house).flush(10)
    events = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [found for event in events for found in problems(event)] == []
    ended = {event["job"]["name"]: event for event in events if event["eventType"] != "START"}
    assert {name: event["eventType"] for name, event in ended.items()} == {
        "ingest.item": "COMPLETE", "ingest.sales": "FAIL",
    }  # fmt: skip
    assert "sales_1.csv is empty" in ended["ingest.sales"]["run"]["facets"]["errorMessage"]["message"]


def test_a_run_goes_on_beside_a_server_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections and never answers
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        house = with_lineage(open_tiny(tmp_path), url=url)
        deliver(house.company, "sales_1.csv", HEADER + "A1,1,2.50,2024-01-05\n")
        context: Any = SimpleNamespace(
            run=SimpleNamespace(run_id="7f0a1f5e-8c59-4a3c-9a41-0b4d5cbb9f10"), retry_number=0
        )
        began = time.monotonic()
        for _ in range(200):
            with telling.told(context, house, "ingest", telling.ingest_jobs({"sales"})):
                pass
        assert time.monotonic() - began < 20  # a server that is waited for takes 2 s each time
        assert dg.materialize([raw_assets(house)], resources={"house": resource_over(house)}).success


def test_what_goes_wrong_in_telling_stays_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = with_lineage(open_tiny(tmp_path), file=str(tmp_path / "said"))

    def broken(_: House) -> list[Job]:
        raise KeyError("no manifest")

    context: Any = SimpleNamespace(run=SimpleNamespace(run_id="not even a uuid"), retry_number=0)
    with telling.told(context, house, "dbt", broken) as state:
        telling.gated(state, None)  # type: ignore[arg-type]
    with (
        pytest.raises(ZeroDivisionError),
        telling.told(context, house, "dbt", broken, lambda *_: broken(house)),
    ):
        _ = 1 / 0
    assert "Lineage could not be told (KeyError" in caplog.text


def test_of_a_build_that_failed_each_model_says_how_it_ended(small_home: SmallHome, tmp_path: Path) -> None:
    """The results of the real build, in which one model failed instead, and what stands behind it was skipped."""
    company = Company("example", small_home.company.folder, tmp_path, small_home.company.settings)
    target = company.dbt / "target"
    target.mkdir(parents=True)
    there = small_home.company.dbt / "target"
    shutil.copy(there / "manifest.json", target)
    results = json.loads((there / "run_results.json").read_text())
    for result in results["results"]:
        if result["unique_id"] == "model.stocklake.fct_demand":
            result |= {"status": "error", "message": "Binder Error: no such column"}
        elif result["unique_id"].startswith("model.stocklake.item_location"):
            result["status"] = "skipped"
    (target / "run_results.json").write_text(json.dumps(results))
    house = House(company, load_contracts(small_home.company), Lake.of(company))
    state = telling.Told(
        jobs={
            job.name: job
            for job in telling._model_jobs(json.loads((target / "manifest.json").read_text()), {}, {})
        }
    )
    telling.build_failed(house, state)
    assert state.errors == {"dbt.core.fct_demand": "Binder Error: no such column"}
    built = {
        result["unique_id"].split(".")[-1] for result in results["results"] if result["status"] == "success"
    }
    assert {"dbt.marts.item_location_day", "dbt.marts.item_location_future"} <= state.aborted
    assert state.aborted == {name for name in state.jobs if name.split(".")[-1] not in built} - set(
        state.errors
    )
    assert (
        transform.newest_report(
            House(Company("x", tmp_path, tmp_path / "none", company.settings), (), house.lake).company
        )
        is None
    )
