"""The journal of runs: what every stage of every run counted and cost, in `lake.meta.run_step`.

A stage is measured whole, with its child processes (dbt is one): CPU seconds, wall seconds, and the peak of the
resident memory, sampled ten times a second.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil

from lake.connection import Lake, table_exists
from lake.errors import StocklakeError

_TABLE = """
CREATE TABLE IF NOT EXISTS lake.meta.run_step (
    run_id VARCHAR, stage VARCHAR, started_at TIMESTAMP, wall_s DOUBLE, cpu_s DOUBLE, peak_mb DOUBLE,
    succeeded BOOLEAN, message VARCHAR, counts VARCHAR
)
"""
_SAMPLE_EVERY_S = 0.1


@dataclass
class StepRecord:
    """One stage of one run; a stage puts what it counted into `counts`."""

    run_id: str
    stage: str
    started_at: datetime
    counts: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    succeeded: bool = False
    message: str = ""


class _MemoryWatch(threading.Thread):
    """Samples the resident memory of this process and its children until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._stop_event = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._resident())
            if self._stop_event.wait(_SAMPLE_EVERY_S):
                return

    def stop(self) -> float:
        """Stop sampling and return the peak in MB."""
        self._stop_event.set()
        self.join()
        return self.peak_bytes / 1e6

    def _resident(self) -> int:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:  # a child that ended since it was listed
                continue
        return total


@contextmanager
def step(lake: Lake, run_id: str, stage: str) -> Iterator[StepRecord]:
    """Measure a stage and write its record to the journal, whether it succeeds or raises."""
    record = StepRecord(run_id, stage, datetime.now(UTC).replace(tzinfo=None))
    watch = _MemoryWatch()
    watch.start()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield record
        record.succeeded = True
    except Exception as error:
        record.message = str(error)
        record.counts["exit_code"] = error.exit_code if isinstance(error, StocklakeError) else 1
        raise
    finally:
        record.wall_s = time.perf_counter() - wall
        record.cpu_s = _cpu_seconds() - cpu
        record.peak_mb = watch.stop()
        _write(lake, record)


def last_run(lake: Lake) -> list[StepRecord]:
    """Return the steps of the newest run, in the order in which they started; none before the first run."""
    return _steps(
        lake,
        "WHERE run_id = (SELECT run_id FROM lake.meta.run_step ORDER BY started_at DESC LIMIT 1)"
        " ORDER BY started_at",
    )


def run_steps(lake: Lake, run_id: str) -> list[StepRecord]:
    """Return the steps of one run, in the order in which they started."""
    return _steps(lake, "WHERE run_id = ? ORDER BY started_at", [run_id])


def newest(lake: Lake, stage: str) -> StepRecord | None:
    """Return the newest record of a stage, whichever run it was part of."""
    found = _steps(lake, "WHERE stage = ? ORDER BY started_at DESC LIMIT 1", [stage])
    return found[0] if found else None


def _steps(lake: Lake, where: str, parameters: list[str] | None = None) -> list[StepRecord]:
    with lake.read() as connection:
        if not table_exists(connection, "meta", "run_step"):
            return []
        rows = connection.execute(f"SELECT * FROM lake.meta.run_step {where}", parameters or []).fetchall()
    return [_record(row) for row in rows]


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _write(lake: Lake, record: StepRecord) -> None:
    with lake.write() as connection:
        connection.execute(_TABLE)
        connection.execute(
            "INSERT INTO lake.meta.run_step VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                record.run_id,
                record.stage,
                record.started_at,
                round(record.wall_s, 3),
                round(record.cpu_s, 3),
                round(record.peak_mb, 1),
                record.succeeded,
                record.message,
                json.dumps(record.counts, default=str, sort_keys=True),
            ],
        )


def _record(row: tuple[Any, ...]) -> StepRecord:
    run_id, stage, started_at, wall_s, cpu_s, peak_mb, succeeded, message, counts = row
    return StepRecord(
        run_id, stage, started_at, json.loads(counts), wall_s, cpu_s, peak_mb, succeeded, message
    )
