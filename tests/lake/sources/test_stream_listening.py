"""`stocklake listen`: follows streams through broken brokers and busy lakes, and ends when told; contracts that no stream keeps."""

import signal
import subprocess
import sys
import time
from threading import Event, Thread

import pytest

from lake.connection import Lake
from lake.contracts.linting import lint
from lake.errors import InputError, SourceFailed
from lake.fetching import Place
from lake.listening import listen, listen_once
from lake.sources.port import open_source
from orchestration.commands.listen import listen as listen_command
from tests.lake.sources.stream_kit import CONTRACTS, contract, loaded, sale, wait_until


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


def test_a_listener_that_another_process_read_past_doubles_nothing_and_goes_on(house):
    house.make_stream("TILL")
    place, told = Place(), []

    def listen_on():
        done = listen_once(house.company, contract(house), run_id="listening", stop=Event(), place=place)
        told.append((done.totals["loaded"], done.problem))

    house.publish(*(sale(number) for number in range(3)))
    listen_on()
    house.publish(*(sale(number) for number in range(3, 6)))
    assert house.ingest().totals["loaded"] == 3
    listen_on()  # fetches them again, from where it stood
    assert not place.is_known
    house.publish(sale(6))
    listen_on()
    assert (told, loaded(house)) == ([(3, None), (0, None), (1, None)], list(range(7)))
    assert house.position()["sequence"] == place.position["sequence"] == 7


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
