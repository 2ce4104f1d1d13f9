"""A failure is told: to a real webhook, a real mail server, and the log; and none of them can break what they tell of."""

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import SerializableErrorInfo

from lake.company import Company, CompanySettings
from orchestration.alerts import alert
from orchestration.watch import failed_run_sensor, failed_tick_sensor


def company(**alerts: str) -> Company:
    settings = CompanySettings.model_validate({"title": "Told", "currency": "EUR", "alerts": alerts})
    return Company("told", Path("unused"), Path("unused"), settings)


class _Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(500 if self.path == "/broken" else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as takes one message."""

    def handle(self) -> None:
        self._say("220 test")
        while line := self.rfile.readline().decode().strip().upper():
            if line == "DATA":
                self._say("354 go on")
                message = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.received.append(message.decode())  # type: ignore[attr-defined]
                self._say("250 ok")
            elif line == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[tuple[str, list[object]]]:
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", server.received  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[object]]]:
    with serving(HTTPServer(("127.0.0.1", 0), _Webhook)) as at:
        yield at


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[object]]]:
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox)) as at:
        yield at


def test_by_default_the_log_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "stocklake.alerts"):
        assert alert(company(), "run 7 failed", "3 rows below 0") == ["log"]
    assert "told: run 7 failed: 3 rows below 0" in caplog.text


def test_webhook_and_mail_get_subject_and_detail(
    webhook: tuple[str, list[object]], mailbox: tuple[str, list[object]]
) -> None:
    settings = {
        "webhook_url": f"http://{webhook[0]}/hook",
        "email_to": "planner@example.com",
        "smtp_host": mailbox[0],
    }
    assert alert(company(**settings), "run 7 failed", "3 rows below 0") == ["log", "webhook", "email"]
    assert webhook[1] == [
        {"company": "told", "subject": "run 7 failed", "text": "run 7 failed\n3 rows below 0"}
    ]
    [message] = mailbox[1]
    assert "Subject: Stocklake, told: run 7 failed" in str(message)
    assert "To: planner@example.com" in str(message)
    assert "3 rows below 0" in str(message)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "no url at all", "BROKEN"])
def test_an_alert_that_cannot_be_delivered_is_logged_and_raises_nothing(
    url: str, webhook: tuple[str, list[object]], caplog: pytest.LogCaptureFixture
) -> None:
    url = url.replace("BROKEN", f"http://{webhook[0]}/broken")
    unreachable = company(webhook_url=url, email_to="planner@example.com", smtp_host="127.0.0.1:9")
    assert alert(unreachable, "run 7 failed", "why") == ["log"]
    assert "could not be delivered by webhook" in caplog.text
    assert "could not be delivered by email" in caplog.text


def test_a_failed_run_is_told_in_the_words_of_its_step(webhook: tuple[str, list[object]]) -> None:
    @dg.op
    def plan() -> None:
        raise dg.Failure("Gate run G1 failed, so nothing is planned from this data.", allow_retries=False)

    @dg.job
    def daily() -> None:
        plan()

    told = company(webhook_url=f"http://{webhook[0]}/")
    with dg.instance_for_test() as instance:
        result = daily.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="alert_on_failed_run",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        failed_run_sensor(told)(context)
    [body] = webhook[1]
    assert body["subject"] == f"run {result.run_id} failed"  # type: ignore[index]
    assert "plan: Gate run G1 failed, so nothing is planned from this data." in body["text"]  # type: ignore[index]


def _note_tick(instance: dg.DagsterInstance, kind: InstigatorType, name: str, error: str | None) -> None:
    """Write down a tick as the daemon does."""
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), "stocklake")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = ScheduleInstigatorData("0 5 * * *") if kind == InstigatorType.SCHEDULE else SensorInstigatorData()
    if not instance.get_instigator_state(origin.get_id(), origin.get_selector().get_id()):
        instance.add_instigator_state(InstigatorState(origin, kind, InstigatorStatus.RUNNING, data))
    wrapped = SerializableErrorInfo("Error in user code", [], "Wrapper") if error else None
    if wrapped and error:
        wrapped = wrapped._replace(cause=SerializableErrorInfo(error, [], "ContractError"))
    instance.create_tick(
        TickData(
            origin.get_id(),
            name,
            kind,
            TickStatus.FAILURE if error else TickStatus.SKIPPED,
            datetime.now().timestamp(),
            selector_id=origin.get_selector().get_id(),
            error=wrapped,
        )
    )


def test_a_failed_tick_is_told_once_until_it_heals(webhook: tuple[str, list[object]]) -> None:
    told = company(webhook_url=f"http://{webhook[0]}/")
    cursor: str | None = None

    def watch() -> list[object]:
        nonlocal cursor
        before = len(webhook[1])
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        failed_tick_sensor(told)(context)
        cursor = context.cursor
        return webhook[1][before:]

    with dg.instance_for_test() as instance:
        assert watch() == []
        _note_tick(instance, InstigatorType.SENSOR, "inbox", "There is no variable ${BOX}.")
        _note_tick(instance, InstigatorType.SCHEDULE, "every_morning", "no such time zone")
        subjects = {(body["subject"], body["text"]) for body in watch()}  # type: ignore[index]
        assert subjects == {
            ("sensor inbox failed", "sensor inbox failed\nThere is no variable ${BOX}."),
            ("schedule every_morning failed", "schedule every_morning failed\nno such time zone"),
        }
        _note_tick(instance, InstigatorType.SENSOR, "inbox", "There is no variable ${BOX}.")
        assert watch() == []
        _note_tick(instance, InstigatorType.SENSOR, "inbox", None)
        _note_tick(instance, InstigatorType.SENSOR, "inbox", "There is no variable ${BOX}.")
        assert len(watch()) == 1
