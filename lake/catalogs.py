"""Where a lake's catalogue stands, and who may write: SQLite in the home with a file lock, or PostgreSQL with an advisory lock.

Here: how each is attached, whether it exists, and its writer lock. What is done with an attached lake is `connection.py`.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from lake.errors import InputError, LakeBusy, SourceFailed
from lake.secrets import Secret

_SECRET = "lake_catalog"
_POLL_S = 0.05
LOCK_TIMEOUT_S = 600


@dataclass(frozen=True)
class SqliteCatalog:
    """A file: the embedded default. Several writers on it would lose commits, so they take turns by a lock file."""

    path: Path
    lock: Path
    extension = "sqlite_scanner"
    schema = "main"

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self.path.exists()

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Undo what a writer of a catalogue without write-ahead log left when it died, and give it one."""
        if self.path.with_name(f"{self.path.name}-journal").exists():
            self._log_ahead()

    @property
    def target(self) -> str:
        """What ATTACH names."""
        return f"ducklake:sqlite:{self.path}"

    @property
    def options(self) -> dict[str, str]:
        """Options of ATTACH."""
        return {}

    @contextmanager
    def making(self) -> Iterator["SqliteCatalog"]:
        """Lend a catalogue under another name, renamed at the end: a reader never sees a half-made one."""
        half_made = SqliteCatalog(self.path.with_suffix(".making"), self.lock)
        half_made.path.unlink(missing_ok=True)
        yield half_made
        half_made._log_ahead()
        half_made.path.rename(self.path)

    def _log_ahead(self) -> None:
        """Have SQLite write ahead to a log: readers never wait for a commit, and one who dies in it disturbs nobody.

        With a rollback journal instead, read-only connections fail from a kill inside a commit until the next writer.
        """
        with closing(sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_S)) as catalog:
            catalog.execute("PRAGMA journal_mode = wal").fetchone()

    @contextmanager
    def writer_lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the one writer's place; `LakeBusy` when another holds it for longer than `timeout_s`."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise _busy(str(self.path.parent), timeout_s) from error
        try:
            yield
        finally:
            lock.release()

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)


@dataclass(frozen=True)
class PostgresCatalog:
    """A schema of a PostgreSQL database, for teams: writers on several hosts take turns by an advisory lock."""

    url: Secret
    """`postgresql://user:${env:PASSWORD}@host:5432/database`, libpq's options as query."""
    schema: str
    extension = "postgres_scanner"

    @property
    def exists(self) -> bool:
        """Whether the schema holds a lake."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{self.schema}".ducklake_schema'])
            table = cursor.fetchone()[0]
            if not table:
                return False
            # Made in one transaction with its schemas, so the last of them tells that it is whole.
            cursor.execute(
                f'SELECT count(*) FROM "{self.schema}".ducklake_schema WHERE schema_name = %s', ["orders"]
            )
            return bool(cursor.fetchone()[0])

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give a connection the address and password as a secret of its own, so that no statement or error shows them."""
        url = self._url()
        host = url.query.get("host", url.host or "localhost")
        parts = {
            "HOST": host,
            "PORT": str(url.port or 5432),
            "DATABASE": url.database,
            "USER": url.username,
            "PASSWORD": url.password,
        }
        settings = ", ".join(f"{key} '{_quoted(str(value))}'" for key, value in parts.items() if value)
        connection.execute(f"CREATE OR REPLACE SECRET {_SECRET} (TYPE postgres, {settings})")

    @property
    def target(self) -> str:
        """What ATTACH names: no more than libpq's options, the rest is in the secret."""
        query = {key: value for key, value in self._url().query.items() if key != "host"}
        return "ducklake:postgres:" + " ".join(f"{key}={value}" for key, value in sorted(query.items()))

    @property
    def options(self) -> dict[str, str]:
        """Options of ATTACH."""
        return {"METADATA_SCHEMA": self.schema, "META_SECRET": _SECRET}

    @contextmanager
    def making(self) -> Iterator["PostgresCatalog"]:
        """Lend itself: `exists` is true only once the last schema is there."""
        yield self

    @contextmanager
    def writer_lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the one writer's place; `LakeBusy` when another holds it for longer than `timeout_s`.

        The lock ends with its connection, so a killed writer blocks nobody.
        """
        key = int.from_bytes(hashlib.sha256(f"stocklake {self.schema}".encode()).digest()[:8], signed=True)
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            until = time.monotonic() + timeout_s
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
                if cursor.fetchone()[0]:
                    break
                if time.monotonic() > until:
                    raise _busy(str(self), timeout_s)
                time.sleep(_POLL_S)
            yield
            with suppress(Exception):  # a lost connection has let go of it already
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])

    def _url(self) -> URL:
        try:
            return make_url(self.url.reveal())
        except ArgumentError as error:
            raise InputError(
                f"company.yaml, lake.catalog: {self.url} is no URL: write postgresql://user:${{env:NAME}}@host/database."
            ) from error

    def _connect(self) -> Any:
        import psycopg2

        url = self._url().set(drivername="postgresql")
        try:
            connection = psycopg2.connect(url.render_as_string(hide_password=False), connect_timeout=10)
        except psycopg2.OperationalError as error:
            reason = " ".join(str(error).split()) or "no answer"
            raise SourceFailed(
                f"The lake's catalogue at {self} cannot be reached ({reason}): start that PostgreSQL, or correct"
                " lake.catalog in company.yaml."
            ) from None
        connection.autocommit = True
        return connection

    def __str__(self) -> str:
        """Return the address without its password."""
        return f"{self._url().render_as_string(hide_password=True)}, schema {self.schema}"


Catalog = SqliteCatalog | PostgresCatalog


@dataclass(frozen=True)
class S3Store:
    """How the lake's data on an S3 bucket is reached."""

    key_id: Secret
    secret_key: Secret
    region: str = "us-east-1"
    endpoint: str | None = None
    """`https://host:port` of an S3-compatible server; None is AWS."""

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give a connection the credentials as a secret."""
        parts = {
            "KEY_ID": self.key_id.reveal(),
            "SECRET": self.secret_key.reveal(),
            "REGION": self.region,
        }
        flags = ""
        if self.endpoint:
            scheme, _, host = self.endpoint.rpartition("://")
            parts |= {"ENDPOINT": host, "URL_STYLE": "path"}
            flags = f", USE_SSL {str(scheme != 'http').lower()}"
        settings = ", ".join(f"{key} '{_quoted(value)}'" for key, value in parts.items())
        connection.execute(f"CREATE OR REPLACE SECRET lake_data (TYPE s3, {settings}{flags})")


def _busy(place: str, timeout_s: float) -> LakeBusy:
    return LakeBusy(
        f"Another process has been writing to {place} for more than {timeout_s:.0f} s: wait for it, or stop it, and"
        " run again."
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")
