"""The Dagster UI as people use it: webserver and daemon serve a company, runs start through its own GraphQL API."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.releases import GateResult, GateRun, newest_gate_run, record_gate_run
from tests.conftest import SmallHome

START_S, RUN_S = 300, 600
PLAN, ORDERS = ["plan", "replenishment"], ["orders", "proposal"]

LAUNCH = """
mutation Launch($runs: [ExecutionParams!]!) {
  launchMultipleRuns(executionParamsList: $runs) {
    ... on LaunchMultipleRunsResult {
      launchMultipleRunsResult { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
    }
    ... on PythonError { message }
  }
}"""
RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) { ... on Run { status startTime endTime } }
  logsForRun(runId: $id, limit: 1000) {
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent { stepKey failureMetadata { description } error { message } }
      }
    }
  }
}"""
ASSET = """
query Asset($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      groupName kinds owners { ... on TeamAssetOwner { team } }
      assetMaterializations(limit: 1) {
        runId metadataEntries { label ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry { mdStr } }
      }
    }
  }
}"""


@dataclass(frozen=True)
class Ui:
    """A UI that is up: the process of `stocklake ui`, and questions to it."""

    home: SmallHome
    process: "subprocess.Popen[bytes]"
    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = json.load(answer)
        assert "errors" not in body, body
        return body["data"]

    def launch(self, *selections: list[list[str]]) -> list[str]:
        """Start a run of the daily job for each selection of assets, all of them at once; return the run ids."""
        runs = [
            {
                "selector": {
                    "repositoryLocationName": "stocklake",
                    "repositoryName": "__repository__",
                    "jobName": "daily",
                    "assetSelection": [{"path": path} for path in selection],
                },
                "runConfigData": "{}",
            }
            for selection in selections
        ]
        results = self.ask(LAUNCH, runs=runs)["launchMultipleRuns"]["launchMultipleRunsResult"]
        assert all(result["__typename"] == "LaunchRunSuccess" for result in results), results
        return [result["run"]["runId"] for result in results]

    def finished(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended, and return its status, times and step failures."""
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            answer = self.ask(RUN, id=run_id)
            run: dict[str, Any] = answer["runOrError"]
            if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}:
                events = answer["logsForRun"]["events"]
                return run | {
                    "failures": [e for e in events if e["__typename"] == "ExecutionStepFailureEvent"]
                }
            time.sleep(1)
        raise TimeoutError(f"run {run_id} did not end: {answer}")

    def asset(self, path: list[str]) -> dict[str, Any]:
        node: dict[str, Any] = self.ask(ASSET, key={"path": path})["assetNodeOrError"]
        return node


@pytest.fixture(scope="module")
def ui(small_home: SmallHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("ui")
        home = small_home.copy_to(folder, patch)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "orchestration.cli", "ui", "--port", str(port)]
        with (folder / "ui.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=PROJECT_ROOT, env=home.environment, stdout=log, stderr=subprocess.STDOUT
            )
        served = Ui(home, process, port)
        try:
            _wait_until_loaded(served, folder / "ui.log")
            yield served
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_loaded(ui: Ui, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and ui.process.poll() is None:
        try:
            ui.ask("{ version }")
            return
        except OSError:
            time.sleep(1)
    pytest.fail(f"The UI did not come up: {log.read_text(encoding='utf-8')[-3000:]}")


def test_two_runs_started_at_once_follow_one_another_and_show_what_they_made(ui: Ui) -> None:
    ids = ui.launch([PLAN, ORDERS], [PLAN])
    first, second = (ui.finished(run_id) for run_id in ids)
    assert (first["status"], second["status"]) == ("SUCCESS", "SUCCESS"), (first, second)
    # The pool of one: whoever began later began when the other had ended.
    earlier, later = sorted((first, second), key=lambda run: run["startTime"])
    assert earlier["endTime"] <= later["startTime"]

    plan, orders = ui.asset(PLAN), ui.asset(ORDERS)
    assert plan["assetMaterializations"][0]["runId"] in ids
    assert orders["assetMaterializations"][0]["runId"] == ids[0]
    assert (plan["groupName"], orders["groupName"]) == ("plan", "orders")
    assert orders["owners"] == [{"team": "supply_planning"}]
    shown = {entry["label"]: entry for entry in plan["assetMaterializations"][0]["metadataEntries"]}
    assert shown["dagster/row_count"]["intValue"] > 0
    assert shown["projected stock"]["mdStr"].startswith("![")


def test_after_a_failed_gate_the_plan_alone_fails_with_the_gates_sentence(ui: Ui) -> None:
    lake = Lake.of(ui.home.company)
    problem = GateResult(
        "marts",
        "marts.item_location_day",
        "unit_price",
        "is not negative",
        "stop",
        "failed",
        "3 rows below 0",
        3,
    )
    with lake.write() as connection:
        standing = newest_gate_run(connection)
        assert standing
        record_gate_run(
            connection,
            GateRun("G-failed", standing.snapshot_id + 1, datetime.now(UTC).replace(tzinfo=None), False,
                    standing.as_of, "other", (problem,)),
        )  # fmt: skip
    before = ui.asset(PLAN)["assetMaterializations"][0]["runId"]
    run = ui.finished(ui.launch([PLAN])[0])
    assert run["status"] == "FAILURE"
    [failure] = run["failures"]
    said = failure["failureMetadata"]["description"]
    assert said.startswith("Gate run G-failed failed, so nothing is planned from this data")
    assert "marts.item_location_day.unit_price: 3 rows below 0 (stop)" in said
    assert ui.asset(PLAN)["assetMaterializations"][0]["runId"] == before


def test_a_second_ui_of_the_company_is_refused(ui: Ui) -> None:
    done = ui.home.stocklake("ui", "--port", "1")
    assert done.returncode == 2
    assert "is running already" in done.stderr


def test_term_ends_the_ui_and_leaves_no_process_behind(ui: Ui) -> None:
    """Last, because it ends the UI of this module."""
    family = psutil.Process(ui.process.pid).children(recursive=True)
    assert len(family) >= 4  # webserver, daemon, and the code server of each
    os.kill(ui.process.pid, signal.SIGTERM)
    assert ui.process.wait(30) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
