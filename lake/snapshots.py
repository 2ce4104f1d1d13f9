"""Time travel: which states the lake still has, which of them a person means, and what differs between two.

A snapshot is the state of all tables after one commit. Those that something names stay (`pinned`); others go with the
retention of `maintenance.py`. Where snapshots between two have gone, the change feed would miss rows: then contents are compared.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import duckdb

from lake.connection import ALIAS, ROW_CHANGES, Lake, literal, metadata, quoted_name, table_exists
from lake.errors import InputError

_KINDS = {
    "schemas_created": "made schema", "schemas_dropped": "dropped schema", "tables_created": "made",
    "tables_dropped": "dropped", "tables_altered": "altered", "tables_inserted_into": "added to",
    "inlined_insert": "added to", "tables_deleted_from": "deleted from", "inlined_delete": "deleted from",
    "views_created": "made view", "views_dropped": "dropped view", "views_altered": "altered view",
    "merge_adjacent": "compacted", "flushed_inlined": "compacted",
}  # fmt: skip
_NAMES = """
SELECT id, schema_name || '.' || name FROM (
    SELECT table_id AS id, schema_id, table_name AS name FROM {metadata}.ducklake_table
    UNION SELECT view_id, schema_id, view_name FROM {metadata}.ducklake_view
) JOIN (SELECT DISTINCT schema_id, schema_name FROM {metadata}.ducklake_schema) USING (schema_id)
"""
_TABLES_AT = """
SELECT schema_name || '.' || table_name, table_id
FROM {metadata}.ducklake_table AS t JOIN {metadata}.ducklake_schema AS s USING (schema_id)
WHERE t.begin_snapshot <= $at AND ($at < t.end_snapshot OR t.end_snapshot IS NULL)
    AND s.begin_snapshot <= $at AND ($at < s.end_snapshot OR s.end_snapshot IS NULL)
"""
_LAST_CHANGES = f"""
SELECT max(c.snapshot_id)
FROM {{metadata}}.ducklake_table AS t
JOIN {{metadata}}.ducklake_snapshot_changes AS c ON regexp_matches({ROW_CHANGES}, ':' || t.table_id || '(,|$)')
WHERE t.end_snapshot IS NULL GROUP BY t.table_id
"""
_PINNED_BY = (("release", ""), ("training_set", ""), ("gate_run", " ORDER BY snapshot_id DESC LIMIT 1"))


@dataclass(frozen=True)
class Snapshot:
    """One state of all tables."""

    snapshot_id: int
    made_at: datetime
    """UTC."""
    releases: tuple[str, ...]
    changes: tuple[str, ...]
    """What its commit did: 'added to raw.sales', 'made marts.stockout_day'."""


@dataclass(frozen=True)
class TableChange:
    """How one table at a later snapshot differs from an earlier one."""

    table: str
    what: Literal["changed", "made", "dropped", "made anew"]
    inserted: int
    deleted: int
    columns: tuple[str, ...] = ()
    """Columns that came (+name) or went (-name)."""
    how: Literal["change feed", "contents compared", "counted"] = "change feed"
    """The feed counts every row that was written or deleted on the way, an update as both; comparing contents gives
    the net difference, doubles to 9 significant digits."""


def list_snapshots(lake: Lake) -> list[Snapshot]:
    """Return all snapshots that the lake has, newest first."""
    with lake.read() as connection:
        names = {str(i): n for i, n in connection.execute(_sql(connection, _NAMES)).fetchall()}
        releases: dict[int, list[str]] = defaultdict(list)
        if table_exists(connection, "meta", "release"):
            query = "SELECT snapshot_id, release_id FROM lake.meta.release ORDER BY released_at"
            for snapshot_id, release_id in connection.execute(query).fetchall():
                releases[snapshot_id].append(release_id)
        rows = connection.execute(
            "SELECT snapshot_id, snapshot_time AT TIME ZONE 'UTC', changes FROM lake.snapshots() ORDER BY snapshot_id DESC"
        ).fetchall()
    return [Snapshot(number, at, tuple(releases[number]), _said(changes, names)) for number, at, changes in rows]  # fmt: skip


def resolve(lake: Lake, at: str) -> int:
    """Return the snapshot that a person means: its id, a release, or a day (UTC) for the newest state of that day.

    Raises `InputError` where there is none: unknown, expired, before the first, or a day yet to come.
    """
    known = {one.snapshot_id: one for one in list_snapshots(lake)}
    first, newest = min(known), max(known)
    if re.fullmatch(r"\d{1,18}", at):
        if int(at) in known:
            return int(at)
        if first <= int(at) <= newest:
            before = max(number for number in known if number < int(at))
            raise InputError(
                f"Snapshot {at} has expired: take one that `stocklake snapshots list` shows, such as {before}."
            )
        raise InputError(f"There is no snapshot {at}: choose one from {first} to {newest}.")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", at):
        return _of_day(known, at)
    for one in known.values():
        if at in one.releases:
            return one.snapshot_id
    raise InputError(
        f"{at!r} is no snapshot, release or day: write an id of `stocklake snapshots list`, one of `stocklake releases"
        " list`, or YYYY-MM-DD."
    )


def diff(lake: Lake, earlier: int, later: int) -> list[TableChange]:
    """Return the tables that differ between two snapshots, by name, with the rows inserted and deleted."""
    if earlier > later:
        raise InputError(
            f"Snapshot {earlier} is newer than {later}: name the older one first, as `snapshots diff {later} {earlier}`."
        )
    with lake.read() as connection:
        before, after = (_tables(connection, at) for at in (earlier, later))
        has_gaps, touched = _touched(connection, earlier, later)
        found = []
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name) and not has_gaps and after[name] not in touched:
                continue
            change = _change(
                connection, name, (before.get(name), earlier), (after.get(name), later), has_gaps
            )
            if change.what != "changed" or change.inserted or change.deleted or change.columns:
                found.append(change)
    return found


def pinned(connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Return the snapshots that never expire.

    The newest; those of releases (forecasts, plans and orders name releases), of training sets and of the newest gate run,
    whose failing rows can be asked for; and the newest change of each table, by which builds know that it is unchanged.
    """
    kept = {row[0] for row in connection.execute(_sql(connection, _LAST_CHANGES)).fetchall()}
    kept |= {row[0] for row in connection.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()}
    for table, order in _PINNED_BY:
        if table_exists(connection, "meta", table):
            rows = connection.execute(f"SELECT snapshot_id FROM lake.meta.{table}{order}").fetchall()
            kept |= {row[0] for row in rows}
    return kept


