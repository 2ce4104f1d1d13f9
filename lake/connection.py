"""The only place that opens DuckDB or the lake: extensions, attach, transactions, snapshots.

The lake is a DuckLake: Parquet data under a catalogue (`catalogs.py`). Readers never wait for the writer; writers take
turns for their transactions.
"""

import importlib.resources
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from lake.catalogs import LOCK_TIMEOUT_S, Catalog, PostgresCatalog, S3Store, SqliteCatalog
from lake.company import Company
from lake.errors import InputError, StocklakeError

ALIAS = "lake"
ROW_CHANGES = r"regexp_replace(c.changes_made, 'merge_adjacent:\d+', '', 'g')"
"""What a snapshot `c` of the catalogue changed, without the merging of files: rows and columns stay as they are."""
SCHEMAS = ("meta", "raw", "staging", "core", "marts", "forecasts", "plan", "orders")
MEMORY_LIMIT = "1500MB"
THREADS_VARIABLE = "STOCKLAKE_THREADS"


def extension_path(name: str) -> Path:
    """Return the file of a DuckDB extension that came as a PyPI wheel (`ducklake`, `sqlite_scanner`)."""
    root = importlib.resources.files(f"duckdb_extension_{name}")
    return Path(str(root)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def memory_connection(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with no extension, no network, UTC, and a memory limit.

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
    limit_threads(connection)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def limit_threads(connection: duckdb.DuckDBPyConnection) -> None:
    """Let DuckDB take as many threads as STOCKLAKE_THREADS says; as many as there are cores where it says nothing.

    Threads that wait for each other cost what they could have done: where several companies (or tests) are at work at
    once on small tables, one thread each takes half the CPU. Raises `InputError` for what is no number.
    """
    if said := os.environ.get(THREADS_VARIABLE):
        if not said.isdecimal() or int(said) == 0:
            raise InputError(
                f"{THREADS_VARIABLE} is {said!r}: give a number of threads, such as 1, or unset it."
            )
        connection.execute(f"SET threads = {int(said)}")


@dataclass(frozen=True)
class Lake:
    """One company's lake. Opening is cheap (about 20 ms): open late, close early."""

    catalog: Catalog
    data: Path | str
    """Folder of the Parquet files, or the URL of a bucket and prefix: s3://bucket/prefix."""
    spill: Path
    """Folder for what does not fit a connection's memory."""
    store: S3Store | None = None

    @classmethod
    def of(cls, company: Company) -> "Lake":
        """Return the lake of a company; nothing is opened yet."""
        settings, spill = company.settings.lake, company.lake_data.parent / "spill"
        catalog: Catalog = SqliteCatalog(company.catalog, company.writer_lock)
        if settings.catalog is not None:
            catalog = PostgresCatalog(settings.catalog, f"stocklake_{company.name}")
        if settings.data is None:
            return cls(catalog, company.lake_data, spill)
        assert settings.s3 is not None
        s3 = settings.s3
        store = S3Store(s3.key_id, s3.secret_key, s3.region, s3.endpoint)
        return cls(catalog, f"{settings.data.rstrip('/')}/{company.name}", spill, store)

    @property
    def is_local(self) -> bool:
        """Whether the Parquet files lie in a folder of this machine."""
        return isinstance(self.data, Path)

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Load what ATTACH needs, from wheels: nothing is downloaded, nothing written to the home folder."""
        names = ["ducklake", self.catalog.extension, *([] if self.store is None else ["httpfs"])]
        for name in names:
            connection.execute(f"LOAD '{extension_path(name)}'")
        connection.execute(f"SET VARIABLE catalog_schema = '{self.catalog.schema}'")
        self.catalog.prepare(connection)
        if self.store is not None:
            self.store.prepare(connection)

    @property
    def attach_options(self) -> dict[str, str]:
        """Options of ATTACH, whoever attaches."""
        return {"DATA_PATH": f"{self.data}/", **self.catalog.options}

    def attach_sql(self, *, read_only: bool, snapshot: int | None = None) -> str:
        """Return the ATTACH statement; `snapshot` pins every read to that snapshot of all tables."""
        options = [f"{key} {quoted_text(value)}" for key, value in self.attach_options.items()]
        if read_only:
            options.append("READ_ONLY")
        if snapshot is not None:
            options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
        return f"ATTACH {quoted_text(self.catalog.target)} AS {ALIAS} ({', '.join(options)})"

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self.catalog.exists

    @contextmanager
    def read(self, snapshot: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only, at the newest state or at `snapshot`; tables are `lake.<schema>.<table>`."""
        self.ensure()
        with self._attached(self.attach_sql(read_only=True, snapshot=snapshot)) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for writing inside one transaction under the writer lock: all of it commits, or none.

        Raises `LakeBusy` when another process holds the lock for more than ten minutes.
        """
        self.ensure()
        with self.writer_lock(), self._attached(self.attach_sql(read_only=False)) as connection:
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
            except BaseException:
                with suppress(duckdb.Error):  # what went wrong first is what counts
                    connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except duckdb.Error as error:
                raise StocklakeError(
                    f"The lake could not commit to {self.catalog} ({' '.join(str(error).split())[:300]}): see that the"
                    " disk has room and the catalogue answers, and run again; what is not committed is loaded then."
                ) from error

    @contextmanager
    def maintain(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for writing under the writer lock without a transaction: each statement of maintenance commits by itself."""
        self.ensure()
        with self.writer_lock(), self._attached(self.attach_sql(read_only=False)) as connection:
            yield connection

    @contextmanager
    def writer_lock(self, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the one writer's place; re-entrant only across processes that start from the holder (dbt)."""
        with self.catalog.writer_lock(timeout_s):
            yield

    def ensure(self) -> None:
        """Make an empty lake with its schemas if there is none; safe when two processes do it at once."""
        if self.exists:
            return
        with self.writer_lock():
            if self.exists:
                return
            if isinstance(self.data, Path):
                self.data.mkdir(parents=True, exist_ok=True)
            with self.catalog.making() as catalog:
                half_made = replace(self, catalog=catalog)
                with half_made._attached(half_made.attach_sql(read_only=False)) as connection:
                    connection.execute("BEGIN TRANSACTION")
                    for schema in SCHEMAS:
                        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.{schema}")
                    connection.execute("COMMIT")
                    connection.execute(f"DETACH {ALIAS}")

    def snapshot(self) -> int:
        """Return the id of the newest snapshot."""
        with self.read() as connection:
            row = connection.execute(f"SELECT id FROM {ALIAS}.current_snapshot()").fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def _attached(self, attach: str) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = memory_connection(self.spill)
        try:
            self.prepare(connection)
            connection.execute(attach)
            yield connection
        finally:
            connection.close()


def metadata(connection: duckdb.DuckDBPyConnection) -> str:
    """Return where the catalogue's own tables stand in a connection to a lake, to put before their names."""
    row = connection.execute("SELECT getvariable('catalog_schema')").fetchone()
    assert row is not None
    return f'__ducklake_metadata_{ALIAS}."{row[0]}"'


def tables_state(
    connection: duckdb.DuckDBPyConnection, schema: str, tables: Sequence[str] | None = None
) -> list[tuple[Any, ...]]:
    """Return one row per table of a schema (or those named) that changes whenever its rows or columns do."""
    named = "" if tables is None else f" AND t.table_name IN ({', '.join(map(quoted_text, tables))})"
    return connection.execute(
        f"""
        SELECT t.table_name, t.table_uuid, max(c.snapshot_id)
        FROM {metadata(connection)}.ducklake_table AS t
        JOIN {metadata(connection)}.ducklake_schema AS s USING (schema_id)
        -- Data files alone would not tell: small inserts and deletes are held in the catalogue itself.
        LEFT JOIN {metadata(connection)}.ducklake_snapshot_changes AS c
            ON regexp_matches({ROW_CHANGES}, ':' || t.table_id || '(,|$)')
        WHERE s.schema_name = {quoted_text(schema)}{named} AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL
        GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()


def table_exists(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Say whether `lake.<schema>.<table>` exists at the snapshot the connection reads.

    It asks for that table's columns: `information_schema` would read what the catalogue knows of every table, .5 CPU s,
    and a query of the table itself would, where it is missing and its name ends as a file's does, look for that file.
    """
    name = f"{ALIAS}.{quoted_name(schema)}.{quoted_name(table)}"
    try:
        connection.execute(f"SELECT 1 FROM pragma_table_info({quoted_text(name)}) LIMIT 1")
    except duckdb.CatalogException:
        return False
    return True


def quoted_name(name: str) -> str:
    """Return a name as it stands in SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int | datetime | None) -> str:
    """Return a value as it stands in SQL.

    What loads writes values so: a parameter of a query makes DuckDB import pandas, .5 CPU s and 60 MB.
    """
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP {quoted_text(value)}"
    return quoted_text(value) if isinstance(value, str) else str(int(value))


def quoted_text(value: object) -> str:
    """Return a text as it stands in SQL."""
    return "'" + str(value).replace("'", "''") + "'"
