"""A stream under fire: a million events, doubled and out of order, while consumers are killed and the broker loses its store.

    python -m benchmarks.crashes_stream [--events N] [--kills N] [--json]

Producers publish in windows and wait for every acknowledgement (`sync_interval: always`); consumers are `lake.listening`, each
killed with SIGKILL at a chosen point or moment; the broker is killed and started again once, and once its store is wiped, after
which the producer goes back to what no consumer has acknowledged, and further. A reader looks all the time.
Afterwards every good event has to be in the lake exactly once, and every row that was read accounted for.
"""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

import lake.fetching
import lake.ledger
from benchmarks.stream_parts import BAD_EVERY, DATASET, STREAM, Producer, Reader, contract, schedule
from lake.company import Company, CompanySettings
from lake.connection import Lake
from lake.ledger import position, totals
from lake.listening import listen, listen_once
from lake.sources.streams.jetstream import JetStream
from tests.nats import NatsServer

POINTS = ("land", "landed", "commit", "committed", "acknowledged", "moment")
READER_WAIT_S = 3.0
"""The catalogue is SQLite; the time in the queue for a core is left out."""
PATIENCE_S = 8.0
"""A consumer that has not died by then is killed wherever it is."""


def consume(folder: str, url: str, batch_rows: int, point: str, nth: int, delay_s: float) -> None:
    """Listen until killed: at the nth time that a point is reached, or after a delay."""
    if point == "moment":
        threading.Timer(delay_s, _die).start()
    else:
        _arm(point, nth)
    listen(
        _company(Path(folder)),
        [contract(url, batch_rows)],
        run_id="trial",
        stop=threading.Event(),
        tell=lambda done: None,
    )


def _arm(point: str, nth: int) -> None:
    """Let this process kill itself when it reaches a point for the nth time."""
    owner, name, is_after = {
        "land": (lake.fetching, "land_file", False),
        "landed": (lake.fetching, "land_file", True),
        "commit": (lake.ledger, "touch_guard", True),
        "committed": (JetStream, "acknowledge", False),
        "acknowledged": (JetStream, "acknowledge", True),
    }[point]
    original, reached = getattr(owner, name), 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal reached
        reached += 1
        if reached == nth and not is_after:
            _die()
        result = original(*arguments, **named)
        if reached == nth and is_after:
            _die()
        return result

    setattr(owner, name, deadly)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _company(folder: Path) -> Company:
    return Company("trial", folder, folder / "home", CompanySettings(title="Trial", currency="EUR"))


def stream_trial(
    events: int,
    folder: Path,
    *,
    kills: int = 60,
    batch_rows: int = 5_000,
    seed: int = 7,
    judges_waits: bool = True,
) -> dict[str, Any]:
    """Run the trial below `folder`; return kills, violations and more counts. `problems` says each violation.

    How long a reader waited is judged on a quiet machine only (`judges_waits`).
    """
    start = time.monotonic()
    server = NatsServer(folder / "nats").start()
    try:
        server.make_stream(STREAM, "fleet.>")
        trial = _Trial(events, folder, server, kills, batch_rows, random.Random(seed), judges_waits)
        found = trial.run(schedule(events, seed))
    finally:
        server.kill()
    return found | {"wall_s": round(time.monotonic() - start, 1)}


