"""From an event to an online read, and to history: 1,000 events a second for two minutes, through a real broker and a real Redis.

    python -m benchmarks.features_fresh [--json] [--seconds 120] [--rate 1000]

A producer publishes sales of 2,000 items with the moment of each in it, one in twenty out of order; `features.fresh` pushes
them in a process thread of its own; a reader asks for all items every quarter of a second. An event is visible when the
value that stands is it or a newer one; its age is counted from its publishing, the reader's own pause included. Lost are
events whose item does not end at its newest event. Beside it `lake.listening` loads the same stream as often as by default, and
`history_` says when an event stood in the table that the view's history is read from.
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
from lake.company import Company, load_company
from lake.connection import Lake, table_exists
from lake.contracts.model import Column, Contract, Location
from lake.listening import Round, listen
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
        source=NatsSettings(
            kind="nats", servers=url, stream=STREAM, batch_rows=5_000, event_time="sold_at"
        ),
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


def observe_history(company: Company, seen: np.ndarray[Any, Any], stop: threading.Event) -> None:
    """Note when each event was first there for a reader of the lake."""
    lake = Lake.of(company)
    while not stop.is_set() and np.isnan(seen).any():
        if lake.exists:
            with lake.read() as connection:
                if table_exists(connection, "raw", "till_sale"):
                    rows = connection.execute("SELECT number FROM lake.raw.till_sale").fetchnumpy()
                    there = np.asarray(rows["number"], dtype=np.int64)
                    seen[there[np.isnan(seen[there])]] = time.perf_counter()
        stop.wait(0.5)


def measure(seconds: float = 120, rate: float = 1_000) -> dict[str, float]:
    count = int(seconds * rate)
    numbers = order(count)
    published, seen, in_history = np.zeros(count), np.full(count, np.nan), np.full(count, np.nan)
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
            stream = contract(server.url)
            pusher = Pusher(company, stream, store, view)
            done, stop, rounds = Pushed("till_sale"), threading.Event(), list[Round]()

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
                threading.Thread(target=observe_history, args=(company, in_history, stop)),
                threading.Thread(
                    target=listen,
                    args=(company, [stream]),
                    kwargs={"run_id": "benchmark", "stop": stop, "tell": rounds.append},
                ),
            ]
            start = time.process_time()
            for thread in threads:
                thread.start()
            publish(server.url, numbers, rate, published)
            threads[1].join(timeout=60)
            threads[2].join(timeout=60)
            stop.set()
            for thread in threads:
                thread.join(timeout=60)
            spent = time.process_time() - start
            keys = pl.DataFrame({"item_id": [f"I{item}" for item in range(ITEMS)]})
            ends = reader.read(keys)["number"].fill_null(-1).to_numpy()
            pusher.close()
        finally:
            server.stop()
    # A late event was covered by a newer one before it was published: it waits for nothing.
    ages = np.maximum((seen - published)[~np.isnan(seen)], 0)
    history_ages = (in_history - published)[~np.isnan(in_history)]
    return {
        "events": count,
        "pushed": done.events,
        "fresh_p50_s": round(float(np.quantile(ages, 0.5)), 2),
        "fresh_p99_s": round(float(np.quantile(ages, 0.99)), 2),
        "never_visible": int(np.isnan(seen).sum()),
        "items_not_at_their_newest": int((ends != wanted).sum()),
        "older_left_out": done.events - done.written,
        "history_p50_s": round(float(np.quantile(history_ages, 0.5)), 2),
        "history_p99_s": round(float(np.quantile(history_ages, 0.99)), 2),
        "history_lacks": int(np.isnan(in_history).sum()),
        "history_batches": len(rounds),
        "cpu_s": round(spent, 1),
        "problems": sum(one.problem is not None for one in (done, *rounds)),
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
