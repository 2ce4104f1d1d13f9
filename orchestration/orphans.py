"""Runs whose process died (killed, power lost) are told to Dagster as failed.

Otherwise they look started for ever, and hold their place in the writer's pool against every run queued behind them.
"""

import os
import socket

import dagster as dg
import psutil
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

PROCESS_TAG = ".dagster/stocklake_process"
"""The UI does not show tags that begin so: this one says nothing to people."""
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tag() -> dict[str, str]:
    """Return the tag that a run of this process carries: host, process id, and when the process began."""
    return {PROCESS_TAG: _signature(psutil.Process())}


def process_of(run: dg.DagsterRun) -> str | None:
    """Return the process that `stocklake run` did this run in; None for one that the UI started."""
    # Doing a run again in the UI copies its tags, but not its process.
    return None if PARENT_RUN_ID_TAG in run.tags else run.tags.get(PROCESS_TAG)


def fail_dead_runs(instance: dg.DagsterInstance, *, unserved: bool = False) -> list[str]:
    """Mark the unfinished runs of processes of this host that are no more as failed; return their ids.

    `unserved` says that no UI is up: then the runs that one had started (they carry no tag) died with it.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        signature = process_of(run)
        if _is_dead(signature) if signature else unserved:
            instance.report_run_failed(run, "The process of this run ended without a word: it was killed.")
            dead.append(run.run_id)
    return dead


def _signature(process: psutil.Process) -> str:
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def _is_dead(signature: str) -> bool:
    host, pid, _ = signature.split(":")
    if host != socket.gethostname() or int(pid) == os.getpid():
        return False
    try:
        return _signature(psutil.Process(int(pid))) != signature
    except psutil.NoSuchProcess:
        return True
