"""Streams from a real NATS server: every message once, whatever is repeated, reordered, late, poisoned, lost or wiped."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import paho.mqtt.client as mqtt
import pytest

from lake.connection import Lake
from lake.contracts.linting import lint
from lake.errors import InputError, SourceFailed
from lake.landing import land_file
from lake.listening import listen, listen_once
from lake.loading import Loader
from lake.sources.port import open_source
from orchestration.commands.listen import listen as listen_command
from tests.lake.sources.stream_kit import CONTRACTS, House, make_house, sale
from tests.nats import NatsServer


@pytest.fixture
def house(nats_server, tmp_path, monkeypatch) -> House:
    return make_house(nats_server, tmp_path, monkeypatch)


@pytest.fixture
def own_house(tmp_path, monkeypatch):
    """A company with a server of its own, to be stopped and wiped."""
    server = NatsServer(tmp_path / "nats").start()
    yield make_house(server, tmp_path, monkeypatch)
    server.kill()


def contract(house, dataset="till_sale"):
    return next(one for one in house.contracts if one.dataset == dataset)


def loaded(house):
    return [number for (number,) in house.rows("SELECT event_id[2:]::INT FROM lake.raw.till_sale ORDER BY 1")]


def test_till_sales_stand_in_raw_with_where_they_come_from(house):
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(3)))
    report = house.ingest()
    assert (report.problems, report.totals["loaded"]) == ([], 3)
    found = house.rows(
        "SELECT receipt_id, receipt_line, sold_at, quantity, unit_price, stream_sequence, stored_at = _known_at, _line"
        " FROM lake.raw.till_sale ORDER BY event_id"
    )
    assert found[1][:6] == ("R0", 2, datetime(2026, 3, 1, 8, 0, 1), 2, 1.5, 2)
    assert [row[6:] for row in found] == [(True, 1), (True, 2), (True, 3)]
    [delivery] = report.files
    assert delivery.file_name.startswith(house.stream("TILL")) and delivery.file_name.endswith(
        "-000000000003.jsonl"
    )


def test_the_position_commits_with_the_rows_and_the_broker_hears_of_it_after(house):
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(5)))
    house.ingest()
    assert house.position()["sequence"] == 5
    state = house.server.do(
        lambda client: client.jetstream().consumer_info(house.stream("TILL"), "stocklake_acme_till_sale")
    )
    assert (state.ack_floor.stream_seq, state.num_ack_pending) == (5, 0)
    assert house.ingest().files == []
    house.publish(sale(5))
    assert house.ingest().totals["rows_read"] == 1
    assert loaded(house) == list(range(6))


def test_batches_are_cut_by_the_number_of_messages(house):
    house.change("till_sale", batch_rows=40)
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(100)))
    assert [one.loaded for one in house.ingest().files] == [40, 40, 20]
    assert house.position()["waiting"] == 0


def test_what_was_fetched_but_not_committed_comes_again_at_once_and_in_order(house):
    house.change("till_sale", batch_rows=4)
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(10)))
    source = open_source(house.company, contract(house))
    for _, arrival in zip(range(2), source.deliveries(None), strict=False):
        assert arrival.path.exists()  # and then the process dies
    source.close()
    assert house.ingest().totals["loaded"] == 10
    assert loaded(house) == list(range(10))


def test_an_event_that_is_published_twice_stands_once(house):
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in (0, 1, 1, 2)))
    house.ingest()
    house.publish(*(sale(number) for number in (2, 0, 3)))
    totals = house.ingest().totals
    assert (totals["loaded"], totals["unchanged"]) == (1, 2)
    assert loaded(house) == [0, 1, 2, 3]


def test_the_broker_itself_drops_a_message_id_it_has_seen(house):
    house.make_stream("TILL")
    for _ in range(2):
        house.publish(sale(1), **{"Nats-Msg-Id": "E000001"})
    assert house.ingest().totals["rows_read"] == 1


def test_events_out_of_order_and_late_are_loaded_and_late_ones_counted(house):
    house.make_stream("TILL")
    at = ["10:00:00", "10:20:00", "10:06:00", "10:04:59", "09:00:00"]
    house.publish(*(sale(number, sold_at=f"2026-03-01T{text}Z") for number, text in enumerate(at)))
    house.ingest()
    reached = house.position()
    assert (reached["late_events"], reached["watermark"]) == (2, "2026-03-01T10:20:00.000000+00:00")
    house.publish(sale(5, sold_at="2026-03-01T10:04:00Z"))
    house.ingest()
    assert house.position()["late_events"] == 3
    assert loaded(house) == list(range(6))


def test_a_clock_that_runs_ahead_makes_no_event_after_it_late(house):
    house.make_stream("TILL")
    ahead = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    house.publish(sale(0, sold_at=ahead), sale(1, sold_at=datetime.now(UTC).isoformat()))
    house.ingest()
    reached = house.position()
    assert (reached["late_events"], loaded(house)) == (0, [0, 1])
    assert datetime.fromisoformat(reached["watermark"]) <= datetime.now(UTC)


POISON = {
    "not JSON": b"{'event_id': 1",
    "a list": b"[1, 2]",
    "nothing": b"",
    "not UTF-8": b'{"event_id": "\xff"}',
    "a name of the envelope": b'{"_sequence": 99, "event_id": "x"}',
    "too large": b'{"event_id": "' + b"x" * 3000 + b'"}',
    "cut off": b'{"event_id": "E1", "receipt": {"number": ',
    "two objects": b'{"event_id": "E1"} {"event_id": "E2"}',
    "a wrong type": sale(900, quantity="many"),
    "an object for a value": sale(901, store_id={"id": 1}),
    "no key": {"quantity": 1},
    "a NUL": sale(902, store_id="S\0"),
    "too deep": b'{"event_id": ' + b"[" * 1500 + b"]" * 1500 + b"}",
}


def test_poison_goes_to_quarantine_with_its_sequence_and_the_stream_goes_on(house):
    house.change("till_sale", message_bytes=2048 + 1024)
    house.make_stream("TILL")
    house.publish(sale(1), *POISON.values(), sale(2))
    report = house.ingest()
    assert report.problems == []
    assert (report.totals["loaded"], report.totals["quarantined"]) == (2, len(POISON))
    found = house.rows(
        "SELECT regexp_extract(raw_text, '\"_sequence\":(\\d+)', 1)::INT FROM lake.meta.quarantine ORDER BY 1"
    )
    assert [sequence for (sequence,) in found] == list(range(2, 2 + len(POISON)))


def test_a_batch_of_nothing_but_poison_does_not_stop_the_stream(house):
    house.make_stream("TILL")
    house.publish(b"\x00\x01", b"")
    assert house.ingest().totals["quarantined"] == 2
    house.publish(sale(1))
    assert house.ingest().totals["loaded"] == 1


def test_lines_between_the_fields_of_a_payload_make_no_rows(house):
    house.make_stream("TILL")
    house.publish(
        b'{\r\n "event_id": "E000001",\n "receipt": {"number": "R1", "line": 1}, "sold_at": "2026-03-01T10:00:00Z",'
        b' "store_id": "S\\n1", "item_id": "I1", "quantity": 1, "unit_price": 12345678.90}\n'
    )
    house.ingest()
    assert house.rows("SELECT store_id, unit_price::VARCHAR FROM lake.raw.till_sale") == [
        ("S\n1", "12345678.90")
    ]


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


def test_dock_scans_are_told_apart_by_their_message_id(house):
    house.make_stream("DOCK")
    scan = {
        "shipment_id": "SH1",
        "event_type": "arrived",
        "scanned_at": "2026-03-01T10:00:00Z",
        "dock_id": "D2",
        "weight_kg": 12.5,
    }
    house.publish(scan, subject="dock.2", **{"Nats-Msg-Id": "scan-1"})
    house.publish(scan | {"event_type": "lost"}, subject="dock.2", **{"Nats-Msg-Id": "scan-2"})
    house.publish(scan, subject="dock.2")
    totals = house.ingest("dock_scan").totals
    assert (totals["loaded"], totals["quarantined"]) == (1, 2)
    assert house.rows("SELECT scan_id, event_type, weight_kg FROM lake.raw.dock_scan") == [
        ("scan-1", "arrived", 12.5)
    ]


def test_the_newest_position_of_a_vehicle_stands_whatever_the_order(house):
    house.make_stream("FLEET")

    def seen(at, latitude):
        return {
            "vehicle_id": "V1",
            "recorded_at": f"2026-03-01T{at}Z",
            "latitude": latitude,
            "longitude": 8.5,
            "speed_kmh": 50,
        }

    house.publish(
        seen("10:00:00", 47.1), seen("10:02:00", 47.3), seen("10:01:00", 47.2), subject="fleet.v1.position"
    )
    house.ingest("vehicle_position")
    house.publish(seen("10:01:30", 47.25), subject="fleet.v1.position")
    house.ingest("vehicle_position")
    assert house.rows("SELECT latitude::DOUBLE, topic FROM lake.raw.vehicle_position") == [
        (47.3, f"{house.prefix}.fleet.v1.position")
    ]


def test_an_mqtt_device_publishes_to_the_same_stream(house):
    house.make_stream("FLEET")
    device = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="device-7")
    device.connect("127.0.0.1", house.server.mqtt_port)
    device.loop_start()
    position = '{"vehicle_id": "V7", "recorded_at": "2026-03-01T10:00:00Z", "latitude": 47, "longitude": 8}'
    device.publish(f"{house.prefix}/fleet/v7/position", position, qos=1).wait_for_publish(5)
    device.disconnect()
    device.loop_stop()
    assert house.ingest("vehicle_position").totals["loaded"] == 1
    assert house.rows("SELECT vehicle_id, topic FROM lake.raw.vehicle_position") == [
        ("V7", f"{house.prefix}.fleet.v7.position")
    ]


def test_only_the_subjects_of_the_contract_are_read(house):
    house.change("till_sale", subjects=[f"{house.prefix}.till.7.sale", f"{house.prefix}.till.8.>"])
    house.make_stream("TILL")
    for till in (6, 7, 8):
        house.publish(sale(till), subject=f"till.{till}.sale")
    house.ingest()
    assert loaded(house) == [7, 8]
    assert house.ingest().files == []


def test_a_missing_stream_is_told_with_how_to_make_it(house):
    [problem] = house.ingest().problems
    assert f"There is no stream {house.stream('TILL')} on 127.0.0.1:{house.server.port}" in problem
    assert f"`nats stream add {house.stream('TILL')} --subjects '{house.prefix}.till.>'" in problem


def test_a_stream_that_forgets_what_nobody_listens_to_is_refused(house):
    house.make_stream("TILL", retention="interest")
    assert "retention interest" in house.ingest().problems[0]


def test_a_listener_follows_the_stream_through_a_broken_broker_and_stops_when_told(own_house):
    house = own_house
    house.change("till_sale", batch_seconds=0.1)
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(3)))
    stop, rounds = Event(), []
    listener = Thread(
        target=listen, args=(house.company, house.contracts),
        kwargs={"run_id": "listening", "stop": stop, "tell": rounds.append, "datasets": ["till_sale"]},
    )  # fmt: skip
    listener.start()
    try:
        wait_until(lambda: any(one.files for one in rounds))
        house.server.kill()
        wait_until(lambda: rounds[-1].problem)
        house.server.start()
        house.publish(*(sale(number) for number in range(3, 6)))
        wait_until(lambda: rounds[-1].files and rounds[-1].problem is None, 30)
    finally:
        stop.set()
        listener.join(20)
    assert not listener.is_alive()
    assert loaded(house) == list(range(6))
    assert "cannot be reached" in next(one.problem for one in rounds if one.problem)


def test_a_listener_waits_while_another_writes_to_the_lake(house):
    house.make_stream("TILL")
    house.publish(sale(1))
    done = []
    with Lake.of(house.company).writer_lock():
        waiting = Thread(
            target=lambda: done.append(
                listen_once(house.company, contract(house), run_id="listening", stop=Event())
            )
        )
        waiting.start()
        time.sleep(0.5)
        assert done == []
    waiting.join(20)
    assert done[0].totals["loaded"] == 1


def test_a_listener_ends_between_two_batches(house):
    house.change("till_sale", batch_rows=2)
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(6)))
    stop = Event()
    stop.set()
    done = listen_once(house.company, contract(house), run_id="listening", stop=stop)
    assert (done.totals["loaded"], done.waiting) == (2, 4)
    assert house.position()["sequence"] == 2


def test_a_broker_that_is_not_there_is_one_sentence(own_house):
    own_house.server.kill()
    start = time.monotonic()
    with pytest.raises(SourceFailed, match=r"NATS at 127\.0\.0\.1:\d+ cannot be reached"):
        list(open_source(own_house.company, contract(own_house)).deliveries(None))
    assert time.monotonic() - start < 5


def test_the_command_listens_until_it_is_told_to_stop(house):
    house.change("till_sale", batch_seconds=0.1)
    house.make_stream("TILL")
    house.publish(*(sale(number) for number in range(3)))
    command = [
        sys.executable,
        "-m",
        "orchestration.cli",
        "listen",
        "-c",
        "acme",
        "--home",
        str(house.company.home.parent),
    ]
    listener = subprocess.Popen(
        [*command, "-d", "till_sale"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = listener.stdout.readline()
    listener.send_signal(signal.SIGTERM)
    _, errors = listener.communicate(timeout=20)
    assert said.startswith(
        "till_sale: 3 rows_read, 3 loaded; 0 waiting; 0 late so far, watermark 2026-03-01T08:00:02"
    )
    assert (listener.returncode, errors) == (0, "Listening to till_sale; Ctrl-C stops it.\n")


def test_the_command_names_the_streams_there_are(house):
    with pytest.raises(
        InputError, match=r"No contract of acme has a stream till: choose among dock_scan, till_sale, vehicle"
    ):
        listen_command("acme", house.company.home.parent, ["till"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("write_mode, value: insert_only", "write_mode, value: replace"), "never the whole"),
        (("business_date, value: sold_at", "business_date, value: stored_at"), None),
        (("write_mode, value: insert_only", "write_mode, value: upsert"), "a scope of keys is for"),
        (("- {property: business_date, value: sold_at}", ""), "keys within a date need one"),
        (("other_fields, value: ignore", "other_fields, value: quarantine"), "write `other_fields: ignore`"),
        (("event_time: sold_at", "event_time: item_id"), "'item_id' is no timestamp column"),
        (("format: jsonl", "format: parquet"), "messages land as JSON lines"),
    ],
)
def test_a_contract_that_no_stream_can_keep_is_told(house, change, sentence):
    path = house.company.contracts / "till_sale.odcs.yaml"
    path.write_text((CONTRACTS / path.name).read_text().replace(*change))
    problems = [problem.message for problem in lint(house.company)]
    assert any(sentence in problem for problem in problems) if sentence else problems == []


def wait_until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
