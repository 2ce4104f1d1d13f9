"""Opens databases for reading, and turns what goes wrong there into one sentence without the password.

Here: engines, ADBC connections, session settings, errors. Not here: what is asked (`relations.py`, `tables.py`).
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.pool import NullPool

from lake.errors import SourceFailed
from lake.sources.databases.settings import ConnectionSettings

POSTGRES_SESSION = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
}
"""So that values read as text are the same whoever reads them."""

_OF_DRIVERS = re.compile(
    r"^([A-Z_]+: )?(\[libpq\] )?(Failed to prepare query: |Execution error \[\w+\]: )?((ERROR|FATAL): *)?"
)


class Database:
    """One database of a contract: where it is, and how to say so."""

    def __init__(self, settings: ConnectionSettings, dataset: str) -> None:
        """Fill in the references of the URL; `SourceFailed` if it is none. Nothing is connected yet."""
        self.settings, self.dataset = settings, dataset
        text = re.sub(r"^postgres://", "postgresql://", settings.url.reveal())
        try:
            self.url = sa.make_url(text)
            self.dialect = self.url.get_backend_name()
            self.engine = self._engine()
        except (sa.exc.ArgumentError, ValueError) as error:
            raise SourceFailed(
                f"The url of {dataset} ({settings.url}) is none that SQLAlchemy knows ({_first_line(error)[:80]}):"
                " correct it."
            ) from None
        except ModuleNotFoundError as error:
            raise SourceFailed(
                f"The url of {dataset} ({settings.url}) needs the Python package {error.name}: install it."
            ) from None

    @property
    def place(self) -> str:
        """Words for messages."""
        server = f" at {self.url.host}:{self.url.port or 'its port'}" if self.url.host else ""
        return f"the database {self.url.database!r}{server} (dataset {self.dataset})"

    @property
    def libpq_url(self) -> str:
        """The URL with its password, for drivers of PostgreSQL that are not SQLAlchemy's."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def quote(self, name: str) -> str:
        """Quote a name where it needs it; TABLE or SCHEMA.TABLE by its parts."""
        return self.engine.dialect.identifier_preparer.quote(name)

    def literal(self, value: str | int | float | date) -> str:
        """Write a value into SQL."""
        compiled = sa.literal(value).compile(
            dialect=self.engine.dialect, compile_kwargs={"literal_binds": True}
        )
        return str(compiled)

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn errors of any driver into `SourceFailed`: `what` failed, where, why."""
        try:
            yield
        except _driver_errors() as error:
            original = getattr(error, "orig", None) or error
            raise SourceFailed(
                f"{what} failed in {self.place}: {self.hidden(_first_line(original))}; correct that, or wait until it"
                " answers again, and run again: what was committed stands."
            ) from None

    def hidden(self, text: str) -> str:
        """Return text without the password."""
        for password in {
            self.url.password,
            quote_plus(self.url.password or ""),
            quote(self.url.password or ""),
        }:
            text = text.replace(str(password), "***") if password else text
        return text

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """Open a read-only transaction in which every statement sees the same state, where the database can."""
        self._check_file()
        with self.asking("Connecting"), self.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            session = Session(self, connection, raw.cursor())
            if self.dialect == "postgresql":
                connection.connection.rollback()  # psycopg2 asked for nothing yet; the transaction begins here
                session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                for statement in self.postgres_settings():
                    session.run(statement)
            yield session

    def postgres_settings(self) -> list[str]:
        """Return what every session on PostgreSQL is told."""
        milliseconds = self.settings.statement_timeout_seconds * 1000
        told = POSTGRES_SESSION | {"statement_timeout": str(milliseconds), "synchronize_seqscans": "off"}
        return [f"SET {name} = '{value}'" for name, value in told.items()]

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.dispose()

    def _engine(self) -> sa.Engine:
        arguments: dict[str, object] = {}
        url = self.url
        if self.dialect == "postgresql":
            arguments["connect_timeout"] = self.settings.connect_timeout_seconds
        elif self.dialect == "sqlite" and url.database:
            url = url.set(database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})
        return sa.create_engine(url, poolclass=NullPool, connect_args=arguments)

    def _check_file(self) -> None:
        if self.dialect == "sqlite" and not Path(self.url.database or "").is_file():
            raise SourceFailed(
                f"There is no file {self.url.database} (dataset {self.dataset}): correct the url, or put it there."
            )


class Session:
    """An open read-only transaction; questions with small answers. Data goes another way (`arrow.py`)."""

    def __init__(self, database: Database, connection: sa.Connection, cursor: DBAPICursor) -> None:
        """Keep what is open."""
        self.database, self.connection, self.cursor = database, connection, cursor

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement; return its rows."""
        self.cursor.execute(statement)
        return list(self.cursor.fetchall()) if self.cursor.description else []

    def value(self, statement: str) -> object:
        """Return the one value that a statement gives; None if it gives no row."""
        rows = self.run(statement)
        return rows[0][0] if rows else None

    def snapshot(self) -> str | None:
        """Let other connections see what this one sees, by the name returned; None where the database cannot."""
        if self.database.dialect != "postgresql":
            return None
        return str(self.value("SELECT pg_export_snapshot()"))


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return what drivers raise; those that were never imported raise nothing."""
    found: list[type[Exception]] = [sa.exc.SQLAlchemyError, pa.ArrowException, OSError]
    for module in (
        "psycopg2",
        "sqlite3",
        "adbc_driver_manager",
        "duckdb",
        "pymysql",
        "MySQLdb",
        "pyodbc",
        "oracledb",
    ):
        error = getattr(sys.modules.get(module), "Error", None)
        if error is not None:
            found.append(error)
    return tuple(found)


def _first_line(error: BaseException) -> str:
    """Return what a driver says, in one line."""
    text = str(error).strip() or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0]
    if said.endswith(":") and len(lines) > 1:
        said = f"{said} {lines[1]}"
    return _OF_DRIVERS.sub("", said).rstrip(".;")
