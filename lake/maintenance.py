"""Keeping a lake healthy: is everything there that its catalogue names (`verify`), and how it stays small (`compact`).

Both work beside readers: what a reader may still be looking at stays for `GRACE`. Copies elsewhere are `backup.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import duckdb

from lake.connection import ALIAS, Lake, metadata, quoted_text, table_exists
from lake.snapshots import pinned

GRACE = timedelta(days=1)
"""How long a file stays at least that nothing names any more, or not yet: readers that began before may still read it."""

_FILES = """
WITH file AS (
    SELECT table_id, path, path_is_relative, file_size_bytes, record_count AS row_count FROM {metadata}.ducklake_data_file
    UNION ALL
    SELECT table_id, path, path_is_relative, file_size_bytes, delete_count FROM {metadata}.ducklake_delete_file
), home AS (
    SELECT DISTINCT table_id, schema_name || '.' || table_name AS name,
        CASE WHEN t.path_is_relative THEN CASE WHEN s.path_is_relative THEN $data ELSE '' END || s.path ELSE '' END || t.path AS folder
    FROM {metadata}.ducklake_table AS t JOIN {metadata}.ducklake_schema AS s USING (schema_id)
)
SELECT DISTINCT name, CASE WHEN path_is_relative THEN folder ELSE '' END || path, file_size_bytes, row_count
FROM file JOIN home USING (table_id) ORDER BY ALL
"""
_SCHEDULED = "SELECT CASE WHEN path_is_relative THEN $data ELSE '' END || path FROM {metadata}.ducklake_files_scheduled_for_deletion"
_FOOTERS_AT_ONCE = 500


@dataclass(frozen=True)
class LakeFile:
    """A Parquet file that the catalogue names: rows of a table, or which rows of another file are deleted."""

    table: str
    path: str
    """Absolute, or a URL."""
    size_bytes: int
    row_count: int


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong in one sentence each; nothing wrong is a healthy lake."""

    files: int
    size_bytes: int
    snapshots: int
    deliveries: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compacted:
    """What a compaction did, or would do."""

    expired: tuple[int, ...]
    """Snapshots that went."""
    merged: int = 0
    """Small files that became part of larger ones; they lie there until the grace time is over."""
    merged_into: int = 0
    deleted: int = 0
    """Files that nothing had named for the grace time."""
    tables: tuple[str, ...] = field(default=())
    """Where files were merged."""


def verify(lake: Lake, *, full: bool = False, grace: timedelta = GRACE) -> Verified:
    """Compare the lake with its catalogue; with `full` every value of every file is read, not only the footers.

    Checked: the catalogue can be read; each file it names is there with its size and rows; no other file lies there for
    longer than `grace`; each delivery's rows are accounted for; each release's snapshot stands.
    """
    problems: list[str] = []
    try:
        with lake.read() as connection:
            connection.execute("BEGIN TRANSACTION")  # one state of the catalogue, whoever commits meanwhile
            files = named_files(lake, connection)
            scheduled = {
                row[0] for row in connection.execute(*_asked(lake, connection, _SCHEDULED)).fetchall()
            }
            count = connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone()
            problems += _unaccounted(connection) + _lost_releases(connection)
            deliveries = (
                connection.execute("SELECT count(*) FROM lake.meta.delivery").fetchone()
                if table_exists(connection, "meta", "delivery")
                else None
            )
            connection.execute("COMMIT")  # a file that cannot be read would abort it for all that follow
            present = _present(lake, connection)
            problems += _damaged(connection, files, {path: size for path, (size, _) in present.items()}, full)
    except duckdb.Error as error:
        return Verified(0, 0, 0, 0, (f"{lake.catalog}: the catalogue cannot be read: {_reason(error)}",))
    named = {one.path for one in files} | scheduled
    until = datetime.now(UTC) - grace
    problems += [
        f"{path}: {size:,} bytes that the catalogue does not name, since {at:%Y-%m-%d %H:%M} UTC: `stocklake lake compact`"
        " takes them away"
        for path, (size, at) in sorted(present.items())
        if path not in named and at < until
    ]
    return Verified(
        len(files), sum(f.size_bytes for f in files), count[0] if count else 0,
        deliveries[0] if deliveries else 0, tuple(problems),
    )  # fmt: skip


