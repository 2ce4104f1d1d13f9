"""Quarantined rows: what lies there and why. They are written by `loading.py`; replaying them comes with ingestion."""

from dataclasses import dataclass
from datetime import datetime

from lake.connection import Lake, table_exists


@dataclass(frozen=True)
class RuleCount:
    """How many rows of a dataset a rule refused; a row with two reasons counts under both."""

    dataset: str
    rule: str
    rows: int
    newest_file: str
    """The file that was refused rows last."""


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


def list_quarantine(lake: Lake) -> list[RuleCount]:
    """Return rows per dataset and rule, most first."""
    with lake.read() as connection:
        if not table_exists(connection, "meta", "quarantine"):
            return []
        rows = connection.execute(
            """
            WITH reason AS (
                SELECT dataset, quarantine_id, file_name, quarantined_at, unnest(list_distinct(rules)) AS rule
                FROM lake.meta.quarantine
            )
            SELECT dataset, rule, count(*) AS row_count, arg_max(file_name, (quarantined_at, file_name))
            FROM reason GROUP BY ALL ORDER BY row_count DESC, dataset, rule
            """
        ).fetchall()
    return [RuleCount(*row) for row in rows]


def show(
    lake: Lake, dataset: str | None = None, rule: str | None = None, limit: int = 20
) -> list[QuarantinedRow]:
    """Return up to `limit` quarantined rows, newest delivery first, in the order of their files."""
    with lake.read() as connection:
        if not table_exists(connection, "meta", "quarantine"):
            return []
        rows = connection.execute(
            """
            SELECT quarantine_id, dataset, file_name, sheet, line, raw_text, rules, columns, messages, quarantined_at
            FROM lake.meta.quarantine
            WHERE ($dataset IS NULL OR dataset = $dataset) AND ($rule IS NULL OR list_contains(rules, $rule))
            ORDER BY quarantined_at DESC, dataset, file_name, line LIMIT $limit
            """,
            {"dataset": dataset, "rule": rule, "limit": limit},
        ).fetchall()
    return [
        QuarantinedRow(*place, tuple(rules), tuple(columns), tuple(messages), at)  # type: ignore[call-arg]
        for *place, rules, columns, messages, at in rows
    ]
