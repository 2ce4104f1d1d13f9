"""What a trial of streams is made of: events in a disorderly order, a careful producer, a reader that looks all the time."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import nats.errors
import numpy as np
import numpy.typing as npt

from benchmarks.crash_reader import Look, timed
from lake.connection import Lake
from lake.contracts.model import Column, Contract, Location
from lake.sources.streams.settings import NatsSettings

STREAM, DATASET = "TELEMETRY", "telemetry"
BAD_EVERY = 2_000
"""Every so many events one is not what its contract says, and belongs in quarantine."""
START = datetime(2026, 1, 1)
WINDOW = 4_000


def contract(url: str, batch_rows: int) -> Contract:
    """Return the contract of the trial's events."""
    return Contract(
        dataset=DATASET,
        path=Path("telemetry.odcs.yaml"),
        version="1.0.0",
        title="Telemetry",
        description="",
        owner="benchmarks",
        domain="logistics",
        location=Location("", "jsonl", other_fields="ignore"),
        columns=(
            Column("event_id", "event_id", "string", required=True, key=True),
            Column("occurred_at", "occurred_at", "timestamp", required=True),
            Column("device", "device", "string", required=True),
            Column("reading", "reading", "integer", required=True),
        ),
        write_mode="insert_only",
        key_scope="business_date",
        business_date="occurred_at",
        source=NatsSettings(
            kind="nats",
            servers=url,
            stream=STREAM,
            batch_rows=batch_rows,
            batch_seconds=0.1,
            event_time="occurred_at",
        ),
    )


def event(number: int) -> bytes:
    """Return the payload of an event; the same number gives the same bytes."""
    reading = '"x"' if number % BAD_EVERY == BAD_EVERY - 1 else str(number * 7 % 1000)
    moment = (START + timedelta(milliseconds=10 * number)).isoformat()
    return f'{{"event_id":"E{number:08d}","occurred_at":"{moment}","device":"D{number % 97}","reading":{reading}}}'.encode()


def schedule(events: int, seed: int) -> npt.NDArray[np.int64]:
    """Return event numbers in the order in which they are published: 5 % twice, 5 % far from their place."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(events)
    place = numbers.astype(float)
    moved = rng.random(events) < 0.05
    place[moved] += rng.integers(-2_000, 2_000, moved.sum())
    doubled = rng.random(events) < 0.05
    every = np.concatenate([numbers, numbers[doubled]])
    place = np.concatenate([place, numbers[doubled] + rng.integers(1, 20_000, doubled.sum())])
    return every[np.argsort(place, kind="stable")]


@dataclass
class Producer:
    """Publishes a schedule, whatever the broker does; `done` counts what stands in it for certain."""

    url: str
    plan: npt.NDArray[np.int64]
    consumer: str
    done: int = 0
    published: int = 0
    went_back: int = 0
    until: int = 0
    """Publish to here and wait."""

    async def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set."""
        created, last, safe = "", 0, 0
        windows: list[tuple[int, int]] = []
        while not stop.is_set():
            try:
                client = await nats.connect(self.url, allow_reconnect=False, error_cb=_say_nothing)
                try:
                    info = await _ask(client, f"STREAM.INFO.{STREAM}")
                    if (info["created"], info["state"]["last_seq"] >= last) != (created, True):
                        # Another stream: what no consumer has acknowledged is gone, and so may be some before it.
                        back = max(0, safe - len(self.plan) // 50)
                        self.went_back += max(self.done - back, 0)
                        self.done, windows, created = back, [], info["created"]
                    while not stop.is_set():
                        if self.done >= self.until:
                            await asyncio.sleep(0.01)
                            continue
                        end = min(self.done + WINDOW, self.until)
                        last = await self._window(client, self.plan[self.done : end])
                        self.done = end
                        windows.append((last, end))
                        floor = await self._floor(client)
                        while windows and windows[0][0] <= floor:
                            safe = windows.pop(0)[1]
                finally:
                    await client.close()
            except (nats.errors.Error, OSError, TimeoutError, KeyError):
                await asyncio.sleep(0.05)

    async def _window(self, client: Any, numbers: npt.NDArray[np.int64]) -> int:
        """Publish events and wait until the stream has acknowledged each; return the last sequence."""
        acknowledged, last, all_there = 0, 0, asyncio.Event()

        async def count(message: Any) -> None:
            nonlocal acknowledged, last
            answer = json.loads(message.data)
            acknowledged, last = acknowledged + 1, max(last, answer["seq"])
            if acknowledged == len(numbers):
                all_there.set()

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=count)
        for number in numbers.tolist():
            await client.publish(f"fleet.{number % 97}.position", event(number), reply=inbox)
        await asyncio.wait_for(all_there.wait(), 30)
        await subscription.unsubscribe()
        self.published += len(numbers)
        return last

    async def _floor(self, client: Any) -> int:
        """Return the sequence up to which consumers have acknowledged: what a producer may forget."""
        try:
            return int(
                (await _ask(client, f"CONSUMER.INFO.{STREAM}.{self.consumer}"))["ack_floor"]["stream_seq"]
            )
        except KeyError:
            return 0


async def _ask(client: Any, subject: str) -> Any:
    return json.loads((await client.request(f"$JS.API.{subject}", b"", timeout=10)).data)


async def _say_nothing(error: Exception) -> None:
    """Breaks are what the trial is about."""


@dataclass
class Reader:
    """Looks at the lake all the time; every look is one snapshot."""

    lake: Lake
    looks: int = 0
    worst: Look = field(default_factory=Look)
    problems: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(0.5):
            with timed() as look:
                try:
                    self._look()
                except Exception as error:
                    self.problems.append(f"a reader failed: {type(error).__name__}: {error}")
            self.looks += 1
            self.worst = max(self.worst, look, key=lambda look: look.waited_s)

    def _look(self) -> None:
        with self.lake.read() as connection:
            connection.execute("SET threads = 1")
            tables = connection.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_name IN ('telemetry', 'position')"
            ).fetchone()
            if tables != (2,):
                return
            rows, loaded, newest, reached = connection.execute(
                f"""
                SELECT (SELECT count(*) FROM lake.raw.{DATASET}),
                       (SELECT coalesce(sum(loaded), 0) FROM lake.meta.delivery WHERE dataset = '{DATASET}'),
                       (SELECT arg_max(delivery_id, loaded_at) FROM lake.meta.delivery WHERE dataset = '{DATASET}'),
                       (SELECT max(delivery_id) FROM lake.meta.position WHERE dataset = '{DATASET}')
                """
            ).fetchone()  # type: ignore[misc]
            if rows != loaded or newest != reached:
                self.problems.append(
                    f"a torn state: {rows} rows, {loaded} in the ledger, {reached} of {newest}"
                )
