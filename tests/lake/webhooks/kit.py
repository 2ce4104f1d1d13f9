"""What the tests of webhooks share: a contract, its company on disk, a receiver in a process of its own, a sender."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from lake.company import PROJECT_ROOT, Company, load_company

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes!").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the secret that goes").decode()

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: test.dock.scan
name: Dock scans
version: 1.0.0
status: active
domain: logistics
description: {purpose: Every scan at a dock door.}
team: {name: docks}
servers:
  - server: receiver
    type: custom
    format: jsonl
    customProperties:
      - {property: source, value: {kind: webhook, secrets: ['${env:HOOK_SECRET}', '${env:HOOK_OLD}'], body_kb: 8%(more)s}}
schema:
  - name: scan
    logicalType: object
    physicalType: stream
    description: One row per scan.
    customProperties: [{property: write_mode, value: append}, {property: optional, value: true}]
    properties:
      - {name: delivery_id, logicalType: string, required: true, description: The sender's id.}
      - {name: received_at, logicalType: timestamp, required: true, description: When it was received.}
      - {name: item_id, physicalName: payload.item.id, logicalType: string, required: true, description: What was scanned.}
      - {name: quantity, physicalName: payload.quantity, logicalType: integer, required: true, description: How many.,
         customProperties: [{property: unit, value: units}]}
"""


def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "STOCKLAKE_COMPANIES": str(tmp_path / "companies"),
        "STOCKLAKE_HOME": str(tmp_path / "home"),
        "STOCKLAKE_COMPANY": "docks",
        "HOOK_SECRET": SECRET,
        "HOOK_OLD": OLD_SECRET,
        "NO_PROXY": "127.0.0.1",
    }


def company(tmp_path: Path, monkeypatch, more: str = "") -> Company:
    folder = tmp_path / "companies" / "docks"
    (folder / "contracts").mkdir(parents=True, exist_ok=True)
    (folder / "company.yaml").write_text("title: Docks\ncurrency: EUR\n")
    (folder / "contracts" / "scan.odcs.yaml").write_text(CONTRACT % {"more": more})
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    made = load_company()
    made.prepare()
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receiver:
    """`stocklake receive` as a process."""

    def __init__(self, log: Path, port: int | None = None) -> None:
        self.port, self.log = port or free_port(), log
        self.url = f"http://127.0.0.1:{self.port}/hooks/scan"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestration.cli", "receive", "--port", str(self.port)],
                cwd=PROJECT_ROOT, stdout=output, stderr=output,
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


def scan(number: int) -> bytes:
    return json.dumps({"item": {"id": f"item-{number}"}, "quantity": number}, indent=1).encode()


def headers(
    delivery_id: str, body: bytes, *, at: float | None = None, secret: str = SECRET
) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    message = f"{delivery_id}.{stamp}.".encode() + body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), message, hashlib.sha256).digest()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        "content-type": "application/json",
    }


def send(client: httpx.Client, url: str, delivery_id: str, body: bytes, **signing) -> int:
    return client.post(url, content=body, headers=headers(delivery_id, body, **signing)).status_code
