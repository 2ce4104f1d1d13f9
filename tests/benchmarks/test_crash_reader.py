"""What a reader's look is said to have waited: the queue of every PostgreSQL process that serves it is left out."""

import pytest

from benchmarks import crash_reader
from benchmarks.crash_loader import company
from lake import ledger
from lake.connection import Lake
from tests.postgres import PostgresServer


def test_both_processes_that_serve_a_look_count_and_no_other(
    tmp_path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASH_CATALOG_PASSWORD", postgres.password)
    url = postgres.new_database().replace(postgres.password, "${env:CRASH_CATALOG_PASSWORD}")
    lake = Lake.of(company(tmp_path, {"catalog": url}))
    with lake.write() as connection:
        ledger.create_tables(connection)
    asked: list[str] = []
    monkeypatch.setattr(crash_reader, "_queued_s", lambda process: asked.append(process) or 1.5)
    monkeypatch.setenv("PGAPPNAME", "")
    looks = [crash_reader.Look(), crash_reader.Look()]
    with lake.read():  # somebody else reads too
        for one in looks:
            assert crash_reader.look(lake, [], one) == []
    assert [one.server_queued_s for one in looks] == [3.0, 3.0]
    assert len(set(asked)) == 4, "each look has two connections of its own"
