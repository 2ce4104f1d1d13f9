"""Lineage events as a server or a file gets them; and that whatever the server does, who tells them goes on at once."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lake import lineage_events
from lake.company import PROJECT_ROOT, LineageSettings
from lake.lineage_events import Assertion, Job, Table, Teller, run_id_of
from tests.lake.openlineage import problems

RUN = "7f0a1f5e-8c59-4a3c-9a41-0b4d5cbb9f10"
JOB = Job(
    "dbt.core.fct_demand",
    "MODEL",
    (Table("core.fct_sales", assertions=(Assertion("is unique", False, "id", "warn"), Assertion("rows", True)),),
     Table("${INBOX}/sales_*.csv", namespace="file")),
    (Table("core.fct_demand", columns=(("units", "BIGINT", "Sold."), ("day", "DATE", "")), description="Demand.",
           owner="sales", rows=3, version="1.0.0", sources={"units": [("core.fct_sales", "quantity")], "day": []}),),
)  # fmt: skip


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.got: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.asked = 0
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.got.append((self.path, dict(self.headers), json.loads(body)))
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def say(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.server.released.wait(30)  # type: ignore[attr-defined]


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single read ever takes too long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        if handler.server.released.wait(0.05):  # type: ignore[attr-defined]
            return
        handler.wfile.write(b"x")
        handler.wfile.flush()


def teller(**settings: Any) -> Teller:
    return Teller(LineageSettings.model_validate(settings), "acme")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "ENDPOINT", "API_KEY", "NAMESPACE", "DISABLED", "_TRANSPORT__LOG_FILE_PATH"):
        monkeypatch.delenv(f"OPENLINEAGE_{name}", raising=False)


def test_a_server_gets_what_was_told_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEZ_KEY", "s3cret")
    with serving(say(201)) as server:
        one = teller(url=server.url, api_key="${env:MARQUEZ_KEY}")
        run = run_id_of(RUN, JOB.name, 0)
        one.tell("START", JOB, run, parent=(RUN, "dbt"))
        one.tell("FAIL", JOB, run, parent=(RUN, "dbt"), error="no such column")
        one.flush(10)
        path, headers, begun = server.got[0]
        ended = server.got[1][2]
    assert (path, headers["Authorization"]) == ("/api/v1/lineage", "Bearer s3cret")
    assert [problems(event) for event in (begun, ended)] == [[], []]
    assert (begun["eventType"], ended["eventType"]) == ("START", "FAIL")
    assert begun["run"]["runId"] == ended["run"]["runId"] == run
    assert ended["run"]["facets"]["errorMessage"]["message"] == "no such column"
    assert begun["run"]["facets"]["parent"]["run"]["runId"] == RUN
    assert begun["job"]["name"] == "dbt.core.fct_demand"
    made = begun["outputs"][0]
    assert made["facets"]["schema"]["fields"][0] == {
        "name": "units",
        "type": "BIGINT",
        "description": "Sold.",
        "fields": [],
    }
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 3
    fields = made["facets"]["columnLineage"]["fields"]
    assert {
        name: [(f["namespace"], f["name"], f["field"]) for f in field["inputFields"]]
        for name, field in fields.items()
    } == {"units": [("acme", "core.fct_sales", "quantity")]}
    read = begun["inputs"]
    assert [(one["namespace"], one["name"]) for one in read] == [
        ("acme", "core.fct_sales"),
        ("file", "${INBOX}/sales_*.csv"),
    ]
    asserted = read[0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(a["assertion"], a["success"], a["severity"], a.get("column")) for a in asserted] == [
        ("is unique", False, "warn", "id"), ("rows", True, "error", None),
    ]  # fmt: skip


def test_the_check_of_events_can_fail() -> None:
    assert problems({"eventType": "START"})
    assert problems(
        {"eventType": "BEGIN", "eventTime": "now", "producer": "x", "schemaURL": "x", "run": {}, "job": {}}
    )


def test_a_file_gets_a_line_for_each_event(tmp_path: Path) -> None:
    one = teller(file=str(tmp_path / "events.jsonl"), namespace="prod")
    one.tell("START", JOB, RUN)
    one.tell("COMPLETE", JOB, RUN)
    one.flush(10)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(event["eventType"], event["job"]["namespace"]) for event in events] == [
        ("START", "prod"),
        ("COMPLETE", "prod"),
    ]


def refused() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("answer", [hang, drip, say(500), say(404)], ids=["hangs", "drips", "500", "404"])
def test_a_bad_server_costs_nobody_time(
    answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lineage_events, "TIMEOUT_S", 0.2)
    with serving(answer) as server:
        one = teller(url=server.url)
        began = time.monotonic()
        for number in range(500):
            one.tell("START", JOB, run_id_of(RUN, JOB.name, number))
        assert time.monotonic() - began < 5  # a try that is waited for takes 0.2 s: 100 s together
        one.flush(1.0)
        assert time.monotonic() - began < 10
        if answer is not drip:  # which never fails, and is left behind with its thread
            assert server.asked == lineage_events.PATIENCE
            assert "no more are sent by this process" in caplog.text
            began = time.monotonic()
            one.tell("COMPLETE", JOB, RUN)
            one.flush(20)
            assert time.monotonic() - began < 5  # nobody waits for a server that is given up


@pytest.mark.parametrize(
    "settings", [{"url": "http://nowhere.invalid"}, {"file": "/proc/nowhere/events"}, {}], ids=str
)
def test_what_cannot_be_reached_fails_nothing(
    settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    one = teller(**(settings or {"url": refused()}))
    for _ in range(3):
        one.tell("START", JOB, RUN)
    one.flush(5)
    assert "could not be sent" in caplog.text
    assert {record.levelno for record in caplog.records if record.name == lineage_events.__name__} == {
        logging.WARNING
    }


def test_a_key_that_is_not_set_fails_nothing_and_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with serving(say(201)) as server:
        one = teller(url=server.url, api_key="${env:NOT_SET_ANYWHERE}")
        one.tell("START", JOB, RUN)
        one.flush(5)
        assert server.got == []
    assert "could not be sent" in caplog.text


def test_a_process_ends_soon_though_the_server_hangs(tmp_path: Path) -> None:
    program = (
        "from lake.company import LineageSettings\nfrom lake.lineage_events import Job, Teller\nimport sys\n"
        "one = Teller(LineageSettings(url=sys.argv[1]), 'acme')\n"
        f"one.tell('START', Job('j', 'MODEL'), '{RUN}')\nprint('done')\n"
    )
    with serving(hang) as server:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program, server.url],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        took = time.monotonic() - began
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert took < 20  # the imports, and two seconds at the end


def test_nothing_is_configured_nothing_is_imported_or_sent() -> None:
    program = (
        "import sys\nfrom lake.company import LineageSettings\nfrom lake.lineage_events import Job, Teller\n"
        "one = Teller(LineageSettings(), 'acme')\n"
        f"one.tell('START', Job('j', 'MODEL'), '{RUN}')\none.flush()\n"
        "print(one.is_on, [name for name in sys.modules if name.startswith(('openlineage', 'requests'))])\n"
        "import threading; print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["False []", "1"]


def test_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(say(201)) as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "events")
        monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "prod")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "k")
        one = teller(url="http://elsewhere.invalid")
        one.tell("START", JOB, RUN)
        one.flush(10)
        path, headers, event = server.got[0]
        assert (path, headers["Authorization"], event["job"]["namespace"]) == ("/events", "Bearer k", "prod")
    monkeypatch.setenv("OPENLINEAGE_URL", "ftp://wrong")
    assert not teller().is_on
    assert "environment variables cannot be used" in caplog.text
    monkeypatch.delenv("OPENLINEAGE_URL")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "said"))
    one = teller(url="http://elsewhere.invalid")
    one.tell("START", JOB, RUN)
    one.flush(10)
    assert (tmp_path / "said").read_text().count("\n") == 1
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert not teller(file=str(tmp_path / "x")).is_on


def test_more_than_the_memory_holds_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_events, "WAITING_EVENTS", 5)
    with serving(hang) as server:
        one = teller(url=server.url)
        for _ in range(100):
            one.tell("START", JOB, RUN)
        assert one._sender is not None
        assert one._sender.dropped >= 90
