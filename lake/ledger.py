"""The ledger: one row per delivery and what became of it, the quarantined rows, and the guard against loading twice.

Here are the tables of `meta` that loading writes, and the questions about them. Who loads is `loading.py`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb

from lake.connection import Lake, literal, quoted_text, table_exists
from lake.sources.control import Reconciled
from lake.sources.drift import Drift

Status = Literal["loaded", "duplicate_delivery", "refused", "replayed", "overtaken"]
"""replayed: of a delivery loaded before, what left quarantine later; its counts add to those of that delivery.
overtaken: another process brought the same stretch of a source first; it stands in no ledger."""
COUNTS = ("rows_read", "loaded", "quarantined", "duplicate", "unchanged")
QUARANTINE_COLUMNS = (
    "quarantine_id", "delivery_id", "dataset", "file_name", "sheet", "line", "raw_text", "rules", "columns", "messages",
)  # fmt: skip

_TABLES = """
CREATE TABLE IF NOT EXISTS lake.meta.delivery (
    delivery_id VARCHAR, run_id VARCHAR, dataset VARCHAR, file_name VARCHAR, content_sha256 VARCHAR,
    size_bytes BIGINT, status VARCHAR, rows_read BIGINT, loaded BIGINT, quarantined BIGINT, duplicate BIGINT,
    unchanged BIGINT, reason VARCHAR, loaded_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS lake.meta.quarantine (
    quarantine_id VARCHAR, delivery_id VARCHAR, dataset VARCHAR, file_name VARCHAR, sheet VARCHAR, line BIGINT,
    raw_text VARCHAR, rules VARCHAR[], columns VARCHAR[], messages VARCHAR[], quarantined_at TIMESTAMP
);
ALTER TABLE lake.meta.quarantine ADD COLUMN IF NOT EXISTS status VARCHAR;
ALTER TABLE lake.meta.quarantine ADD COLUMN IF NOT EXISTS settled_at TIMESTAMP;
ALTER TABLE lake.meta.quarantine ADD COLUMN IF NOT EXISTS settled_run_id VARCHAR;
ALTER TABLE lake.meta.quarantine ADD COLUMN IF NOT EXISTS settled_by VARCHAR;
ALTER TABLE lake.meta.quarantine ADD COLUMN IF NOT EXISTS settled_reason VARCHAR;
CREATE TABLE IF NOT EXISTS lake.meta.guard (name VARCHAR, n BIGINT);
CREATE TABLE IF NOT EXISTS lake.meta.position (dataset VARCHAR, position JSON, delivery_id VARCHAR, committed_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS lake.meta.drift (
    run_id VARCHAR, dataset VARCHAR, delivery_id VARCHAR, file_name VARCHAR, kind VARCHAR, column_name VARCHAR,
    message VARCHAR, noted_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS lake.meta.control (
    run_id VARCHAR, dataset VARCHAR, delivery_id VARCHAR, file_name VARCHAR, figure VARCHAR, expected VARCHAR,
    found VARCHAR, ties BOOLEAN, noted_at TIMESTAMP
);
"""


@dataclass
class Delivery:
    """One delivery and its counts: rows_read = loaded + quarantined + duplicate + unchanged, or it is refused."""

    dataset: str
    file_name: str
    content_sha256: str | None
    size_bytes: int | None
    status: Status = "loaded"
    delivery_id: str = ""
    rows_read: int = 0
    loaded: int = 0
    quarantined: int = 0
    duplicate: int = 0
    unchanged: int = 0
    reason: str | None = None
    """Why it was refused, or which delivery it repeats."""
    rules: dict[str, int] = field(default_factory=dict)
    """Quarantined rows per rule; a row with two reasons counts in both."""
    drift: list[Drift] = field(default_factory=list)
    """How its columns differ from the contract's."""
    control: list[Reconciled] = field(default_factory=list)
    """What its source says it holds, against what was found."""

    def clear_counts(self) -> None:
        """Forget what was counted: it adds no rows."""
        for name in COUNTS:
            setattr(self, name, 0)
        self.rules = {}

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is accounted for, once."""
        return self.rows_read == self.loaded + self.quarantined + self.duplicate + self.unchanged


@dataclass(frozen=True)
class Held:
    """What a dataset has loaded so far, as far as it decides whether a delivery is a duplicate."""

    by_name: dict[str, str]
    """File name -> content last loaded under that name."""
    contents: dict[str, str]
    """Content loaded -> the file name of its newest load."""
    newest: str | None
    """Content loaded last."""
    attempts: Mapping[str, int]
    """Content -> number of ledger rows it has, whatever their status."""
    noted: frozenset[tuple[str, str | None]]
    """(file name, content) whose newest ledger row says duplicate_delivery: it needs no second note."""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the ledger, quarantine and guard tables where they are missing."""
    if table_exists(connection, "meta", "control"):  # the youngest of them
        return
    connection.execute(_TABLES)
    connection.execute(
        "INSERT INTO lake.meta.guard SELECT 'loading', 0 WHERE NOT EXISTS (FROM lake.meta.guard)"
    )


def write_positions(
    connection: duckdb.DuckDBPyConnection, positions: Mapping[str, tuple[Mapping[str, Any], str]]
) -> None:
    """Set where each dataset's source goes on: dataset -> (position, the delivery that reached it)."""
    for dataset, (position, delivery_id) in positions.items():
        connection.execute(f"DELETE FROM lake.meta.position WHERE dataset = {literal(dataset)}")
        values = ", ".join(map(literal, (dataset, json.dumps(position), delivery_id)))
        connection.execute(f"INSERT INTO lake.meta.position VALUES ({values}, now()::TIMESTAMP)")


def position(lake: Lake, dataset: str) -> Mapping[str, Any] | None:
    """Return where a dataset's source goes on; None if nothing of it was ever committed."""
    if not lake.exists:
        return None
    with lake.read() as connection:
        return read_position(connection, dataset) if table_exists(connection, "meta", "position") else None


def read_position(connection: duckdb.DuckDBPyConnection, dataset: str) -> Mapping[str, Any] | None:
    """Return the same within a transaction, where the tables are known to be there."""
    row = connection.execute(
        f"SELECT position FROM lake.meta.position WHERE dataset = {literal(dataset)}"
    ).fetchone()
    return None if row is None else json.loads(row[0])


def touch_guard(connection: duckdb.DuckDBPyConnection) -> None:
    """Make any two loading transactions that overlap conflict, even if a writer forgets the lock."""
    connection.execute("UPDATE lake.meta.guard SET n = n + 1 WHERE name = 'loading'")


Noted = tuple[str, str | None, str]
"""One delivery in the ledger: file name, content, status."""


def noted(
    connection: duckdb.DuckDBPyConnection, about: Iterable[Delivery] | None = None
) -> dict[str, list[Noted]]:
    """Return the deliveries that the ledger has, by dataset, oldest first.

    With `about` only those that decide about these deliveries: of their name, of their content, and the one loaded last. A
    stream brings thousands a day, and what one of them costs must not grow with the ledger.
    """
    found: dict[str, list[Noted]] = {}
    if not table_exists(connection, "meta", "delivery"):
        return found
    condition = ""
    if about is not None:
        deliveries = list(about)
        datasets = _literals(one.dataset for one in deliveries)
        names = _literals(one.file_name for one in deliveries)
        contents = _literals(one.content_sha256 or "" for one in deliveries)
        condition = f"""WHERE list_contains({datasets}, dataset) AND (
            list_contains({names}, file_name) OR list_contains({contents}, coalesce(content_sha256, ''))
            OR (dataset, loaded_at) IN (
                SELECT (dataset, max(loaded_at)) FROM lake.meta.delivery WHERE status = 'loaded' GROUP BY dataset))"""
    rows = connection.execute(
        f"SELECT dataset, file_name, content_sha256, status FROM lake.meta.delivery {condition} ORDER BY loaded_at"
    )
    for dataset, *one in rows.fetchall():
        found.setdefault(dataset, []).append(tuple(one))
    return found


def _literals(texts: Iterable[str]) -> str:
    """Return a SQL list of distinct texts."""
    return f"[{', '.join(quoted_text(text) for text in sorted(set(texts)))}]::VARCHAR[]"


def held(rows: Iterable[Noted], unwritten: Iterable[Delivery] = ()) -> Held:
    """Say what a dataset holds; its `unwritten` deliveries of the open transaction come after those in the ledger."""
    every = [*rows, *((one.file_name, one.content_sha256, one.status) for one in unwritten)]
    loaded = [(name, content) for name, content, status in every if status == "loaded" and content]
    newest_status = {(name, content): status for name, content, status in every}
    return Held(
        by_name=dict(loaded),
        contents={content: name for name, content in loaded},
        newest=loaded[-1][1] if loaded else None,
        attempts=Counter(content or "" for _, content, _ in every),
        noted=frozenset(key for key, status in newest_status.items() if status == "duplicate_delivery"),
    )


def write_deliveries(
    connection: duckdb.DuckDBPyConnection, run_id: str, deliveries: Iterable[Delivery]
) -> None:
    """Append to the ledger, in order: no two rows share `loaded_at`."""
    row = connection.execute("SELECT max(loaded_at) FROM lake.meta.delivery").fetchone()
    newest = row[0] if row and row[0] else datetime.min
    # The clock may have been set back; the ledger's order must not turn with it.
    start = max(datetime.now(UTC).replace(tzinfo=None), newest)
    rows = [
        (
            one.delivery_id,
            run_id,
            one.dataset,
            one.file_name,
            one.content_sha256,
            one.size_bytes,
            one.status,
            *(getattr(one, name) for name in COUNTS),
            one.reason,
            start + timedelta(microseconds=number),
        )
        for number, one in enumerate(deliveries, start=1)
    ]
    if rows:
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        connection.execute(f"INSERT INTO lake.meta.delivery VALUES {values}")


def write_findings(
    connection: duckdb.DuckDBPyConnection, run_id: str, deliveries: Iterable[Delivery]
) -> None:
    """Append what was found about deliveries as a whole: drift of their columns, control totals."""
    found: dict[str, list[tuple[Any, ...]]] = {"drift": [], "control": []}
    for one in deliveries:
        named = (run_id, one.dataset, one.delivery_id, one.file_name)
        for drift in one.drift:
            found["drift"].append((*named, drift.kind, (drift.column or "")[:200] or None, drift.message))
        for said in one.control:
            found["control"].append((*named, said.figure, said.expected, said.found, said.ties))
    for table, rows in found.items():
        if rows:
            values = ", ".join(f"({', '.join(map(literal, row))}, now()::TIMESTAMP)" for row in rows)
            connection.execute(f"INSERT INTO lake.meta.{table} VALUES {values}")


def write_quarantine(
    connection: duckdb.DuckDBPyConnection, refused: str, numbered_for: str, delivery_id: str
) -> None:
    """Append refused rows, a relation of `QUARANTINE_COLUMNS`, that were numbered for one delivery id, under another."""
    new, after = quoted_text(delivery_id), len(numbered_for) + 1
    connection.execute(
        f"""
        INSERT INTO lake.meta.quarantine BY NAME
        SELECT {", ".join(QUARANTINE_COLUMNS)}, now()::TIMESTAMP AS quarantined_at FROM (
            SELECT * REPLACE ({new} || quarantine_id[{after}:] AS quarantine_id, {new} AS delivery_id) FROM {refused}
        )
        """
    )


def totals(lake: Lake, run_id: str | None = None) -> dict[str, int]:
    """Return rows_read, loaded, quarantined, duplicate, unchanged and files_refused, of all time or of one run.

    In the totals of all time a file that is refused on every run counts once, and no more once it has loaded.
    """
    empty = dict.fromkeys((*COUNTS, "files_refused"), 0)
    if not lake.exists:
        return empty
    sums = ", ".join(f"coalesce(sum({name}) FILTER (status IN ('loaded', 'replayed')), 0)" for name in COUNTS)
    with lake.read() as connection:
        if not table_exists(connection, "meta", "delivery"):
            return empty
        row = connection.execute(
            f"""
            WITH delivery AS (FROM lake.meta.delivery WHERE $run_id IS NULL OR run_id = $run_id),
            newest AS (
                SELECT dataset, file_name, arg_max(status, loaded_at) AS status
                FROM delivery GROUP BY ALL
            )
            SELECT {sums}, (SELECT count(*) FROM newest WHERE status = 'refused') FROM delivery
            """,
            {"run_id": run_id},
        ).fetchone()
    assert row is not None
    return {name: int(value) for name, value in zip(empty, row, strict=True)}
