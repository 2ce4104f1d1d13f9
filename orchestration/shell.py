"""A read-only SQL shell on the lake. Readers never wait for the writer, so it may stay open during a run."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from lake.connection import ALIAS, Lake
from lake.errors import InputError
from lake.snapshots import resolve

_PROMPT = "stocklake> "
_MORE = "      ...> "
_HELP = "End a query with ; — .tables lists the tables, .quit leaves."
_SHORT = ("marts", "core", "orders", "plan")
_TABLES = (
    "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables"
    f" WHERE table_catalog = '{ALIAS}' ORDER BY ALL"
)


_ASKS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_TOOLS = re.compile(r"\b(ducklake_\w+|sqlite_\w+|query|query_table)\"?\s*\(", re.IGNORECASE)
"""Table functions that reach past the tables: into the catalogue's files, or to SQL hidden in a text."""


def ask(lake: Lake, query: str, snapshot: int | None, *, as_json: bool) -> None:
    """Print the answer to one query. Raises `InputError` with DuckDB's own words if it cannot be answered."""
    with _reading(lake, snapshot) as connection:
        try:
            _print(connection, query, as_json=as_json)
        except duckdb.Error as error:
            reason = " ".join(str(error).partition("\n\nLINE")[0].split())
            raise InputError(f"The query cannot be answered: {reason}") from error


def prompt(lake: Lake, snapshot: int | None) -> None:
    """Read queries from the terminal until end of input."""
    import readline  # noqa: F401  (gives input() a history)

    print(_HELP)
    with _reading(lake, snapshot) as connection:
        for query in _queries():
            try:
                _print(connection, query, as_json=False)
            except (duckdb.Error, InputError) as error:
                print(error, file=sys.stderr)


@contextmanager
def _reading(lake: Lake, snapshot: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with _opened(lake, snapshot) as connection:
        connection.execute(f"USE {ALIAS}")
        connection.execute(f"SET search_path = '{','.join(_search_path(connection))}'")
        # From here on no file but the lake's can be opened; what may be asked is decided in `_check`.
        folder = str(lake.data).replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{folder}/']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


@contextmanager
def _opened(lake: Lake, snapshot: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.read(None if snapshot is None else resolve(lake, str(snapshot))) as connection:
        yield connection


def _search_path(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the schemas that need no name in front; an early snapshot may not have them all."""
    names = "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = ?"
    there = {row[0] for row in connection.execute(names, [ALIAS]).fetchall()}
    return [f"{ALIAS}.{name}" for name in (*_SHORT, "main") if name in there]


def _check(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise `InputError` unless the text is one query that only reads tables."""
    statements = connection.extract_statements(query)
    if not statements:
        raise InputError('There is no query: write one, such as "select * from marts.as_of".')
    if len(statements) > 1:
        raise InputError(f"These are {len(statements)} statements: ask one query at a time.")
    # EXPLAIN ANALYZE runs what it explains.
    runs = statements[0].type == duckdb.StatementType.EXPLAIN and re.search("analyze", query, re.IGNORECASE)
    tool = _TOOLS.search(query)
    if statements[0].type not in _ASKS or runs or tool:
        what = tool[1] if tool else "EXPLAIN ANALYZE" if runs else statements[0].type.name
        raise InputError(f"The shell only reads the lake's tables, so {what} is refused: ask with SELECT.")


def _queries() -> Iterator[str]:
    lines: list[str] = []
    while True:
        try:
            line = input(_MORE if lines else _PROMPT)
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if not lines and line.strip() in {".quit", ".exit"}:
            return
        if not lines and line.strip() == ".tables":
            yield _TABLES
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []


def _print(connection: duckdb.DuckDBPyConnection, query: str, *, as_json: bool) -> None:
    _check(connection, query)
    if as_json:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        print(
            json.dumps(
                [dict(zip(names, row, strict=True)) for row in cursor.fetchall()], default=str, indent=2
            )
        )
        return
    answer = connection.sql(query)
    if answer is not None:
        answer.show(max_rows=200)
