"""What a table or query has: its columns, and the SQL by which each is read so that no value is lost on the way.

PostgreSQL's whole numbers, floats, booleans and text come as they are. All other types come as PostgreSQL's own text, because
Arrow has no value for what they can hold (numeric NaN, dates at infinity, years beyond 9999): such a row is refused by the
contract's rules, with its reason, like any other. Timestamps with a zone are in UTC, bytes in hex, intervals in ISO 8601.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from lake.errors import SourceFailed
from lake.sources.databases.connecting import Database, Session

_AS_THEY_ARE = ("int2", "int4", "int8", "bool", "float4", "float8", "text", "varchar")
_MOMENTS = ("timestamptz", "timestamp", "date")


@dataclass(frozen=True)
class SourceColumn:
    """One column of a table or query."""

    name: str
    type: str
    """PostgreSQL's name of the type; '' in other databases."""
    expression: str
    """SQL that reads it."""

    @property
    def is_moment(self) -> bool:
        """Whether it is known to be a date or a time."""
        return self.type in _MOMENTS


@dataclass(frozen=True)
class Relation:
    """A table or query, looked at."""

    sql: str
    """What stands behind FROM."""
    name: str
    """What messages call it."""
    columns: tuple[SourceColumn, ...]

    def column(self, name: str, why: str) -> SourceColumn:
        """Return a column; `SourceFailed` says why it is needed and what there is."""
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        close = difflib.get_close_matches(name, names, 1, 0.6)
        hint = f"was it renamed to {close[0]!r}?" if close else f"there are {', '.join(names[:12])}"
        raise SourceFailed(
            f"{self.name} has no column {name!r}, {why}: {hint} Correct the contract, or the database."
        )

    def select(self, names: Sequence[str] | None = None) -> str:
        """Return SELECT ... FROM of the columns `names` (default: all)."""
        wanted = [column for column in self.columns if names is None or column.name in names]
        return f"SELECT {', '.join(column.expression for column in wanted)} FROM {self.sql}"


def table_sql(database: Database, table: str) -> str:
    """Quote TABLE or SCHEMA.TABLE."""
    return ".".join(database.quote(part) for part in table.split("."))


def look_at(session: Session, table: str | None, query: str | None) -> Relation:
    """Return the columns of a table or query; `SourceFailed` if a name is there twice."""
    database = session.database
    if table is not None:
        sql, name = table_sql(database, table), f"The table {table} of {database.place}"
    else:
        sql, name = f"({(query or '').strip().rstrip(';')}\n) asked", f"The query of {database.place}"
    with database.asking(f"Looking at {table or 'the query'}"):
        session.run(f"SELECT * FROM {sql} WHERE 1 = 0")
        described = [(str(one[0]), one[1]) for one in session.cursor.description or ()]
        types = _type_names(session, [code for _, code in described])
    names = [one for one, _ in described]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise SourceFailed(f"{name} has the column {twice[0]!r} twice: give one another name in the query.")
    columns = tuple(
        SourceColumn(one, types.get(code, ""), _expression(database, one, types.get(code, "")))
        for one, code in described
    )
    return Relation(sql, name, columns)


def _type_names(session: Session, codes: Sequence[object]) -> dict[object, str]:
    if session.database.dialect != "postgresql" or not codes:
        return {}
    listed = ", ".join(str(int(str(code))) for code in set(codes))
    return {
        oid: str(name)
        for oid, name in session.run(f"SELECT oid, typname FROM pg_type WHERE oid IN ({listed})")
    }


def _expression(database: Database, name: str, type_name: str) -> str:
    quoted = database.quote(name)
    match database.dialect, type_name:
        case "sqlite", _:
            return (
                f"CASE typeof({quoted}) WHEN 'blob' THEN lower(hex({quoted})) ELSE {quoted} END AS {quoted}"
            )
        case "postgresql", "timestamptz":
            return f"({quoted} AT TIME ZONE 'UTC')::text AS {quoted}"
        case "postgresql", "bytea":
            return f"encode({quoted}, 'hex') AS {quoted}"
        case "postgresql", _ if type_name not in _AS_THEY_ARE:
            return f"{quoted}::text AS {quoted}"
    return quoted
