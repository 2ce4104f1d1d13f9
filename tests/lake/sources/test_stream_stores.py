"""What a stream's own store does, wiped, restored, expired, emptied by who reads: no message twice, none lost unnoticed."""

import shutil
from dataclasses import replace

from lake.connection import Lake
from lake.landing import land_file
from lake.loading import Loader
from lake.sources.port import open_source
from tests.lake.sources.stream_kit import contract, loaded, sale


def test_a_wiped_store_is_another_stream_and_what_comes_again_is_not_doubled(own_house):
    house = own_house
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(10)))
    house.ingest()
    before = house.position()
    house.server.wipe()
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(6, 14)))
    totals = house.ingest().totals
    assert (totals["rows_read"], totals["loaded"], totals["unchanged"]) == (8, 4, 4)
    assert loaded(house) == list(range(14))
    after = house.position()
    assert (before["sequence"], after["sequence"]) == (10, 8) and before["created"] != after["created"]


def test_a_store_from_an_older_copy_is_noticed_though_it_has_grown_past_the_position(own_house):
    house = own_house
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(4)))
    house.server.stop()
    shutil.copytree(house.server.store, house.server.folder / "copy")
    house.server.start()
    house.publish(*(sale(number) for number in range(4, 8)))
    house.ingest()
    house.server.stop()
    shutil.rmtree(house.server.store)
    (house.server.folder / "copy").rename(house.server.store)
    house.server.start()
    house.publish(*(sale(number) for number in range(100, 110)))
    house.ingest()
    assert loaded(house) == [*range(8), *range(100, 110)]


def test_messages_that_expired_before_they_were_read_are_told(house):
    house.make_stream("TILL", max_msgs=5)
    house.publish(*(sale(number) for number in range(3)))
    house.ingest()
    house.publish(*(sale(number) for number in range(3, 12)))
    report = house.ingest()
    assert "Up to 4 messages" in report.problems[0] and "sequences 4 to 7" in report.problems[0]
    assert loaded(house) == [0, 1, 2, *range(7, 12)]
    assert house.ingest().problems == []


def test_a_work_queue_loses_a_message_only_once_it_is_committed(house):
    house.change("till_sale", batch_rows=4)
    house.make_stream("TILL", retention="workqueue")
    house.publish(*(sale(number) for number in range(10)))
    source = open_source(house.company, contract(house))
    next(source.deliveries(None))
    source.close()
    assert house.ingest().totals["loaded"] == 10
    house.publish(sale(10))
    assert house.ingest().problems == []
    assert loaded(house) == list(range(11))
    info = house.server.do(lambda client: client.jetstream().stream_info(house.stream("TILL")))
    assert info.state.messages == 0


def test_acknowledged_too_late_a_work_queue_repeats_nothing(house):
    house.make_stream("TILL", retention="workqueue")
    house.publish(*(sale(number) for number in range(4)))
    source = open_source(house.company, contract(house))
    with Loader(Lake.of(house.company), "killed before it acknowledged") as loader:
        arrival = next(source.deliveries(None))
        landed = land_file(house.company.landing, "till_sale", arrival.name, arrival.path)
        loader.load(contract(house), landed, replace(arrival, acknowledge=None))
    source.close()
    assert house.ingest().files == []
    assert loaded(house) == list(range(4))


def test_two_readers_of_one_dataset_take_turns(house):
    house.make_stream("TILL")
    house.publish(sale(1))
    first = open_source(house.company, contract(house))
    assert house.ingest().files == []
    first.close()
    assert house.ingest().totals["loaded"] == 1


def test_a_missing_stream_is_told_with_how_to_make_it(house):
    [problem] = house.ingest().problems
    assert f"There is no stream {house.stream('TILL')} on 127.0.0.1:{house.server.port}" in problem
    assert f"`nats stream add {house.stream('TILL')} --subjects '{house.prefix}.till.>'" in problem


def test_a_stream_that_forgets_what_nobody_listens_to_is_refused(house):
    house.make_stream("TILL", retention="interest")
    assert "retention interest" in house.ingest().problems[0]
