"""From an event to an online read: 1,000 events a second for two minutes, through a real broker and a real Redis.

    python -m benchmarks.features_fresh [--json] [--seconds 120] [--rate 1000]

A producer publishes sales of 2,000 items with the moment of each in it, one in twenty out of order; `features.fresh` pushes
them in a process thread of its own; a reader asks for all items every quarter of a second. An event is visible when the
value that stands is it or a newer one; its age is counted from its publishing, the reader's own pause included. Lost are
events whose item does not end at its newest event.
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import numpy as np
import polars as pl
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.types import Int64, String

import features  # noqa: F401 (before Feast: it makes that import quick)
from features.fresh import Pushed, Pusher
from features.stores.online_reader import OnlineReader
from features.stores.source import LakeSource
from lake.company import load_company
from lake.contracts.model import Column, Contract, Location
from lake.sources.streams.settings import NatsSettings
from tests.features.stores.online_kit import redis_server
from tests.nats import NatsServer

ITEMS, LATE_EVERY = 2_000, 20
START = datetime(2026, 1, 1)
STREAM, SUBJECT = "TILL", "till.1.sale"


def contract(url: str) -> Contract:
    return Contract(
        dataset="till_sale", path=Path("till_sale.odcs.yaml"), version="1.0.0", title="", description="", owner="",
        domain="logistics", location=Location("", "jsonl", other_fields="ignore"),
        columns=(
            Column("item_id", "item_id", "string", required=True),
            Column("sold_at", "sold_at", "timestamp", required=True),
            Column("number", "number", "integer", required=True),
        ),
        write_mode="append",
        source=NatsSettings(kind="nats", servers=url, stream=STREAM, batch_rows=5_000),
    )  # fmt: skip


def open_feast(folder: Path, redis: str) -> FeatureStore:
    block = {"type": "features.stores.online_redis.LakeRedisOnlineStore", "connection_string": redis}
    config = RepoConfig(
        project="fresh", provider="local", registry=str(folder / "registry.db"), online_store=block,
        offline_store={"type": "features.stores.lake.LakeOfflineStore", "company": "example", "home": str(folder)},
        entity_key_serialization_version=3,
    )  # fmt: skip
    store = FeatureStore(config=config)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    source = LakeSource(
        name="till", table="raw.till_sale", timestamp_field="sold_at", created_timestamp_column="_known_at"
    )
    fields = [Field(name="item_id", dtype=String), Field(name="number", dtype=Int64)]
    view = FeatureView(name="last_sale", entities=[item], source=source, schema=fields)
    store.apply([item, view, FeatureService(name="v1", features=[view])])
    return store


def order(count: int) -> np.ndarray[Any, Any]:
    """Return the numbers of events as they are published: one in twenty comes up to 2,500 events late."""
    random = np.random.default_rng(7)
    places = np.arange(count, dtype=float)
    late = random.random(count) < 1 / LATE_EVERY
    places[late] += random.integers(1, 2_500, int(late.sum()))
    return np.argsort(places, kind="stable")


def publish(url: str, numbers: np.ndarray[Any, Any], rate: float, published: np.ndarray[Any, Any]) -> None:
    async def work() -> None:
        client = await nats.connect(url)
        stream = client.jetstream(publish_async_max_pending=4_000)
        begin, pending = time.perf_counter(), []
        for place, number in enumerate(numbers.tolist()):
            if place % 50 == 0:
                await asyncio.sleep(max(0.0, begin + place / rate - time.perf_counter()))
            sold_at = (START + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")
            event = {"item_id": f"I{number % ITEMS}", "sold_at": f"{sold_at}Z", "number": number}
            published[number] = time.perf_counter()
            pending.append(await stream.publish_async(SUBJECT, json.dumps(event).encode()))
        for one in pending:
            await one
        await client.close()

    asyncio.run(work())


def observe(
    reader: OnlineReader, seen: np.ndarray[Any, Any], stop: threading.Event, wanted: np.ndarray[Any, Any]
) -> None:
    """Note when each event was first covered by what stands for its item."""
    keys = pl.DataFrame({"item_id": [f"I{item}" for item in range(ITEMS)]})
    before = np.full(ITEMS, -1)
    while not stop.is_set() and not (before >= wanted).all():
        now_standing = reader.read(keys)["number"].fill_null(-1).to_numpy()
        now = time.perf_counter()
        for item in np.flatnonzero(now_standing > before):
            first = int(before[item]) + ITEMS if before[item] >= 0 else int(item)
            seen[first : int(now_standing[item]) + 1 : ITEMS] = now
        before = np.maximum(before, now_standing)
        stop.wait(0.25)


def measure(seconds: float, rate: float) -> dict[str, float]:
    count = int(seconds * rate)
    numbers = order(count)
    published, seen = np.zeros(count), np.full(count, np.nan)
    items = np.arange(count) % ITEMS
    wanted = np.full(ITEMS, -1)
    np.maximum.at(wanted, items, np.arange(count))
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        folder = Path(name)
        server = NatsServer(folder / "nats", sync_interval="2m").start()
        try:
            server.make_stream(STREAM, "till.>")
            company = load_company("example", home=folder / "home")
            company.prepare()
            store = open_feast(folder, redis)
            view = store.get_feature_view("last_sale")
            pusher = Pusher(company, contract(server.url), store, view)
            done, stop = Pushed("till_sale"), threading.Event()

            def push() -> None:
                while not stop.is_set():
                    one = pusher.look()
                    done.events, done.written = done.events + one.events, done.written + one.written
                    done.problem = one.problem or done.problem
                    stop.wait(0.2)

            reader = OnlineReader.open(open_feast(folder, redis), "v1")
            threads = [
                threading.Thread(target=push),
                threading.Thread(target=observe, args=(reader, seen, stop, wanted)),
            ]
            start = time.process_time()
            for thread in threads:
                thread.start()
            publish(server.url, numbers, rate, published)
            threads[1].join(timeout=60)
            stop.set()
            threads[0].join(timeout=60)
            spent = time.process_time() - start
            keys = pl.DataFrame({"item_id": [f"I{item}" for item in range(ITEMS)]})
            ends = reader.read(keys)["number"].fill_null(-1).to_numpy()
            pusher.close()
        finally:
            server.stop()
    ages = (seen - published)[~np.isnan(seen)]
    # A late event was covered by a newer one before it was published: it waits for nothing.
    ages = np.maximum(ages, 0)
    return {
        "events": count,
        "pushed": done.events,
        "fresh_p50_s": round(float(np.quantile(ages, 0.5)), 2),
        "fresh_p99_s": round(float(np.quantile(ages, 0.99)), 2),
        "never_visible": int(np.isnan(seen).sum()),
        "items_not_at_their_newest": int((ends != wanted).sum()),
        "older_left_out": done.events - done.written,
        "cpu_s": round(spent, 1),
        "problems": 0 if done.problem is None else 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=1_000)
    arguments = parser.parse_args()
    figures = measure(arguments.seconds, arguments.rate)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{n:28} {v:,}" for n, v in figures.items()))


if __name__ == "__main__":
    main()
