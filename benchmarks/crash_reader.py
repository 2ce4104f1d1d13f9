"""The reader that runs all through `benchmarks.crashes`: it opens the lake again and again and judges what it sees.

In one transaction: the rows of every delivery are those that the ledger says, the quarantined rows too, and the journal's
committed offset is that of its rows. It notes every error and its longest look, in parts: seconds in the queue for a core
(20 loaders on two cores keep everybody waiting for those; its own thread's, and those of the PostgreSQL processes that serve
it), seconds of its own work, and the rest, which it waited for others. A wait is judged as all of a look but those queues.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from benchmarks.crash_loader import company, contracts
from lake.catalogs import PostgresCatalog
from lake.connection import ALIAS, Lake, table_exists

_BALANCE = """
SELECT dataset, delivery_id, rows_read, loaded, quarantined, duplicate, unchanged FROM lake.meta.delivery
WHERE status = 'loaded' AND rows_read <> loaded + quarantined + duplicate + unchanged
"""
_ROWS = """
WITH found AS (SELECT _delivery_id AS delivery_id, count(*) AS n FROM lake.raw.{dataset} GROUP BY ALL),
told AS (SELECT delivery_id, loaded FROM lake.meta.delivery WHERE dataset = '{dataset}' AND loaded > 0)
SELECT * FROM found FULL JOIN told USING (delivery_id) WHERE n IS DISTINCT FROM loaded
"""
_REFUSED = """
WITH found AS (SELECT delivery_id, count(*) AS n FROM lake.meta.quarantine GROUP BY ALL),
told AS (SELECT delivery_id, quarantined FROM lake.meta.delivery WHERE quarantined > 0)
SELECT * FROM found FULL JOIN told USING (delivery_id) WHERE n IS DISTINCT FROM quarantined
"""
_OFFSET = """
SELECT (SELECT count(*) FROM lake.raw.journal) AS n,
    (SELECT (position ->> 'offset')::INT FROM lake.meta.position WHERE dataset = 'journal') AS told
WHERE n IS DISTINCT FROM coalesce(told, 0)
"""


@dataclass
class Look:
    """What one look took, in seconds."""

    took_s: float = 0.0
    queued_s: float = 0.0
    worked_s: float = 0.0
    number: int = 0
    """The first look has number 0."""
    server_queued_s: float = 0.0
    """What the PostgreSQL processes that served it, one for each of its connections, stood in the queue for a core."""

    @property
    def waited_s(self) -> float:
        """What a user waits for an answer on a machine that has a core to spare."""
        return self.took_s - self.queued_s - self.server_queued_s


def look(lake: Lake, appended: list[str], taken: Look) -> list[str]:
    """Return what is torn at this moment, in words; nothing if all is well."""
    torn = []
    os.environ["PGAPPNAME"] = (
        f"look {time.monotonic_ns()}"  # by it the server knows which processes serve this look
    )
    with lake.read() as connection:
        connection.execute("SET threads = 1")  # all work in the thread whose time in the queue is known
        connection.execute("BEGIN TRANSACTION")
        if not table_exists(connection, "meta", "delivery"):
            return []
        questions = {"identity": _BALANCE, "quarantine": _REFUSED}
        for dataset in appended:
            if table_exists(connection, "raw", dataset):
                questions[dataset] = _ROWS.format(dataset=dataset)
        if table_exists(connection, "raw", "journal"):
            questions["offset"] = _OFFSET
        for name, query in questions.items():
            rows = connection.execute(query).fetchall()
            if rows:
                torn.append(f"{name}: {rows[:3]}")
        if isinstance(lake.catalog, PostgresCatalog):
            taken.server_queued_s = _server_queued_s(connection)
    return torn


@contextmanager
def timed() -> Iterator[Look]:
    """Time a look: DuckDB has to do its work in this thread."""
    look, began, queued, worked = Look(), time.perf_counter(), _queued_s(), time.thread_time()
    try:
        yield look
    finally:
        look.took_s = time.perf_counter() - began
        look.queued_s, look.worked_s = _queued_s() - queued, time.thread_time() - worked


def _server_queued_s(connection: duckdb.DuckDBPyConnection) -> float:
    """Return how long the server's processes of this look, begun with it, have stood in the queue for a core.

    There are two: the one that DuckLake reads its tables with, and the one that answers this question.
    """
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = current_setting(''application_name'')"
    rows = connection.execute(
        f"SELECT pid FROM postgres_query('__ducklake_metadata_{ALIAS}', '{mine}')"
    ).fetchall()
    assert rows
    return sum(_queued_s(str(pid)) for (pid,) in rows)


def _queued_s(process: str = "thread-self") -> float:
    """Return how long a thread has stood ready and without a core, by Linux's own count; 0 where that is not told."""
    told = Path(f"/proc/{process}/schedstat")
    return int(told.read_text(encoding="utf-8").split()[1]) / 1e9 if told.exists() else 0.0


def main(folder: str, lake_settings: str, report: str, stop: str) -> None:
    """Read until the file `stop` exists; then write what was seen to `report`."""
    lake = Lake.of(company(Path(folder), json.loads(lake_settings)))
    appended = [one.dataset for one in contracts(Path(folder)) if one.write_mode == "append"]
    torn: list[str] = []
    errors: list[str] = []
    looks, worst = 0, Look()
    while not Path(stop).exists():
        with timed() as one:
            one.number = looks
            try:
                torn += look(lake, appended, one)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        worst = max(worst, one, key=lambda look: look.waited_s)
        looks += 1
        time.sleep(0.2)
    seen = {
        "looks": looks,
        "torn": torn,
        "errors": errors,
        "waited_s": worst.waited_s,
        "worst_look": asdict(worst),
    }
    Path(report).write_text(json.dumps(seen), encoding="utf-8")
