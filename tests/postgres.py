"""A real PostgreSQL for tests: one per session, on loopback, started at the first test that asks, with logical WAL.

`postgres` is the server (restart it, make databases in it), `postgres_url` an empty database of the test's own.
Nothing else of the system is touched: a data folder of its own, no system user, no shared port, stopped by process id.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

USER = "stocklake"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_wal_senders": "8",
    "max_replication_slots": "16",
    "wal_sender_timeout": "10s",
    "shared_buffers": "32MB",
    "fsync": "off",
    "timezone": "Asia/Kolkata",  # not UTC, so that what forgets to convert is found
}
_UNPRIVILEGED = "nobody"
"""Whom the server runs as when root asks: PostgreSQL refuses root."""


@dataclass
class PostgresServer:
    """A running server. Its password is a fresh one, so that a test can look for it in messages."""

    folder: Path
    binaries: Path
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", password: str | None = None) -> str:
        """Return an SQLAlchemy and libpq URL."""
        return f"postgresql://{USER}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, its slots and whoever is connected."""
        self.release_slots(url)
        name = url.rpartition("/")[2]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def release_slots(self, url: str) -> None:
        """Drop a database's replication slots, whoever reads them."""
        name = url.rpartition("/")[2]
        self.execute(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{name}' AND active"
        )
        for _ in range(100):
            try:
                self.execute(
                    f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'"
                )
                break
            except psycopg2.errors.ObjectInUse:
                time.sleep(0.02)

    def execute(self, statement: str, url: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement in a connection of its own and return its rows."""
        with contextlib.closing(psycopg2.connect(url or self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def create(self) -> None:
        """Make the data folder."""
        password_file = self.folder / "password"
        password_file.write_text(self.password, encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(self.folder, _UNPRIVILEGED)
            shutil.chown(password_file, _UNPRIVILEGED)
        options = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions"]
        subprocess.run(
            [self.binaries / "initdb", "-D", self.data, "-U", USER, f"--pwfile={password_file}", *options],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=_UNPRIVILEGED if os.geteuid() == 0 else None,
        )

    def start(self) -> None:
        """Start it on its port (the first time on a free one) and wait until it answers."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        settings = [text for name, value in _SETTINGS.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-p", str(self.port), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=_UNPRIVILEGED if os.geteuid() == 0 else None,
            )
        self._wait()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it, kindly to nobody: connections are cut. `at_once` is a crash, with recovery at the next start."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self.process.wait(30)
            self.process = None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + 30
        while True:
            try:
                psycopg2.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {log[-2000:]}") from None
                time.sleep(0.02)


def _binaries(folder: Path) -> Path:
    """Return PostgreSQL's programs from the wheel `pgserver`; a copy where only root may pass to them."""
    spec = importlib.util.find_spec("pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs a PostgreSQL: install the wheel pgserver (Python 3.11 or 3.12)")
    installed = Path(spec.submodule_search_locations[0]) / "pginstall"
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        shutil.copytree(installed, folder / "pginstall")
        installed = folder / "pginstall"
    return installed / "bin"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole session (about 1 s)."""
    with running_postgres() as server:
        yield server


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Lend a server of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="stocklake-postgres-"))
    try:
        folder.chmod(0o755)
        server = PostgresServer(folder, _binaries(folder))
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop(at_once=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)
