"""Readers never wait for the writer, and the writer never waits for them."""

import time

from lake.connection import Lake
from tests.lake.loading_kit import company


def test_a_reader_in_the_middle_of_its_transaction_neither_holds_up_a_commit_nor_sees_it(tmp_path):
    lake = Lake.of(company(tmp_path))
    with lake.write() as writer:
        writer.execute("CREATE TABLE lake.raw.one AS SELECT 1 AS n")
        writer.execute("CREATE TABLE lake.raw.two AS SELECT 1 AS n")
    with lake.read() as reader:
        reader.execute("BEGIN TRANSACTION")
        assert reader.execute("FROM lake.raw.one").fetchall() == [(1,)]
        start = time.monotonic()
        with lake.write() as writer:
            writer.execute("UPDATE lake.raw.one SET n = 2")
            writer.execute("UPDATE lake.raw.two SET n = 2")
        assert time.monotonic() - start < 4  # SQLite gives up on a lock after 5 s
        assert reader.execute("FROM lake.raw.two").fetchall() == [(1,)]
    with lake.read() as reader:
        assert reader.execute("FROM lake.raw.one NATURAL JOIN lake.raw.two").fetchall() == [(2,)]
