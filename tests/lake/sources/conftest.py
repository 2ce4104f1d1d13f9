"""A table in a real PostgreSQL, for the tests of databases."""

import pytest

from tests.lake.sources.database_kit import TABLE
from tests.postgres import PostgresServer


@pytest.fixture
def line_url(postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TEST_PASSWORD", postgres.password)
    postgres.execute(TABLE, postgres_url)
    return postgres_url
