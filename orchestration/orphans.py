"""Runs whose process died (killed, power lost) are told to Dagster as failed.

Otherwise they look started for ever, and hold their place in the writer's pool against every run queued behind them.
"""

import os
import socket

import dagster as dg
import psutil

PROCESS_TAG = "stocklake/process"


def process_tag() -> dict[str, str]:
    """Return the tag that a run of this process carries: host, process id, and when the process began."""
    return {PROCESS_TAG: _signature(psutil.Process())}


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the unfinished runs of processes of this host that are no more as failed; return their ids."""
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        signature = run.tags.get(PROCESS_TAG)
        if signature and _is_dead(signature):
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
