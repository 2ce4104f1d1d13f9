"""Events of a real stream, online within seconds, and in history by the same definition once the lake has them."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
import pytest
import yaml
from feast import FeatureService, FeatureView, Field
from feast.types import Float64, Int64, String

from features.entities import item, location
from features.fresh import Pushed, make_pushers, push_streams
from features.registry import apply, open_store, settings
from features.stores.online_reader import OnlineReader
from features.stores.source import LakeSource
from lake.company import load_company
from lake.connection import Lake
from lake.errors import InputError
from tests.lake.sources.stream_kit import House, make_house, sale
from tests.nats import NatsServer

KEYS = pl.DataFrame({"item_id": ["I0", "I1", "I9"], "location_id": ["S1"] * 3})


def last_sale(table: str = "raw.till_sale") -> list[Any]:
    source = LakeSource(
        name="till_sale",
        table=table,
        timestamp_field="sold_at",
        created_timestamp_column="_known_at",
        field_mapping={
            "store_id": "location_id",
            "quantity": "last_quantity_units",
            "unit_price": "last_unit_price",
        },
    )
    view = FeatureView(
        name="last_sale",
        entities=[item, location],
        ttl=timedelta(days=3650),
        source=source,
        schema=[
            Field(name="item_id", dtype=String),
            Field(name="location_id", dtype=String),
            Field(name="last_quantity_units", dtype=Int64),
            Field(name="last_unit_price", dtype=Float64),
        ],
    )
    return [view, FeatureService(name="till_v1", features=[view])]


@pytest.fixture
def house(nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    house = make_house(nats_server, tmp_path, monkeypatch)
    path = house.company.folder / "company.yaml"
    path.write_text(path.read_text() + yaml.safe_dump({"online": {"streams": {"till_sale": "last_sale"}}}))
    house.company = load_company("acme", tmp_path / "home")
    house.make_stream("TILL")
    apply(house.company)
    open_store(house.company).apply([item, location, *last_sale()])
    return house


def quantities(reader: OnlineReader) -> list[int | None]:
    return reader.read(KEYS)["last_quantity_units"].to_list()


def wait_for(reader: OnlineReader, wanted: list[int | None], seconds: float = 20.0) -> float:
    start = time.monotonic()
    while quantities(reader) != wanted:
        assert time.monotonic() - start < seconds, quantities(reader)
        time.sleep(0.01)
    return time.monotonic() - start


def test_events_are_online_in_seconds_while_the_lake_is_held_and_then_history(house: House) -> None:
    stop, told = Event(), list[Pushed]()
    reader = OnlineReader.open(open_store(house.company), "till_v1")
    assert quantities(reader) == [None, None, None]
    thread = threading.Thread(
        target=push_streams, args=(house.company, house.contracts), kwargs={"stop": stop, "tell": told.append}
    )
    thread.start()
    try:
        with Lake.of(house.company).write():  # somebody holds the lake's writer for as long as it takes
            house.publish(
                sale(0, quantity=7),
                sale(1, quantity=3),
                sale(5, quantity=9),
                "no event",
                sale(10, quantity=1.5),
                sale(0, quantity=2, sold_at=f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"),
            )
            assert wait_for(reader, [9, 3, None]) < 5
            late = sale(2, item_id="I0", quantity=1, sold_at="2026-03-01T07:00:00Z")
            house.publish(late, sale(0, quantity=7), sale(11, item_id="I1", quantity=4))
            assert wait_for(reader, [9, 4, None]) < 5
        house.publish(*(sale(100 + number, item_id="I0", quantity=number % 9 + 1) for number in range(500)))
        assert wait_for(reader, [500 % 9 or 9, 4, None]) < 5
    finally:
        stop.set()
        thread.join(timeout=30)
    assert sum(one.events for one in told) == 509
    assert sum(one.ahead for one in told) == 1, "a clock that is ahead would hold back what comes after"
    assert sum(one.refused for one in told) == 2
    assert [one.problem for one in told if one.problem] == []
    house.ingest()
    online = reader.read(KEYS)
    at = KEYS.with_columns(event_timestamp=pl.lit(datetime.now(UTC) + timedelta(minutes=1)))
    store = open_store(house.company, Lake.of(house.company).snapshot())
    history = store.get_historical_features(
        entity_df=at.to_pandas(), features=store.get_feature_service("till_v1")
    ).to_arrow()
    for name in ("last_quantity_units", "last_unit_price"):
        assert history.column(name).to_pylist() == online[name].to_list()


def test_what_died_goes_on_where_it_was_and_loses_nothing(house: House) -> None:
    reader = OnlineReader.open(open_store(house.company), "till_v1")
    house.publish(*(sale(number, item_id="I0", quantity=number + 1) for number in range(5)))
    (pusher,) = make_pushers(house.company, house.contracts)
    with pytest.raises(InputError, match="Another process pushes till_sale"):
        make_pushers(house.company, house.contracts)
    pusher.look()
    assert quantities(reader)[0] == 5
    put = pusher.store.provider.online_store.put
    pusher.store.provider.online_store.put = lambda *_: (_ for _ in ()).throw(OSError("the disk is full"))
    house.publish(sale(7, item_id="I0", quantity=8))
    assert pusher.look().problem == "the disk is full"
    pusher.store.provider.online_store.put = put
    assert pusher.look().written == 1
    house.publish(sale(8, item_id="I0", quantity=9))
    pusher.close()  # dies; another takes over, and what it said last is not asked of it
    (pusher,) = make_pushers(house.company, house.contracts)
    done = pusher.look()
    assert (done.events, done.written) == (1, 1)
    assert quantities(reader)[0] == 9
    pusher.close()
    (house.company.feast / "pushed-till_sale.json").unlink()
    (pusher,) = make_pushers(house.company, house.contracts)
    again = pusher.look()
    assert (again.events, quantities(reader)[0]) == (7, 9)
    pusher.close()


def test_what_does_not_fit_is_told_before_anything_is_pushed(house: House) -> None:
    path = house.company.contracts / "till_sale.odcs.yaml"
    text = path.read_text()
    path.write_text(text.replace("name: store_id", "name: shop_id"))
    with pytest.raises(InputError, match=r"needs 'store_id', which .* does not have"):
        make_pushers(house.company, house.contracts)
    path.write_text(text)
    for wrong, said in (
        ({"no": "last_sale"}, "no contract 'no'"),
        ({"till_sale": "no"}, "no feature view 'no'"),
        ({}, "no stream to push"),
    ):
        house.company.settings.online.streams = wrong
        with pytest.raises(InputError, match=said):
            make_pushers(house.company, house.contracts)
    assert settings(house.company)["online_store"]["type"].endswith("LakeSqliteOnlineStore")
