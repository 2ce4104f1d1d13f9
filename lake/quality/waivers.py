"""Waivers: a named person lets a named check pass for a time, and says why.

They are kept in `meta.gate_waiver`, to which rows are only added: a revocation is a row too. A waiver is for one check, or
for some rows of it, and never for one that could not run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from lake.connection import Lake, quoted_name, quoted_text, table_exists
from lake.errors import InputError
from lake.releases import GateResult, newest_gate_run

LONGEST_DAYS = 366

_TABLE = """
CREATE TABLE IF NOT EXISTS lake.meta.gate_waiver (
    waiver_id VARCHAR, action VARCHAR, check_id VARCHAR, check_name VARCHAR, only_rows VARCHAR, by_person VARCHAR,
    reason VARCHAR, until DATE, made_at TIMESTAMP
)
"""
_GRANTED = """
SELECT g.waiver_id, g.check_id, g.check_name, g.by_person, g.reason, g.until, g.made_at, g.only_rows,
    r.by_person, r.reason, r.made_at
FROM lake.meta.gate_waiver AS g
LEFT JOIN (FROM lake.meta.gate_waiver WHERE action = 'revoked') AS r USING (waiver_id)
WHERE g.action = 'granted' ORDER BY g.made_at DESC, g.waiver_id DESC
"""


@dataclass(frozen=True)
class Waiver:
    """One waiver as it stands; the last day on which it counts is `until`."""

    waiver_id: str
    check_id: str
    check_name: str
    """Table, columns and what has to hold, as it read when the waiver was given."""
    by: str
    reason: str
    until: date
    made_at: datetime
    only_rows: dict[str, str] = field(default_factory=dict)
    """Column -> value of the rows that it is for; empty: all that fail the check."""
    revoked_by: str | None = None
    revoked_reason: str | None = None
    revoked_at: datetime | None = None

    def status(self, on: date) -> str:
        """Return 'active', 'expired' or 'revoked'."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if on <= self.until else "expired"

    @property
    def condition(self) -> str:
        """SQL that is true of the failing rows it is for."""
        return " AND ".join(
            f"coalesce(CAST({quoted_name(column)} AS VARCHAR) = {quoted_text(value)}, false)"
            for column, value in sorted(self.only_rows.items())
        ) or "true"  # fmt: skip

    def line(self) -> str:
        """Say it in one line."""
        rows = ", ".join(f"{column} = {value}" for column, value in sorted(self.only_rows.items()))
        return (
            f"{self.waiver_id} of {self.by} until {self.until}: {self.check_name}"
            f"{f', only {rows}' if rows else ''}: {self.reason}"
        )


def today() -> date:
    """Return the day by which waivers expire: people gave them, so it is the clock's (UTC) and not the data's."""
    return datetime.now(UTC).date()


def list_waivers(connection: duckdb.DuckDBPyConnection) -> list[Waiver]:
    """Return all waivers that were ever given, newest first."""
    if not table_exists(connection, "meta", "gate_waiver"):
        return []
    rows = connection.execute(_GRANTED).fetchall()
    names = [one.name for one in fields(Waiver)]
    return [Waiver(**{**dict(zip(names, row, strict=True)), "only_rows": json.loads(row[7])}) for row in rows]


def active_waivers(connection: duckdb.DuckDBPyConnection, on: date) -> list[Waiver]:
    """Return the waivers that count on a day."""
    return [waiver for waiver in list_waivers(connection) if waiver.status(on) == "active"]


def grant(
    lake: Lake,
    check_id: str,
    *,
    by: str,
    reason: str,
    until: date,
    only_rows: Mapping[str, str] | None = None,
) -> Waiver:
    """Let a check of the newest gate run pass until a day (inclusive), from the next gate run on.

    Raises `InputError` without a person or a reason, for a day that is past or more than 366 days ahead, for a check that
    the newest run does not have, that did not fail in it or that could not run, and for rows that it did not find.
    """
    chosen = {column: str(value) for column, value in (only_rows or {}).items()}
    _judge(by, reason, until)
    with lake.write() as connection:
        result = _result(connection, check_id)
        if chosen:
            _found(connection, result, chosen)
        connection.execute(_TABLE)
        count = connection.execute(
            "SELECT count(*) FROM lake.meta.gate_waiver WHERE action = 'granted'"
        ).fetchone()
        waiver = Waiver(
            f"W{(count[0] if count else 0) + 1}", check_id, _name(result), by.strip(), reason.strip(), until,
            datetime.now(UTC).replace(tzinfo=None), chosen,
        )  # fmt: skip
        _add(connection, waiver, "granted", waiver.by, waiver.reason)
    return waiver


