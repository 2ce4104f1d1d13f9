"""A table in a real PostgreSQL, for the tests of databases; companies that listen to a NATS server, for those of streams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lake.sources.database_kit import TABLE
from tests.lake.sources.stream_kit import House, make_house
from tests.nats import NatsServer
from tests.postgres import PostgresServer


@pytest.fixture
def line_url(postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TEST_PASSWORD", postgres.password)
    postgres.execute(TABLE, postgres_url)
    return postgres_url


@pytest.fixture
def house(nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return make_house(nats_server, tmp_path, monkeypatch)


@pytest.fixture
def own_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A company with a server of its own, to be stopped and wiped."""
    server = NatsServer(tmp_path / "nats").start()
    yield make_house(server, tmp_path, monkeypatch)
    server.kill()
