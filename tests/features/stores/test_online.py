"""Both online stores against Feast's stock ones: the same bytes, never back in time, whole or not at all."""

import asyncio
import multiprocessing
import random
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from feast import FeatureService, FeatureStore, Field, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.on_demand_feature_view import on_demand_feature_view
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.types import Float64
from polars.testing import assert_frame_equal

from features.stores.online_format import (
    batch_of_table,
    decode_moment,
    decode_values,
    encode_keys,
    encode_moments,
    encode_values,
)
from features.stores.online_reader import OnlineReader
from lake.errors import InputError, StocklakeError
from tests.features.stores.online_kit import ARROW, MORNING, TYPES, VALUES, open_feast, redis_server, rows

OURS = {
    "sqlite": "features.stores.online_sqlite.LakeSqliteOnlineStore",
    "redis": "features.stores.online_redis.LakeRedisOnlineStore",
}
NO_NULLS = {"an_int32": 7, "an_int64": 7}
"""Pandas, and so Feast's own ways in, makes whole numbers with nulls floats."""
SECOND, NOON = timedelta(seconds=1), datetime(2026, 3, 1, 12)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", "redis"])
def blocks(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The settings of our store and of Feast's stock one over the same place, empty."""
    if request.param == "sqlite":
        where = {"path": str(tmp_path / "online.db")}
        return {"ours": {"type": OURS["sqlite"], **where}, "stock": {"type": "sqlite", **where}}
    import redis

    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return {
        "ours": {"type": OURS["redis"], "connection_string": url},
        "stock": {"type": "redis", "connection_string": url.removeprefix("redis://").removesuffix("/0")},
    }


@pytest.fixture
def store(blocks: dict[str, dict[str, Any]], tmp_path: Path) -> FeatureStore:
    return open_feast(tmp_path, blocks["ours"])


def put(store: FeatureStore, table: pa.Table) -> int:
    view = store.get_feature_view("everything")
    return int(store.provider.online_store.put(store.config, view, batch_of_table(view, table)))


def put_for_ever(folder: Path, block: dict[str, Any], table: pa.Table) -> None:
    store = open_feast(folder, block, apply=False)
    while True:
        put(store, table)


def read(store: FeatureStore, count: int = 5) -> pl.DataFrame:
    keys = pl.DataFrame(
        {"item_id": [f"I{n}" for n in range(count)], "shelf_number": [n - 2 for n in range(count)]}
    )
    return OnlineReader.open(store, "all_v1").read(keys)


def texts(store: FeatureStore, count: int = 5) -> list[str | None]:
    return read(store, count)["a_text"].to_list()


def feasts_answer(store: FeatureStore) -> dict[str, list[Any]]:
    entity_rows = {"item_id": ["I0", "I1", "I2", "I3", "I4", "none"], "shelf_number": [-2, -1, 0, 1, 2, 3]}
    answer: dict[str, list[Any]] = store.get_online_features(
        features=store.get_feature_service("all_v1"), entity_rows=entity_rows
    ).to_dict()
    return answer


def test_the_bytes_are_feasts(tmp_path: Path) -> None:
    for name, dtype in TYPES.items():
        kind = dtype.to_value_type()
        expected = [
            message.SerializeToString() for message in python_values_to_proto_values(VALUES[name], kind)
        ]
        column = pa.array(VALUES[name], ARROW[name])
        assert encode_values(column, kind).to_pylist() == expected, name
        assert (
            encode_values(pa.chunked_array([column.slice(0, 1), column.slice(1)]), kind).to_pylist()
            == expected
        )
        back = decode_values(pa.array([*expected, None]), kind)
        assert back.type == column.type
        assert back.to_pylist() == [*column.to_pylist(), None]
        assert decode_values(pa.array(["x", *expected]).cast(pa.binary()).slice(1), kind).equals(column)
        assert decode_values(encode_values(column.slice(0, 0), kind), kind).to_pylist() == []
    keys = encode_keys(
        {
            "item_id": (pa.array(["I0", "Käse"]), ValueType.STRING),
            "code": (pa.array([b"", b"\xff"]), ValueType.BYTES),
            "shelf_number": (pa.array([-1, 2**40]), ValueType.INT64),
            "row": (pa.array([-1, 7], pa.int32()), ValueType.INT32),
        }
    )
    for key, item, code, shelf, row in zip(
        keys, ["I0", "Käse"], [b"", b"\xff"], [-1, 2**40], [-1, 7], strict=True
    ):
        message = EntityKey(
            join_keys=["shelf_number", "item_id", "row", "code"],
            entity_values=[
                Value(int64_val=shelf),
                Value(string_val=item),
                Value(int32_val=row),
                Value(bytes_val=code),
            ],
        )
        assert key.as_py() == serialize_entity_key(message, 3)
    moments = [
        MORNING,
        MORNING + timedelta(microseconds=1),
        datetime(1970, 1, 1),
        datetime(2099, 12, 31, 23, 59, 59, 999999),
    ]
    micros = pa.array(moments, pa.timestamp("us")).cast(pa.int64()).to_numpy()
    assert [decode_moment(cell) for cell in encode_moments(micros).to_pylist()] == moments


def test_feast_reads_what_we_write_and_we_what_feast_writes(
    store: FeatureStore, blocks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    stock = open_feast(tmp_path, blocks["stock"], apply=False)
    assert put(store, rows()) == 5
    ours, stocks = feasts_answer(store), feasts_answer(stock)
    assert ours == stocks
    assert stocks["an_int64"] == [*VALUES["an_int64"], None]
    assert stocks["a_text"] == [*VALUES["a_text"], None]
    mine = read(store, 6)
    assert {name: mine[name].to_list() for name in TYPES if name != "a_moment"} == {
        name: [*rows().column(name).to_pylist(), None] for name in TYPES if name != "a_moment"
    }
    assert mine["a_moment"].to_list() == [*VALUES["a_moment"], None]
    later = rows(at=NOON, a_text="of stock Feast", **NO_NULLS).to_pandas()
    stock.write_to_online_store("everything", later)
    assert texts(store) == ["of stock Feast"] * 5
    assert put(store, rows(at=NOON - SECOND, a_text="older")) == 0
    assert put(store, rows(at=NOON + SECOND, a_text="newer")) == 5
    assert feasts_answer(stock)["a_text"] == ["newer"] * 5 + [None]


def test_it_never_goes_back_in_time(store: FeatureStore) -> None:
    assert put(store, rows(at=NOON, a_text="noon")) == 5
    assert put(store, rows(at=MORNING, known_at=NOON, a_text="morning")) == 0
    assert put(store, rows(at=NOON - timedelta(microseconds=1), a_text="just before")) == 0
    assert texts(store) == ["noon"] * 5
    just_after = NOON + timedelta(microseconds=1)
    assert put(store, rows(at=just_after, known_at=NOON + SECOND, a_text="just after")) == 5
    assert put(store, rows(at=just_after, known_at=NOON, a_text="known before")) == 0
    assert put(store, rows(at=just_after, known_at=NOON + 2 * SECOND, a_text="corrected")) == 5
    assert put(store, rows(at=just_after, known_at=NOON + 2 * SECOND, a_text="corrected")) == 5
    assert texts(store) == ["corrected"] * 5
    shuffled = [rows(at=NOON + n * SECOND, a_text=f"{n}") for n in (3, 9, 5, 9, 1)]
    put(store, pa.concat_tables(shuffled))
    assert texts(store) == ["9"] * 5


def test_feasts_own_ways_in_keep_the_order_too(store: FeatureStore) -> None:
    for hour, text in ((3, "third"), (1, "first"), (2, "second")):
        pushed = rows(at=NOON + timedelta(hours=hour), a_text=text, **NO_NULLS).to_pandas()
        store.push("pushed", pushed)
    assert texts(store) == ["third"] * 5
    assert feasts_answer(store)["a_text"] == ["third"] * 5 + [None]
    aware = rows(at=NOON + timedelta(hours=4), a_text="fourth", **NO_NULLS).to_pandas()
    aware["at"] = aware["at"].dt.tz_localize(UTC).dt.tz_convert("Asia/Tokyo")
    store.write_to_online_store("everything", aware)
    assert texts(store) == ["fourth"] * 5
    if store.config.online_store.type == OURS["redis"]:
        late = rows(at=NOON, a_text="late", **NO_NULLS).to_pandas()
        question = {"item_id": ["I0", "none"], "shelf_number": [-2, 0]}

        async def at_once() -> dict[str, list[Any]]:
            await store.push_async("pushed", late)
            service = store.get_feature_service("all_v1")
            answer = await store.get_online_features_async(features=service, entity_rows=question)
            await store.provider.online_store._client_async.aclose()
            return dict(answer.to_dict())

        assert asyncio.run(at_once())["a_text"] == ["fourth", None]


def test_two_writers_at_once_end_as_the_newest(
    store: FeatureStore, blocks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    hours = list(range(24))
    random.Random(5).shuffle(hours)
    stores = [open_feast(tmp_path, blocks["ours"], apply=False) for _ in range(2)]

    def write(mine: FeatureStore, some: list[int]) -> None:
        for hour in some:
            put(mine, rows(300, at=NOON + timedelta(hours=hour), an_int64=hour, a_text=f"{hour}"))

    threads = [threading.Thread(target=write, args=(stores[n], hours[n::2])) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(store, 300)
    assert set(found["an_int64"]) == {23}
    assert set(found["a_text"]) == {"23"}


def test_killed_half_way_and_repeated_is_once(
    store: FeatureStore, blocks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    count = 3_000
    put(store, rows(count, an_int64=0, a_text="0"))
    newer = rows(count, at=NOON, an_int64=1, a_text="1")
    # Not a fork: other tests of this worker may have started JAX, whose threads do not survive one.
    writer = multiprocessing.get_context("spawn").Process(
        target=put_for_ever, args=(tmp_path, blocks["ours"], newer)
    )
    writer.start()
    seen: set[int] = set()
    deadline = time.monotonic() + 60
    while 1 not in seen:
        assert time.monotonic() < deadline
        seen = set(read(store, count)["an_int64"])
        time.sleep(0.005)
    writer.kill()
    writer.join()
    half = read(store, count)
    assert half["an_int64"].cast(pl.String).to_list() == half["a_text"].to_list()
    put(store, newer)
    once = read(store, count)
    assert set(once["an_int64"]) == {1}
    put(store, newer)
    assert_frame_equal(read(store, count), once)


def test_rows_that_nobody_could_ask_for_are_left_out_and_wrong_ones_refused(store: FeatureStore) -> None:
    table = rows(3)
    table = table.set_column(0, "item_id", pa.array(["I0", None, "I2"]))
    assert put(store, table) == 2
    asked = pl.DataFrame({"item_id": ["I0", None, "I2", "I0"], "shelf_number": [-2, -1, None, -2]})
    reader = OnlineReader.open(store, "all_v1")
    assert reader.read(asked)["a_float64"].to_list() == [0.0, None, None, 0.0]
    assert [answer.to_list() for answer in reader.ask({"item_id": ["I0"], "shelf_number": [-2]})][1] == [0]
    assert len(reader.read(asked.clear())) == 0
    with pytest.raises(ValueError, match="no column shelf_number"):
        reader.read(asked.drop("shelf_number"))
    with pytest.raises(ValueError, match="before 1970"):
        put(store, rows(at=datetime(1969, 12, 31)))
    with pytest.raises(ValueError, match="INT64_LIST are not written by columns"):
        encode_values(pa.array([[1]]), ValueType.INT64_LIST)
    with pytest.raises(StocklakeError, match="is no DOUBLE"):
        decode_values(encode_values(pa.array([1]), ValueType.INT64), ValueType.DOUBLE)


def test_a_view_that_was_not_applied_is_told(tmp_path: Path) -> None:
    where = {"type": OURS["sqlite"], "path": str(tmp_path / "online.db")}
    store = open_feast(tmp_path, where)
    view = store.get_feature_view("everything")
    store.provider.online_store.update(store.config, [view], [], [], [], True)
    with pytest.raises(StocklakeError, match="has no table kit_everything"):
        read(store)


def test_a_table_of_stock_feast_becomes_ours(tmp_path: Path) -> None:
    where = {"path": str(tmp_path / "online.db")}
    stock = open_feast(tmp_path, {"type": "sqlite", **where})
    stock.write_to_online_store("everything", rows(at=NOON, a_text="stock", **NO_NULLS).to_pandas())
    ours = open_feast(tmp_path, {"type": OURS["sqlite"], **where})
    assert texts(ours) == ["stock"] * 5
    assert put(ours, rows(at=MORNING)) == 0
    assert put(ours, rows(at=NOON, a_text="ours")) == 5
    assert feasts_answer(stock)["a_text"] == ["ours"] * 5 + [None]


def test_a_full_disk_leaves_what_stood(tmp_path: Path) -> None:
    store = open_feast(tmp_path, {"type": OURS["sqlite"], "path": str(tmp_path / "online.db")})
    put(store, rows(300, an_int64=0, a_text="0"))
    connection = store.provider.online_store._get_conn(store.config)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    newer = rows(3_000, at=NOON, an_int64=1, a_text="1")
    with pytest.raises(StocklakeError, match=r"online\.db could not be written .*full"):
        put(store, newer)
    assert read(store, 3_000)["a_text"].to_list() == ["0"] * 300 + [None] * 2_700
    connection.execute("PRAGMA max_page_count = 1000000")
    assert put(store, newer) == 3_000
    assert set(read(store, 3_000)["a_text"]) == {"1"}


def test_what_redis_can_refuse(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLINE_URL", redis_url.replace("/0", "/3"))
    block = {"type": OURS["redis"], "connection_string": "${env:ONLINE_URL}", "company": "acme"}
    store = open_feast(tmp_path, block)
    put(store, rows())
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    assert put(store, rows(at=NOON, a_text="after a restart")) == 5
    assert texts(store) == ["after a restart"] * 5
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(StocklakeError, match=r"did not do as asked .*OOM"):
            put(store, rows(at=NOON + SECOND, a_text="does not fit"))
        client.config_set("maxmemory", "0")
    assert texts(store) == ["after a restart"] * 5
    other = open_feast(tmp_path, block | {"company": "bolt"}, apply=False)
    with pytest.raises(InputError, match="holds the values of company 'acme'"):
        put(other, rows())
    nowhere = open_feast(
        tmp_path, block | {"connection_string": "redis://u:secret@127.0.0.1:1/0"}, apply=False
    )
    with pytest.raises(InputError, match=r"Redis at 127\.0\.0\.1:1 cannot be reached") as refused:
        put(nowhere, rows())
    assert "secret" not in str(refused.value)
    with pytest.raises(ValueError, match="redis_cluster is not supported"):
        open_feast(tmp_path, block | {"redis_type": "redis_cluster"}, apply=False)


def test_on_demand_features_are_computed_of_whole_columns(store: FeatureStore) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is an experimental feature", RuntimeWarning)
        view = store.get_feature_view("everything")

        @on_demand_feature_view(
            sources=[view[["a_float64", "an_int32"]]], schema=[Field(name="twice", dtype=Float64)]
        )
        def doubled(frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"twice": frame["a_float64"] * 2})

        keys_of = [store.get_entity("item"), store.get_entity("shelf")]

        @on_demand_feature_view(
            entities=keys_of,
            sources=[view[["a_float64"]]],
            schema=[Field(name="thrice", dtype=Float64)],
            write_to_online_store=True,
        )
        def tripled(frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"thrice": frame["a_float64"] * 3})

        service = FeatureService(name="computed_v1", features=[view[["a_text"]], doubled])
        written = FeatureService(name="written_v1", features=[tripled])
        store.apply([doubled, tripled, service, written])
        put(store, rows())
        reader = OnlineReader.open(store, "computed_v1")
        assert reader.feature_names == ["a_text", "twice"]
        keys = {"item_id": ["I0", "I1", "I2", "none"], "shelf_number": [-2, -1, 0, 0]}
        found = reader.read(pl.DataFrame(keys))
        assert found.columns == ["item_id", "shelf_number", "a_text", "twice"]
        assert found["twice"].to_list() == [0.0, -0.2, None, None]
        assert [answer.to_list()[1] for answer in reader.ask(keys)] == [VALUES["a_text"][1], -0.2]
        feasts = store.get_online_features(
            features=store.get_feature_service("computed_v1"), entity_rows=keys
        )
        assert [None if pd.isna(one) else one for one in feasts.to_dict()["twice"]] == found[
            "twice"
        ].to_list()
        assert reader.ask(keys)[1].moments == [MORNING] * 3 + [None]
        # What Feast writes when it is told to stands as any feature does; ours computes it of what stands now.
        inputs = rows(2, at=NOON, a_float64=5.0).select(["item_id", "shelf_number", "a_float64"]).to_pandas()
        store.write_to_online_store("tripled", inputs.assign(event_timestamp=NOON))
        feasts = store.get_online_features(features=["tripled:thrice"], entity_rows=keys).to_dict()
        assert feasts["thrice"] == [15.0, 15.0, None, None]
        mine = OnlineReader.open(store, "written_v1").read(pl.DataFrame(keys))
        assert mine["thrice"].to_list() == pytest.approx([0.0, -0.3, None, None])
