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


def fetch_sensor(house: House) -> dg.SensorDefinition:
    """Return the sensor that fetches from databases, APIs and streams as often as their contracts say.

    The cursor is, per dataset, the number of the interval in which it was fetched last; the run key names dataset and
    interval, so that one interval starts one run however often the sensor ticks. Such a run loads raw alone: the
    daily job takes it further.
    """
    minutes = {
        contract.dataset: contract.source.poll_minutes
        for contract in house.contracts
        if contract.source is not None and contract.source.poll_minutes is not None
    }

    @dg.sensor(
        name="fetch",
        target=dg.AssetSelection.assets(*(["raw", name] for name in minutes))
        if minutes
        else dg.AssetSelection.groups("raw"),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING if minutes else dg.DefaultSensorStatus.STOPPED,
        description="Fetches each source that has `poll_minutes`, once in each such interval.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen: dict[str, int] = json.loads(context.cursor or "{}")
        now = {name: int(time.time() / 60 / every) for name, every in minutes.items()}
        due = sorted(name for name, interval in now.items() if seen.get(name) != interval)
        if not due:
            return dg.SkipReason(f"None of {len(minutes)} sources is due.")
        requests = [
            dg.RunRequest(
                run_key=f"{name}-{now[name]}",
                asset_selection=[dg.AssetKey(["landing", name]), dg.AssetKey(["raw", name])],
            )
            for name in due
        ]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(seen | now))

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
