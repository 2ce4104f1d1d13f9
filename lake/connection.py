"""The only place that opens DuckDB or the lake: extensions, attach, the writer lock, snapshots.

The lake is a DuckLake: Parquet data under a SQLite catalogue. Readers never wait for the writer. Writers take a
file lock for their transaction, because several of them on one SQLite catalogue lose commits.
"""

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from lake.company import Company
from lake.errors import LakeBusy

ALIAS = "lake"
SCHEMAS = ("meta", "raw", "staging", "core", "marts", "forecasts", "plan", "orders")
LOCK_TIMEOUT_S = 600
MEMORY_LIMIT = "1500MB"


def extension_path(name: str) -> Path:
    """Return the file of a DuckDB extension that came as a PyPI wheel (`ducklake`, `sqlite_scanner`)."""
    root = importlib.resources.files(f"duckdb_extension_{name}")
    return Path(str(root)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """LOAD what ATTACH of a lake needs, from wheels: nothing is downloaded, nothing written to the home folder."""
    for name in ("ducklake", "sqlite_scanner"):
        connection.execute(f"LOAD '{extension_path(name)}'")


def memory_connection(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with extensions loaded, no network, UTC, and a memory limit.

    What does not fit the limit goes to files below `spill`; without it, nowhere.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # The wheels are hashed in the lock; checking DuckDB's signature as well costs .3 CPU s per connection.
            "allow_unsigned_extensions": True,
            "memory_limit": MEMORY_LIMIT,
            "preserve_insertion_order": True,
            "temp_directory": str(spill) if spill else "",
        },
    )
    load_extensions(connection)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


@dataclass(frozen=True)
class Lake:
    """One company's lake. Opening is cheap (about 20 ms): open late, close early."""

    catalog: Path
    data: Path
    lock: Path

    @classmethod
    def of(cls, company: Company) -> "Lake":
        """Return the lake of a company; nothing is opened yet."""
        return cls(company.catalog, company.lake_data, company.writer_lock)

    def attach_sql(self, *, read_only: bool, snapshot: int | None = None) -> str:
        """Return the ATTACH statement; `snapshot` pins every read to that snapshot of all tables."""
        options = [f"DATA_PATH '{_quote(self.data)}/'"]
        if read_only:
            options.append("READ_ONLY")
        if snapshot is not None:
            options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
        return f"ATTACH 'ducklake:sqlite:{_quote(self.catalog)}' AS {ALIAS} ({', '.join(options)})"

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self.catalog.exists()

    @contextmanager
    def read(self, snapshot: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only, at the newest state or at `snapshot`; tables are `lake.<schema>.<table>`."""
        self.ensure()
        connection = memory_connection(self.catalog.parent / "spill")
        try:
            connection.execute(self.attach_sql(read_only=True, snapshot=snapshot))
            yield connection
        finally:
            connection.close()

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for writing inside one transaction under the writer lock: all of it commits, or none.

        Raises `LakeBusy` when another process holds the lock for more than ten minutes.
        """
        self.ensure()
        with self.writer_lock():
            connection = memory_connection(self.catalog.parent / "spill")
            try:
                connection.execute(self.attach_sql(read_only=False))
                connection.execute("BEGIN TRANSACTION")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            finally:
                connection.close()

    @contextmanager
    def writer_lock(self, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the one writer's place; re-entrant only across processes that start from the holder (dbt)."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise LakeBusy(
                f"Another process has been writing to {self.data.parent} for more than {timeout_s:.0f} s: "
                "wait for it, or stop it, and run again."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def ensure(self) -> None:
        """Make an empty lake with its schemas if there is none; safe when two processes do it at once."""
        if self.catalog.exists():
            return
        with self.writer_lock():
            if self.catalog.exists():
                return
            self.data.mkdir(parents=True, exist_ok=True)
            connection = memory_connection(self.catalog.parent / "spill")
            # Built under another name and renamed: a reader never sees a half-made catalogue.
            half_made = Lake(self.catalog.with_suffix(".making"), self.data, self.lock)
            half_made.catalog.unlink(missing_ok=True)
            try:
                connection.execute(half_made.attach_sql(read_only=False))
                for schema in SCHEMAS:
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.{schema}")
                connection.execute(f"DETACH {ALIAS}")
            finally:
                connection.close()
            half_made.catalog.rename(self.catalog)

    def snapshot(self) -> int:
        """Return the id of the newest snapshot."""
        with self.read() as connection:
            row = connection.execute(f"SELECT id FROM {ALIAS}.current_snapshot()").fetchone()
        assert row is not None
        return int(row[0])


def table_exists(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Say whether `lake.<schema>.<table>` exists at the snapshot the connection reads."""
    row = connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_catalog = ? AND table_schema = ? AND table_name = ?",
        [ALIAS, schema, table],
    ).fetchone()
    return row is not None and row[0] > 0


def _quote(path: Path) -> str:
    return str(path).replace("'", "''")
