"""Quarantined rows: what lies there and why. They are written by `loading.py` and leave by `replay.py`.

Beside them stand the rows of core.unconverted_row, which are loaded but wait for a unit's factor or a currency's
rate: dbt writes them anew with each build, so they leave by themselves and are never replayed or accepted.
"""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from lake.connection import Lake, table_exists


@dataclass(frozen=True)
class RuleCount:
    """How many rows of a dataset a rule refused; a row with two reasons counts under both."""

    dataset: str
    rule: str
    rows: int
    newest_file: str
    """The file that was refused rows last."""
    status: str = "open"
    """open, replayed (loaded later), or accepted (out for good)."""


@dataclass(frozen=True)
class QuarantinedRow:
    """One refused row, whole, with every reason: `rules`, `columns` and `messages` are parallel."""

    quarantine_id: str
    dataset: str
    file_name: str
    sheet: str | None
    line: int
    raw_text: str
    rules: tuple[str, ...]
    columns: tuple[str | None, ...]
    messages: tuple[str, ...]
    quarantined_at: datetime
    status: str = "open"
    settled_at: datetime | None = None
    settled_by: str | None = None
    settled_reason: str | None = None

    @property
    def place(self) -> str:
        """File, sheet and line as a person reads them."""
        sheet = f", sheet {self.sheet!r}" if self.sheet else ""
        return f"{self.file_name}{sheet}, line {self.line}"

    @property
    def reasons(self) -> str:
        """Every reason in one sentence."""
        parts = zip(self.columns, self.messages, strict=True)
        return "; ".join(f"{column}: {message}" if column else message for column, message in parts)


def list_quarantine(lake: Lake, *, everything: bool = False) -> list[RuleCount]:
    """Return open rows per dataset and rule, most first; with `everything` those that are settled too."""
    with lake.read() as connection:
        if not table_exists(connection, "meta", "quarantine"):
            return []
        rows = connection.execute(
            f"""
            WITH reason AS (
                SELECT dataset, quarantine_id, file_name, quarantined_at, unnest(list_distinct(rules)) AS rule, status
                FROM ({_rows(connection)}) WHERE $everything OR status = 'open'
            )
            SELECT dataset, rule, count(*) AS row_count, arg_max(file_name, (quarantined_at, file_name)), status
            FROM reason GROUP BY ALL ORDER BY row_count DESC, dataset, rule, status
            """,
            {"everything": everything},
        ).fetchall()
    return [RuleCount(*row) for row in rows]


def show(
    lake: Lake,
    dataset: str | None = None,
    rule: str | None = None,
    limit: int = 20,
    *,
    file_name: str | None = None,
    everything: bool = False,
) -> list[QuarantinedRow]:
    """Return up to `limit` open rows, newest delivery first, in the order of their files; with `everything` settled ones too."""
    with lake.read() as connection:
        if not table_exists(connection, "meta", "quarantine"):
            return []
        rows = connection.execute(
            f"""
            SELECT quarantine_id, dataset, file_name, sheet, line, raw_text, rules, columns, messages, quarantined_at,
                status, settled_at, settled_by, settled_reason
            FROM ({_rows(connection)})
            WHERE ($dataset IS NULL OR dataset = $dataset) AND ($rule IS NULL OR list_contains(rules, $rule))
                AND ($file_name IS NULL OR file_name = $file_name) AND ($everything OR status = 'open')
            ORDER BY quarantined_at DESC, dataset, file_name, line LIMIT $limit
            """,
            {
                "dataset": dataset,
                "rule": rule,
                "limit": limit,
                "file_name": file_name,
                "everything": everything,
            },
        ).fetchall()
    return [
        QuarantinedRow(*place, tuple(rules), tuple(columns), tuple(messages), *settled)  # type: ignore[call-arg]
        for *place, rules, columns, messages, at, status, settled_at, by, reason in rows
        if (settled := (at, status, settled_at, by, reason))
    ]


def _rows(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the query of all rows with their state: those that the loader refused, and those that wait for a factor."""
    refused = _refused(connection)
    if not table_exists(connection, "core", "unconverted_row"):
        return refused
    return f"""{refused} UNION ALL BY NAME
        SELECT concat_ws(':', 'unconverted', delivery_id, line) AS quarantine_id, delivery_id, dataset, file_name, line,
            row_text AS raw_text, [rule] AS rules, [column_name] AS columns, [message] AS messages,
            known_at AS quarantined_at, 'open' AS status FROM lake.core.unconverted_row"""


def _refused(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the query of the loader's rows; a lake from before states has only open ones."""
    if table_exists(connection, "meta", "control"):
        return "SELECT * REPLACE (coalesce(status, 'open') AS status) FROM lake.meta.quarantine"
    nothing = "NULL::TIMESTAMP AS settled_at, NULL::VARCHAR AS settled_by, NULL::VARCHAR AS settled_reason"
    return f"SELECT *, 'open' AS status, {nothing} FROM lake.meta.quarantine"
