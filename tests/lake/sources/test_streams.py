"""Streams from a real NATS server: every message once, whatever is repeated, reordered, late or poisoned; and each kind of stream."""

from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt

from lake.sources.port import open_source
from tests.lake.sources.stream_kit import contract, loaded, sale


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


def test_a_message_without_a_time_makes_no_event_after_it_late(house):
    house.make_stream("TILL")
    house.publish(sale(0), b"broken", {"event_id": "E1"}, sale(1))
    house.ingest()
    reached = house.position()
    assert (reached["late_events"], reached["watermark"]) == (0, "2026-03-01T08:00:01.000000+00:00")


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