def _of_day(known: Mapping[int, Snapshot], text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text} is no day of the calendar: write YYYY-MM-DD.") from error
    if day > datetime.now(UTC).date():
        raise InputError(f"{text} is yet to come: name a day until today (UTC).")
    of_day = [number for number, one in known.items() if one.made_at.date() <= day]
    if not of_day:
        first = min(one.made_at for one in known.values())
        raise InputError(f"The lake knew nothing on {text}: its oldest snapshot is of {first:%Y-%m-%d}.")
    return max(of_day)


def _said(changes: Mapping[str, list[str]], names: Mapping[str, str]) -> tuple[str, ...]:
    said: dict[str, dict[str, None]] = {}
    for kind, objects in changes.items():
        for what in objects:
            name = names.get(what, f"table {what}" if what.isdigit() else what)
            said.setdefault(name, {})[_KINDS.get(kind, kind.replace("_", " "))] = None
    # Who makes a table fills it.
    return tuple(
        f"{did} {name}" for name, its in said.items() for did in its if did != "added to" or "made" not in its
    )


def _tables(connection: duckdb.DuckDBPyConnection, at: int) -> dict[str, int]:
    return dict(connection.execute(_sql(connection, _TABLES_AT), {"at": at}).fetchall())


def _touched(connection: duckdb.DuckDBPyConnection, earlier: int, later: int) -> tuple[bool, set[int]]:
    """Return whether snapshots between the two have gone, and the ids of tables that changed in those that stand."""
    rows = connection.execute(
        "SELECT changes FROM lake.snapshots() WHERE snapshot_id > ? AND snapshot_id <= ?", [earlier, later]
    ).fetchall()
    ids = {
        int(what) for (changes,) in rows for objects in changes.values() for what in objects if what.isdigit()
    }
    return len(rows) != later - earlier, ids


def _change(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    before: tuple[int | None, int],
    after: tuple[int | None, int],
    has_gaps: bool,
) -> TableChange:
    """Compare a table at two (id, snapshot)."""
    (old_id, earlier), (new_id, later) = before, after
    if old_id is None:
        return TableChange(name, "made", _count(connection, f"FROM {_at(name, later)}"), 0, how="counted")
    if new_id is None:
        return TableChange(
            name, "dropped", 0, _count(connection, f"FROM {_at(name, earlier)}"), how="counted"
        )
    old, new = (_columns(connection, name, at) for at in (earlier, later))
    columns = (*(f"+{c}" for c in new if c not in old), *(f"-{c}" for c in old if c not in new))
    if old_id == new_id and not has_gaps:
        schema, _, table = name.partition(".")
        span = f"({literal(ALIAS)}, {literal(schema)}, {literal(table)}, {earlier + 1}, {later})"
        inserted, deleted = (
            _count(connection, f"FROM ducklake_table_{kind}{span}") for kind in ("insertions", "deletions")
        )
        return TableChange(name, "changed", inserted, deleted, columns)
    shared = [column for column in new if column in old]
    older = f"SELECT {_compared(shared, old, new)} FROM {_at(name, earlier)}"
    newer = f"SELECT {_compared(shared, old, new)} FROM {_at(name, later)}"
    inserted = _count(connection, f"FROM ({newer} EXCEPT ALL {older})")
    deleted = _count(connection, f"FROM ({older} EXCEPT ALL {newer})")
    what: Literal["changed", "made anew"] = "changed" if old_id == new_id else "made anew"
    return TableChange(name, what, inserted, deleted, columns, "contents compared")


def _compared(shared: list[str], old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return columns so that equal values compare equal: parallel sums of doubles differ in their last bits."""
    if not shared:
        return "1"
    floats = {"DOUBLE", "FLOAT"}
    return ", ".join(
        f"format('{{:.8e}}', {quoted_name(c)}::DOUBLE)" if {old[c], new[c]} & floats else quoted_name(c)
        for c in shared
    )


def _columns(connection: duckdb.DuckDBPyConnection, name: str, at: int) -> dict[str, str]:
    asked = connection.execute(f"DESCRIBE SELECT * FROM {_at(name, at)}").fetchall()
    return {row[0]: row[1] for row in asked}


def _at(name: str, snapshot: int) -> str:
    schema, _, table = name.partition(".")
    return f"{ALIAS}.{quoted_name(schema)}.{quoted_name(table)} AT (VERSION => {snapshot})"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row: Any = connection.execute(f"SELECT count(*) {relation}").fetchone()
    return int(row[0])


def _sql(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    return query.replace("{metadata}", metadata(connection))