def revoke(lake: Lake, waiver_id: str, *, by: str, reason: str) -> Waiver:
    """End a waiver, from the next gate run on; raise `InputError` if there is none of that id that counts."""
    _judge(by, reason, today())
    with lake.write() as connection:
        known = {waiver.waiver_id: waiver for waiver in list_waivers(connection)}
        if waiver_id not in known or known[waiver_id].revoked_at is not None:
            raise InputError(
                f"There is no waiver {waiver_id!r} that could be revoked (known:"
                f" {', '.join(w for w, v in known.items() if v.revoked_at is None) or 'none'}): see `stocklake gate waivers`."
            )
        _add(connection, known[waiver_id], "revoked", by.strip(), reason.strip())
    return known[waiver_id]


def _judge(by: str, reason: str, until: date) -> None:
    if not by.strip() or not reason.strip():
        raise InputError("A waiver needs a person and a reason: say --by NAME --reason TEXT.")
    if not today() <= until <= today() + timedelta(days=LONGEST_DAYS):
        raise InputError(
            f"A waiver until {until} is not possible: name a day from {today()} to {today() + timedelta(days=LONGEST_DAYS)}."
        )


def _result(connection: duckdb.DuckDBPyConnection, check_id: str) -> GateResult:
    newest = newest_gate_run(connection)
    results = {result.check_id: result for result in newest.results} if newest else {}
    if check_id not in results or not check_id:
        raise InputError(
            f"The newest gate run has no check {check_id!r}: take the id (eight letters and digits) of one check from"
            " `stocklake gate list`."
        )
    result = results[check_id]
    if result.outcome == "error":
        raise InputError(
            f"The check {check_id} could not run, which says nothing about the data and cannot be waived: {result.observed}"
        )
    if result.outcome == "passed":
        raise InputError(f"The check {check_id} passed ({_name(result)}): there is nothing to waive.")
    return result


def _found(connection: duckdb.DuckDBPyConnection, result: GateResult, chosen: Mapping[str, str]) -> None:
    """Raise `InputError` unless the newest run kept a failing row with these values."""
    kept = connection.execute(
        "SELECT failing_row FROM lake.meta.gate_failure JOIN lake.meta.gate_run USING (gate_run_id) WHERE check_id = ?"
        " QUALIFY rank() OVER (ORDER BY gate_run.snapshot_id DESC, ran_at DESC) = 1",
        [result.check_id],
    ).fetchall()
    rows: list[dict[str, Any]] = [json.loads(row[0]) for row in kept]
    if not any(all(str(row.get(column)) == value for column, value in chosen.items()) for row in rows):
        columns = ", ".join(rows[0]) if rows else "none"
        raise InputError(
            f"No failing row of {result.check_id} has {', '.join(f'{c} = {v}' for c, v in chosen.items())}"
            f" (columns: {columns}): see `stocklake gate show {result.check_id}`."
        )


def _name(result: GateResult) -> str:
    return f"{result.table_name}{'.' + result.column_name if result.column_name else ''} {result.check_name}"


def _add(connection: duckdb.DuckDBPyConnection, waiver: Waiver, action: str, by: str, reason: str) -> None:
    values: Sequence[Any] = [
        waiver.waiver_id, action, waiver.check_id, waiver.check_name, json.dumps(waiver.only_rows), by, reason,
        waiver.until, datetime.now(UTC).replace(tzinfo=None),
    ]  # fmt: skip
    connection.execute(f"INSERT INTO lake.meta.gate_waiver VALUES ({', '.join('?' * len(values))})", values)
