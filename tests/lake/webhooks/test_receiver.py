"""The receiver as a process: what it takes, what it refuses, and that nothing it took is lost or doubled."""

import random
import socket
import threading
import time

import httpx
import pytest

from lake.contracts.reading import load_contracts
from lake.ingest import ingest
from lake.sources.webhooks.spool import Spool
from tests.lake.loading_kit import rows
from tests.lake.webhooks import kit
from tests.lake.webhooks.kit import Receiver, headers, scan, send

SIGNED_ELSEWHERE = "whsec_b3RoZXI="


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("docks")
        company = kit.company(folder, patch)
        receiver = Receiver(folder / "log")
        yield company, receiver
        receiver.stop()


def load(company):
    report = ingest(company, load_contracts(company), run_id="run")
    assert report.is_clean, report.problems
    return report


def test_a_delivery_lands_once_and_keeps_its_id(house):
    company, receiver = house
    with httpx.Client() as client:
        assert send(client, receiver.url, "a-1", scan(1)) == 200
        assert send(client, receiver.url, "a-1", scan(1)) == 200
        assert send(client, receiver.url, "a-1", scan(2)) == 409
        assert send(client, receiver.url, "a-2", scan(2), secret=kit.OLD_SECRET) == 200
        load(company)
        assert send(client, receiver.url, "a-1", scan(1)) == 200  # known again after it was loaded
        load(company)
    found = rows(
        company,
        "SELECT delivery_id, item_id, quantity FROM lake.raw.scan WHERE delivery_id LIKE 'a-%' ORDER BY 1",
    )
    assert found == [("a-1", "item-1", 1), ("a-2", "item-2", 2)]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"webhook-signature": "v1,AAAA"}, 401),
        ({"webhook-signature": ""}, 401),
        ({"webhook-id": "another"}, 401),
        ({"webhook-timestamp": "1"}, 401),
        ({"content-type": "text/plain"}, 415),
        ({"content-encoding": "gzip"}, 415),
    ],
)
def test_what_is_not_as_agreed_is_refused(house, changes, status):
    _, receiver = house
    body = scan(1)
    answer = httpx.post(receiver.url, content=body, headers=headers("refused", body) | changes)
    assert answer.status_code == status
    assert set(answer.json()) == {"detail"}


def test_forged_late_and_oversized_deliveries_are_refused(house):
    company, receiver = house
    with httpx.Client() as client:
        for at in (time.time() - 310, time.time() + 310):
            assert send(client, receiver.url, "late", scan(1), at=at) == 401
        assert send(client, receiver.url, "forged", scan(1), secret=SIGNED_ELSEWHERE) == 401
        assert send(client, receiver.url, "no-json", b"{") == 400
        assert send(client, receiver.url, "no-utf8", b'{"a": "\xff"}') == 400
        assert send(client, receiver.url, "empty", b"") == 400
        assert send(client, receiver.url, "a b", scan(1)) == 400
        big = b'{"a": "' + b"x" * 9000 + b'"}'
        assert send(client, receiver.url, "big", big) == 413
        chunks = client.post(
            receiver.url,
            content=(big[i : i + 1000] for i in range(0, len(big), 1000)),
            headers=headers("big", big),
        )
        assert chunks.status_code == 413
        small = scan(3)
        chunks = client.post(
            receiver.url, content=iter([small[:9], small[9:]]), headers=headers("chunks", small)
        )
        assert chunks.status_code == 200
        unknown = client.post(receiver.url + "x", content=b"{}")
        assert (unknown.status_code, unknown.json()) == (
            404,
            client.get(receiver.url + "/y").json() and {"detail": "Not Found"},
        )
        assert client.get(receiver.url).status_code == 405
        for page in ("/docs", "/openapi.json", "/redoc", "/"):
            assert client.get(receiver.url.replace("/hooks/scan", page)).status_code == 404
    load(company)
    assert rows(company, "SELECT delivery_id FROM lake.raw.scan WHERE delivery_id NOT LIKE 'a-%'") == [
        ("chunks",)
    ]
    log = receiver.log.read_text()
    assert "401 wrong signature" in log
    assert "item-" not in log
    assert kit.SECRET not in log


def test_who_sends_slowly_does_not_hold_the_receiver(tmp_path, monkeypatch):
    from lake.sources.webhooks import receiver as module
    from lake.sources.webhooks import serving

    monkeypatch.setattr(module, "BODY_S", 0.3)
    monkeypatch.setattr(serving, "HEAD_S", 0.3)
    company, port = kit.company(tmp_path, monkeypatch), kit.free_port()
    app = module.make_app(company, load_contracts(company))
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            http=serving.Impatient,
            log_config=None,
            timeout_keep_alive=1,  # far from the patience of `_answer`
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        for said in (b"", b"POST /hooks/scan HT", b"POST /hooks/scan HTTP/1.1\r\nHost: x\r\nX-A: "):
            assert _answer(port, said) == b""
        body, whole = scan(1), b""
        for name, value in (headers("slow", body) | {"host": "x", "content-length": str(len(body))}).items():
            whole += f"{name}: {value}\r\n".encode()
        whole = b"POST /hooks/scan HTTP/1.1\r\n" + whole + b"\r\n" + body
        assert b" 408 " in _answer(port, whole[:-1])
        assert b" 200 " in _answer(port, whole + b"GET /next HT")  # and the next one's headers never end
    finally:
        server.should_exit = True
        thread.join()


def _answer(port, said):
    """Send and keep the connection open; return what comes until the other side closes it."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(said)
        found = b""
        while more := connection.recv(65536):
            found += more
    return found


def test_senders_are_told_to_come_back_when_there_is_no_room(tmp_path, monkeypatch):
    kit.company(tmp_path, monkeypatch, more=", free_mb: 1000000000")
    receiver = Receiver(tmp_path / "log")
    try:
        answer = httpx.post(receiver.url, content=scan(1), headers=headers("x", scan(1)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    finally:
        receiver.stop()
    assert "MB left" in receiver.log.read_text()


def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """Several senders repeat each delivery until it is answered 200, while the receiver is killed and loading goes on."""
    company, chance = kit.company(tmp_path, monkeypatch), random.Random(3)
    receiver = Receiver(tmp_path / "log")
    port, is_over = receiver.port, threading.Event()
    taken: list[str] = []

    def sender(name: int) -> None:
        number = 0
        with httpx.Client(timeout=2) as client:
            while not is_over.is_set():
                delivery_id, body = f"{name}-{number}", scan(number)
                try:
                    if send(client, receiver.url, delivery_id, body) != 200:
                        continue
                except httpx.TransportError:
                    time.sleep(0.01)
                    continue
                taken.append(delivery_id)
                number += 1

    threads = [threading.Thread(target=sender, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(3):
            time.sleep(0.2 + chance.random() * 0.3)
            if round_ == 1:
                load(company)
            receiver.kill()
            receiver = Receiver(tmp_path / "log", port)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        receiver.stop()
    load(company)
    assert len(taken) > 50
    # What was safe when the answer was lost is there too; nothing is there twice.
    found = [row[0] for row in rows(company, "SELECT delivery_id FROM lake.raw.scan")]
    assert len(found) == len(set(found))
    assert set(taken) <= set(found)
    assert len(found) <= len(taken) + 4
    spool = Spool(company.spool("scan"))
    assert not list(spool.waiting(0, spool.newest))
    spool.close()
    assert load(company).totals["rows_read"] == 0