def compact(
    lake: Lake,
    *,
    keep: timedelta,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Compacted:
    """Let snapshots go that are older than `keep` and not pinned, merge small files, delete what nothing names any more.

    It takes its turn among the writers. Each step commits by itself: who is killed between them leaves a lake that
    verifies, and the next compaction does the rest.
    """
    now = now or datetime.now(UTC)
    if dry_run:
        with lake.read() as connection:
            return Compacted(tuple(_old(connection, now - keep)))
    with lake.maintain() as connection:
        expired = _old(connection, now - keep)
        if expired:
            # A list of versions: `older_than` would take the pinned ones too.
            versions = ", ".join(map(str, expired))
            connection.execute(f"CALL ducklake_expire_snapshots('{ALIAS}', versions => [{versions}])")
        merged = connection.execute(f"CALL ducklake_merge_adjacent_files('{ALIAS}')").fetchall()
        unnamed = now - grace
        # On SQLite, DuckLake compares when a file lost its name as text, wrongly within a day: only whole days before count.
        lost = datetime.combine(unnamed.date(), time.min, UTC) - timedelta(microseconds=1)
        deleted = _called(connection, "ducklake_cleanup_old_files", lost)
        deleted += _called(connection, "ducklake_delete_orphaned_files", unnamed)
    return Compacted(
        tuple(expired), sum(row[2] for row in merged), sum(row[3] for row in merged), deleted,
        tuple(f"{row[0]}.{row[1]}" for row in merged),
    )  # fmt: skip


def _called(connection: duckdb.DuckDBPyConnection, tool: str, older_than: datetime) -> int:
    """Return how many files a tool of DuckLake deleted."""
    until = f"TIMESTAMPTZ '{older_than.isoformat()}'"
    return len(connection.execute(f"CALL {tool}('{ALIAS}', older_than => {until})").fetchall())


def named_files(lake: Lake, connection: duckdb.DuckDBPyConnection) -> list[LakeFile]:
    """Return every file that the catalogue names, for any snapshot."""
    return [LakeFile(*row) for row in connection.execute(*_asked(lake, connection, _FILES)).fetchall()]


def _asked(lake: Lake, connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, dict[str, str]]:
    return query.replace("{metadata}", metadata(connection)), {"data": f"{lake.data}/"}


def _old(connection: duckdb.DuckDBPyConnection, until: datetime) -> list[int]:
    rows = connection.execute(
        f"SELECT snapshot_id FROM lake.snapshots() WHERE snapshot_time < TIMESTAMPTZ '{until.isoformat()}' ORDER BY ALL"
    ).fetchall()
    kept = pinned(connection)
    return [row[0] for row in rows if row[0] not in kept]


def _present(lake: Lake, connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, datetime]]:
    """Return path -> (size, time of change in UTC) of all that lies where the data lies."""
    rows = connection.execute(
        "SELECT filename, size, epoch(last_modified) FROM read_blob(?)", [f"{lake.data}/**"]
    ).fetchall()
    return {path: (size, datetime.fromtimestamp(at, UTC)) for path, size, at in rows}


def _damaged(
    connection: duckdb.DuckDBPyConnection, files: Sequence[LakeFile], sizes: dict[str, int], full: bool
) -> list[str]:
    """Return what is wrong with the files that the catalogue names."""
    found, whole = [], []
    for one in files:
        if one.path not in sizes:
            found.append(f"{one.path}: missing, {one.row_count:,} rows of {one.table}")
        elif sizes[one.path] != one.size_bytes:
            found.append(
                f"{one.path}: {sizes[one.path]:,} bytes, the catalogue says {one.size_bytes:,} ({one.table})"
            )
        else:
            whole.append(one)
    for start in range(0, len(whole), _FOOTERS_AT_ONCE):
        found += _misread(connection, whole[start : start + _FOOTERS_AT_ONCE])
    broken = {text.partition(": ")[0] for text in found}
    if full:
        found += [text for one in whole if one.path not in broken for text in _unreadable(connection, one)]
    return found


def _misread(connection: duckdb.DuckDBPyConnection, files: Sequence[LakeFile]) -> Iterator[str]:
    """Compare the rows that footers tell; where one cannot be read, each is read alone to find it."""
    names = ", ".join(quoted_text(one.path) for one in files)
    query = f"SELECT file_name, num_rows FROM parquet_file_metadata([{names}])"
    try:
        rows = dict(connection.execute(query).fetchall())
    except duckdb.Error as error:
        if len(files) == 1:
            yield f"{files[0].path}: unreadable, {files[0].row_count:,} rows of {files[0].table}: {_reason(error)}"
            return
        for one in files:
            yield from _misread(connection, [one])
        return
    for one in files:
        if rows[one.path] != one.row_count:
            yield f"{one.path}: {rows[one.path]:,} rows, the catalogue says {one.row_count:,} ({one.table})"


def _unreadable(connection: duckdb.DuckDBPyConnection, one: LakeFile) -> Iterator[str]:
    # The hash of whole rows has every value read.
    query = f"SELECT bit_xor(hash(part)) FROM read_parquet({quoted_text(one.path)}) AS part"
    try:
        connection.execute(query).fetchall()
    except duckdb.Error as error:
        yield f"{one.path}: unreadable, {one.row_count:,} rows of {one.table}: {_reason(error)}"


def _unaccounted(connection: duckdb.DuckDBPyConnection) -> list[str]:
    if not table_exists(connection, "meta", "delivery"):
        return []
    rows = connection.execute(
        "SELECT delivery_id, rows_read, loaded, quarantined, duplicate, unchanged FROM lake.meta.delivery"
        " WHERE rows_read IS DISTINCT FROM loaded + quarantined + duplicate + unchanged ORDER BY ALL"
    ).fetchall()
    return [
        f"delivery {name}: {read} rows read, but {loaded} loaded + {quarantined} quarantined + {duplicate} duplicate +"
        f" {unchanged} unchanged"
        for name, read, loaded, quarantined, duplicate, unchanged in rows
    ]


def _lost_releases(connection: duckdb.DuckDBPyConnection) -> list[str]:
    if not table_exists(connection, "meta", "release"):
        return []
    rows = connection.execute(
        "SELECT release_id, snapshot_id FROM lake.meta.release"
        " WHERE snapshot_id NOT IN (SELECT snapshot_id FROM lake.snapshots()) ORDER BY ALL"
    ).fetchall()
    return [f"release {name}: its snapshot {number} is gone" for name, number in rows]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
