"""The server that other tests lean on."""

import pytest

from tests.postgres import PostgresServer


def test_a_database_of_its_own_that_keeps_what_was_committed_through_a_crash(
    postgres: PostgresServer, postgres_url: str
) -> None:
    postgres.execute("CREATE TABLE t AS SELECT 1 AS n", postgres_url)
    postgres.stop(at_once=True)
    postgres.start()
    assert postgres.execute("SELECT n FROM t", postgres_url) == [(1,)]
    assert postgres.execute("SHOW wal_level", postgres_url) == [("logical",)]


def test_databases_see_nothing_of_each_other(postgres: PostgresServer, postgres_url: str) -> None:
    with pytest.raises(Exception, match='relation "t" does not exist'):
        postgres.execute("SELECT n FROM t", postgres_url)
