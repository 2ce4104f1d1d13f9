"""Watches the folders that contracts name: a run starts when a delivery arrives or changes."""

import hashlib
import json

import dagster as dg

from lake.sources.files import find_files
from orchestration.house import House

JOB_NAME = "daily"


def inbox_sensor(house: House) -> dg.SensorDefinition:
    """Return the sensor on every file that the company's contracts match.

    The cursor is a hash of names, sizes and times of change; the run key is the same, so that one state of the
    inbox starts one run however often the sensor ticks.
    """

    @dg.sensor(
        name="inbox",
        job_name=JOB_NAME,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Starts a run when a file arrives or changes.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        files = {path for contract in house.contracts for _, path in find_files(house.company, contract)}
        state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(files)]
        key = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
        if not state or key == context.cursor:
            return dg.SkipReason(f"Nothing new among {len(state)} files.")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)], cursor=key)

    return sense
