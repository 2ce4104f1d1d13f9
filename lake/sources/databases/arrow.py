"""Rows of a statement as Arrow batches: through ADBC from PostgreSQL, through DuckDB from SQLite, else column by column
from the driver that SQLAlchemy knows (the fallback, and the slow way: every value becomes a Python object).

Memory is bounded by the batch. connectorx is not used: from SQLite it cannot tell the type of a column whose first value is
null, and stops.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lake.connection import extension_path, memory_connection
from lake.sources.databases.connecting import Database, Session

BATCH_ROWS = 50_000


@contextmanager
def batches(session: Session, statement: str, snapshot: str | None = None) -> Iterator[pa.RecordBatchReader]:
    """Run a statement and open its rows, in the state that `snapshot` names if it is given.

    Errors come as `SourceFailed` while opening; while reading, wrap `Database.asking` around it.
    """
    way = {"postgresql": through_adbc, "sqlite": _through_duckdb}.get(session.database.dialect)
    if way is None:
        yield column_wise(session, statement)
        return
    with way(session.database, statement, snapshot) as reader:
        yield reader


@contextmanager
def through_adbc(database: Database, statement: str, snapshot: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open the rows of a statement on PostgreSQL in a read-only transaction of its own."""
    import adbc_driver_postgresql.dbapi as adbc

    url = database.libpq_url
    joint = "&" if "?" in url else "?"
    if "connect_timeout" not in url:
        url += f"{joint}connect_timeout={database.settings.connect_timeout_seconds}"
    with closing(adbc.connect(url, autocommit=True)) as connection, connection.cursor() as cursor:
        for setting in database.postgres_settings():
            cursor.execute(setting)
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            cursor.execute(f"SET TRANSACTION SNAPSHOT {database.literal(snapshot)}")
        cursor.execute(statement)
        with cursor.fetch_record_batch() as reader:
            yield reader


@contextmanager
def _through_duckdb(
    database: Database, statement: str, snapshot: str | None
) -> Iterator[pa.RecordBatchReader]:
    """Every value as SQLite's own text: a column's declared type binds none of its values."""
    with closing(memory_connection()) as connection:
        connection.execute(f"LOAD '{extension_path('sqlite_scanner')}'")
        connection.execute("SET sqlite_all_varchar = true")
        file = str(database.url.database).replace("'", "''")
        connection.execute(f"ATTACH '{file}' AS source (TYPE sqlite, READ_ONLY)")
        yield connection.execute("FROM sqlite_query('source', ?)", [statement]).to_arrow_reader(BATCH_ROWS)


def column_wise(session: Session, statement: str) -> pa.RecordBatchReader:
    """Read through the DBAPI of any database, a batch at a time; all values as text, columns turned whole."""
    result = session.connection.execution_options(
        stream_results=True, max_row_buffer=BATCH_ROWS, no_parameters=True
    ).exec_driver_sql(statement)
    names = list(result.keys())
    schema = pa.schema([(name, pa.string()) for name in names])

    def read() -> Iterator[pa.RecordBatch]:
        while rows := result.fetchmany(BATCH_ROWS):
            columns = [pa.array(_texts(column), pa.string()) for column in zip(*rows, strict=True)]
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, read())


def _texts(values: tuple[Any, ...]) -> list[str | None]:
    """Write one column as text. Which types are in it is asked once; each has one way of writing."""
    writers = {kind: _writer(kind) for kind in set(map(type, values))}
    if set(writers) <= {str, type(None)}:
        return list(values)
    return [writers[type(value)](value) for value in values]


def _writer(kind: type) -> Callable[[Any], str | None]:
    """Return how values of a type are written; `str` for what is not listed."""
    return next((write for types, write in _WRITERS if issubclass(kind, types)), str)


_WRITERS: tuple[tuple[Any, Callable[[Any], str | None]], ...] = (
    ((str, type(None)), lambda value: value),
    (bool, lambda value: "true" if value else "false"),
    (datetime, lambda value: str(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value)),
    ((date, time), lambda value: value.isoformat()),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).hex()),
    (Decimal, lambda value: format(value, "f")),
)
