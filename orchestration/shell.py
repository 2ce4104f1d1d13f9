"""A read-only SQL shell on the lake. Readers never wait for the writer, so it may stay open during a run."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from lake.connection import ALIAS, Lake
from lake.errors import InputError

_PROMPT = "stocklake> "
_MORE = "      ...> "
_HELP = "End a query with ; — .tables lists the tables, .quit leaves."
_TABLES = (
    "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables"
    f" WHERE table_catalog = '{ALIAS}' ORDER BY ALL"
)


def ask(lake: Lake, query: str, snapshot: int | None, *, as_json: bool) -> None:
    """Print the answer to one query. Raises `InputError` with DuckDB's own words if it cannot be answered."""
    with _reading(lake, snapshot) as connection:
        try:
            _print(connection, query, as_json=as_json)
        except duckdb.Error as error:
            raise InputError(f"The query cannot be answered: {error}") from error


def prompt(lake: Lake, snapshot: int | None) -> None:
    """Read queries from the terminal until end of input."""
    import readline  # noqa: F401  (gives input() a history)

    print(_HELP)
    with _reading(lake, snapshot) as connection:
        for query in _queries():
            try:
                _print(connection, query, as_json=False)
            except duckdb.Error as error:
                print(error, file=sys.stderr)


@contextmanager
def _reading(lake: Lake, snapshot: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.read(snapshot) as connection:
        connection.execute(f"USE {ALIAS}.marts")
        connection.execute(
            f"SET search_path = '{','.join(f'{ALIAS}.{s}' for s in ('marts', 'core', 'orders', 'plan'))}'"
        )
        # From here on nothing but the lake can be read, and nothing written: the shell is for asking.
        connection.execute("SET lock_configuration = true")
        yield connection


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
