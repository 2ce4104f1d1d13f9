"""A real NATS server for tests and benchmarks: JetStream on disk, MQTT, killed and wiped as a test likes.

`nats_server` is one for the session; a test that stops it or lets nobody in makes a `NatsServer` of its own.
"""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class NatsServer:
    """One server below `folder`. `settings` are lines of its configuration (authorization, tls)."""

    folder: Path
    settings: str = ""
    sync_interval: str = "always"
    port: int = field(default_factory=free_port)
    mqtt_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self) -> "NatsServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "nats.conf"
        configuration.write_text(
            f'server_name: test\nlisten: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.store}", sync_interval: {self.sync_interval} }}\n'
            f'mqtt {{ host: "127.0.0.1", port: {self.mqtt_port} }}\n{self.settings}\n'
        )
        program = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(configuration)], stdout=log, stderr=log)
        self._wait()
        return self

    def _wait(self) -> None:
        assert self.process is not None
        for _ in range(1000):
            if self.process.poll() is not None:
                raise AssertionError((self.folder / "server.log").read_text())
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    if connection.recv(4) == b"INFO":
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError("nats-server does not listen")

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def wipe(self) -> None:
        """Take the store away, as when a disk is lost: kill, delete, start."""
        self.kill()
        shutil.rmtree(self.store)
        self.start()

    def do(self, work: Any, **options: Any) -> Any:
        """Run `async work(client)` on a connection of its own."""

        async def connected() -> Any:
            client = await nats.connect(self.url, **options)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(connected())

    def make_stream(self, name: str, *subjects: str, **configuration: Any) -> None:
        """Make a stream; `configuration` is what nats-py's `add_stream` takes."""
        self.do(
            lambda client: client.jetstream().add_stream(name=name, subjects=list(subjects), **configuration)
        )

    def publish(self, messages: Iterable[tuple[str, bytes | str | dict[str, Any]]], **headers: str) -> int:
        """Publish (subject, payload) pairs, each acknowledged; return the last sequence."""

        async def work(client: Any) -> int:
            stream, last = client.jetstream(publish_async_max_pending=4000), 0
            pending = []
            for subject, payload in messages:
                body = json.dumps(payload) if isinstance(payload, dict) else payload
                data = body.encode() if isinstance(body, str) else body
                pending.append(await stream.publish_async(subject, data, headers=dict(headers) or None))
            for one in pending:
                last = (await one).seq
            return last

        return int(self.do(work))


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One NATS server for the whole session (.1 s): a test makes streams and subjects of its own and harms nothing."""
    server = NatsServer(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.stop()
