"""A killed run does not hold its place for ever."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.orphans import PROCESS_TAG, fail_dead_runs, process_tag


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def _started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    @dg.job(tags=tags)
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return run.run_id


def test_the_run_of_a_killed_process_fails_and_others_stay(instance: dg.DagsterInstance) -> None:
    program = "from orchestration.orphans import process_tag; print(next(iter(process_tag().values())))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    dead = _started(instance, {PROCESS_TAG: done.stdout.strip()})
    ours, foreign, untold = (
        _started(instance, tags) for tags in (process_tag(), {PROCESS_TAG: "elsewhere:1:1"}, {})
    )
    assert fail_dead_runs(instance) == [dead]
    statuses = {
        run_id: run.status
        for run_id in (dead, ours, foreign, untold)
        if (run := instance.get_run_by_id(run_id))
    }
    assert statuses.pop(dead) == dg.DagsterRunStatus.FAILURE
    assert set(statuses.values()) == {dg.DagsterRunStatus.STARTED}
    assert fail_dead_runs(instance) == []


def test_where_no_ui_is_up_the_runs_that_one_had_started_are_dead_too(instance: dg.DagsterInstance) -> None:
    ours, untold = _started(instance, process_tag()), _started(instance, {})
    again = _started(instance, process_tag() | {"dagster/parent_run_id": ours})
    assert set(fail_dead_runs(instance, unserved=True)) == {untold, again}
