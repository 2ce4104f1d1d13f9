"""Watches the folders that contracts name: a run starts when a delivery has arrived whole or changed."""

import hashlib
import json
import time

import dagster as dg

from lake.sources.files import find_files
from orchestration.house import DAILY, House

SETTLED_AFTER_S = 10
"""A file that changed within so many seconds may still be being written: the sensor waits for its next tick."""


def inbox_sensor(house: House) -> dg.SensorDefinition:
    """Return the sensor on every file that the company's contracts match.

    The cursor is a hash of names, sizes and times of change; the run key is the same, so that one state of the
    inbox starts one run however often the sensor ticks.
    """

    @dg.sensor(
        name="inbox",
        job_name=DAILY,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Starts a run when a file has arrived or changed, and has been left alone for ten seconds.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        state = _inbox_state(house)
        key = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
        if not state or key == context.cursor:
            return dg.SkipReason(f"Nothing new among {len(state)} files.")
        path, _, changed_ns = max(state, key=lambda file: file[2])
        # A time of change in the future is a wrong clock somewhere, not a writer at work.
        if 0 <= time.time() - changed_ns / 1e9 < SETTLED_AFTER_S:
            return dg.SkipReason(
                f"{path} changed less than {SETTLED_AFTER_S} s ago: it may still be written."
            )
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)], cursor=key)

    return sense


def _inbox_state(house: House) -> list[tuple[str, int, int]]:
    """Return path, size in bytes and time of change in ns of every file, sorted by path."""
    state = []
    for path in sorted(
        {
            path
            for contract in house.contracts
            if contract.source is None
            for _, path in find_files(house.company, contract)
        }
    ):
        try:
            file = path.stat()
        except FileNotFoundError:  # taken away since it was listed
            continue
        state.append((str(path), file.st_size, file.st_mtime_ns))
    return state