@dataclass
class _Trial:
    events: int
    folder: Path
    server: NatsServer
    kills: int
    batch_rows: int
    random: random.Random
    judges_waits: bool

    def run(self, plan: npt.NDArray[np.int64]) -> dict[str, Any]:
        company, stop = _company(self.folder), threading.Event()
        producer = Producer(self.server.url, plan, f"stocklake_{company.name}_{DATASET}")
        reader = Reader(Lake.of(company))
        threads = [
            threading.Thread(target=lambda: asyncio.run(producer.run(stop))),
            threading.Thread(target=reader.run, args=(stop,)),
        ]
        for thread in threads:
            thread.start()
        try:
            for number in range(self.kills):
                producer.until = len(plan) * (number + 2) // (self.kills + 1)
                self._kill_one(number)
            producer.until = len(plan)
            self._drain(company, producer)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        problems = [*_judge(company, self.events, self._last_sequence()), *reader.problems]
        worst = {part: round(seconds, 2) for part, seconds in asdict(reader.worst).items()}
        if self.judges_waits and reader.worst.waited_s > READER_WAIT_S:
            problems.append(f"a reader waited {reader.worst.waited_s:.2f} s: {worst}")
        return {
            "events": self.events,
            "published": producer.published,
            "published_again_after_wipe": producer.went_back,
            "kills": self.kills,
            "broker_kills": 2,
            "violations": len(problems),
            "problems": problems[:20],
            **totals(Lake.of(company)),
            "reader_looks": reader.looks,
            "reader_longest_wait_s": round(reader.worst.waited_s, 2),
            "reader_worst_look": worst,
        }

    def _kill_one(self, number: int) -> None:
        """Start a consumer and see it die; at a third of them the broker is killed too, at two thirds it loses its store."""
        point = POINTS[number % len(POINTS)]
        nth = self.random.randint(1, max(self.events // (self.batch_rows * (self.kills + 1)), 1))
        arguments = (
            str(self.folder),
            self.server.url,
            self.batch_rows,
            point,
            nth,
            self.random.uniform(0.1, 2),
        )
        consumer = _FORKS.Process(target=consume, args=arguments)
        consumer.start()
        if number in (self.kills // 3, 2 * self.kills // 3):
            time.sleep(self.random.uniform(0.2, 1))
            if number == self.kills // 3:
                self.server.kill()
                self.server.start()
            else:
                self.server.wipe()
                self.server.make_stream(STREAM, "fleet.>")
        consumer.join(PATIENCE_S)
        if consumer.is_alive():
            consumer.kill()
            consumer.join()

    def _drain(self, company: Company, producer: Producer) -> None:
        """Listen until all that will ever be published is committed."""
        described, never = contract(self.server.url, self.batch_rows), threading.Event()
        while True:
            is_published = producer.done == len(producer.plan)
            done = listen_once(company, described, run_id="trial", stop=never)
            reached = (position(Lake.of(company), DATASET) or {"sequence": 0})["sequence"]
            if is_published and not done.problem and reached == self._last_sequence():
                return
            time.sleep(0.05)

    def _last_sequence(self) -> int:
        return int(self.server.do(lambda client: client.jetstream().stream_info(STREAM)).state.last_seq)


def _judge(company: Company, events: int, last_sequence: int) -> list[str]:
    """Return what is wrong with the lake, in sentences."""
    bad = events // BAD_EVERY
    with Lake.of(company).read() as connection:
        rows, distinct, missing, quarantined = connection.execute(
            f"""
            WITH good AS (FROM range({events}) AS numbers (i) WHERE i % {BAD_EVERY} <> {BAD_EVERY} - 1)
            SELECT (SELECT count(*) FROM lake.raw.{DATASET}), (SELECT count(DISTINCT event_id) FROM lake.raw.{DATASET}),
                   (SELECT count(*) FROM good ANTI JOIN lake.raw.{DATASET} ON event_id = 'E' || lpad(i::VARCHAR, 8, '0')),
                   (SELECT count(DISTINCT regexp_extract(raw_text, 'E[0-9]{{8}}')) FROM lake.meta.quarantine)
            """
        ).fetchone()  # type: ignore[misc]
    counts = totals(Lake.of(company))
    accounted = sum(counts[name] for name in ("loaded", "quarantined", "duplicate", "unchanged"))
    reached = (position(Lake.of(company), DATASET) or {})["sequence"]
    found = {
        f"{rows} rows for {events - bad} good events": rows != events - bad,
        f"{rows - distinct} rows are there twice": rows != distinct,
        f"{missing} good events are missing": missing != 0,
        f"{quarantined} of {bad} bad events in quarantine": quarantined != bad,
        f"{counts['rows_read']} rows read, {accounted} accounted for": counts["rows_read"] != accounted,
        f"the ledger says {counts['loaded']} rows, there are {rows}": counts["loaded"] != rows,
        f"{counts['files_refused']} batches refused": counts["files_refused"] != 0,
        f"read up to {reached} of {last_sequence}": reached != last_sequence,
    }
    return [sentence for sentence, is_wrong in found.items() if is_wrong]


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["benchmarks.stream_parts", "lake.listening", "lake.sources.streams.source"])


def main(
    events: int = 1_000_000,
    kills: int = 60,
    batch_rows: int = 5_000,
    as_json: bool = typer.Option(False, "--json"),
) -> None:
    """Print what the trial counted."""
    with tempfile.TemporaryDirectory() as folder:
        found = stream_trial(events, Path(folder), kills=kills, batch_rows=batch_rows)
    print(json.dumps(found) if as_json else "\n".join(f"{key:28} {value}" for key, value in found.items()))
    raise typer.Exit(1 if found["violations"] else 0)


if __name__ == "__main__":
    typer.run(main)
