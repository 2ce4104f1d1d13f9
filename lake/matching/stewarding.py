"""What a steward does about codes: look at what waits, accept, reject, take back. Every act is an event in the log.

Accepting links the code (from a day on, where it meant something else before); rejecting says that the two are not the same, takes
a link of theirs out of force, and keeps the pair from being linked by rule; undoing an event takes it away, and what stood before
stands again. What an act changes in staging.crosswalk is written in the same transaction; facts follow with the next run.
"""

import json
from dataclasses import dataclass, fields
from typing import Any

import duckdb

from lake.company import Company, Matching
from lake.connection import Lake, table_exists
from lake.errors import InputError
from lake.matching import log
from lake.matching.step import replace_if_changed

_WAITING = """
SELECT c.*, NULL AS decided_by FROM lake.meta.match_candidate AS c
WHERE NOT EXISTS (  -- decided since it was proposed, or linked elsewhere meanwhile
    FROM standing AS e WHERE e.event_id > c.after_event AND e.kind = c.kind AND e.system = c.system AND e.code = c.code
        AND (e.event = 'link' OR (e.target_system = c.target_system AND e.target_code = c.target_code)))
ORDER BY c.kind, c.probability DESC NULLS FIRST, c.system, c.code, c.target_code
"""


@dataclass(frozen=True)
class Pair:
    """A pair that waits for a decision, or a link in force: two codes and the evidence for their being one thing."""

    id: str
    """Of a candidate its own, of a link '#' and the number of its event."""
    kind: str
    system: str
    code: str
    target_system: str
    target_code: str
    valid_from: Any
    method: str
    probability: float | None
    why: str
    evidence: dict[str, Any]
    decided_by: str | None = None

    @property
    def effect(self) -> str:
        """What accepting does, in a sentence."""
        since = f" from {self.valid_from} on" if self.valid_from else ""
        if (self.system, self.code) == (self.target_system, self.target_code):
            return f"{self.code} of {self.system} becomes {_a(self.kind)} of its own{since}; before, it means what it meant"
        if self.system == self.target_system:
            return f"{self.code} and {self.target_code} of {self.system} become one {self.kind}, {self.target_code}{since}"
        return f"every line of {self.system} with {self.code} counts as {self.kind} {self.target_code}{since}"


def waiting(company: Company, kind: str | None = None) -> list[Pair]:
    """Return the pairs that a steward has to decide."""
    lake = Lake.of(company)
    with lake.read() as connection:
        if not table_exists(connection, "meta", "match_candidate"):
            return []
        log.load_events(connection)
        log.resolve(connection)
        return [one for one in _pairs(connection, _WAITING) if kind in (None, one.kind)]


def links(company: Company, kind: str | None = None, code: str | None = None) -> list[Pair]:
    """Return the links in force, the newest first."""
    with Lake.of(company).read() as connection:
        log.load_events(connection)
        log.resolve(connection)
        found = _pairs(
            connection,
            "SELECT '#' || event_id AS candidate_id, *, coalesce(reason, '') AS why FROM link ORDER BY event_id DESC",
        )
    return [one for one in found if kind in (None, one.kind) and code in (None, one.code, one.target_code)]


def accept(company: Company, candidate_id: str, *, by: str, reason: str, run_id: str) -> Pair:
    """Link a waiting pair. Raises `InputError` for an unknown or decided one, or if it contradicts what was rejected."""
    _signed(by, reason)
    with Lake.of(company).write() as connection:
        _open_log(connection)
        pair = _waiting_pair(connection, candidate_id)
        _refuse_circle(connection, pair)
        _append(connection, "link", pair, by=by, reason=reason, run_id=run_id)
        _refuse_contradiction(connection, pair)
        _rewrite(connection, _settings(company))
    return pair


def reject(company: Company, candidate_id: str, *, by: str, reason: str, run_id: str) -> Pair:
    """Say that a waiting or linked ('#12') pair is not one thing; a link of theirs is out of force, what it hid stands again."""
    _signed(by, reason)
    with Lake.of(company).write() as connection:
        _open_log(connection)
        pair = (
            _linked_pair(connection, candidate_id)
            if candidate_id.startswith("#")
            else _waiting_pair(connection, candidate_id)
        )
        _append(connection, "reject", pair, by=by, reason=reason, run_id=run_id)
        _rewrite(connection, _settings(company))
    return pair


def undo(company: Company, event: str, *, by: str, reason: str, run_id: str) -> str:
    """Take back an accept or a reject of a person; return what it was."""
    _signed(by, reason)
    number = event.removeprefix("#")
    with Lake.of(company).write() as connection:
        _open_log(connection)
        row = connection.execute(
            "SELECT event, decided_by, code, target_code FROM standing WHERE event_id = try_cast(? AS BIGINT)",
            [number],
        ).fetchone()
        if row is None:
            raise InputError(
                f"There is no decision #{number} that stands: `stocklake match list --history` shows all of them."
            )
        if row[1] == log.BY_RULE:
            raise InputError(
                f"#{number} was linked by rule and would be linked again: say `stocklake match reject '#{number}'` instead."
            )
        connection.execute(
            "INSERT INTO lake.meta.match_event BY NAME SELECT (SELECT max(event_id) + 1 FROM event) AS event_id,"
            " now()::TIMESTAMP AS happened_at, ? AS run_id, 'undo' AS event, kind, system, code, target_system, target_code,"
            " ? AS decided_by, ? AS reason, event_id AS undoes FROM event WHERE event_id = try_cast(? AS BIGINT)",
            [run_id, by, reason, number],
        )
        _rewrite(connection, _settings(company))
    return f"{'accept' if row[0] == 'link' else 'reject'} of {row[2]} = {row[3]}"


def history(company: Company) -> list[dict[str, Any]]:
    """Return the decisions of people, the newest first."""
    with Lake.of(company).read() as connection:
        log.load_events(connection)
        cursor = connection.execute(
            "SELECT '#' || event_id AS id, happened_at, if(event = 'link', 'accept', event) AS decision, kind, system, code,"
            " target_system, target_code, valid_from, '#' || undoes AS undoes, decided_by, reason"
            " FROM event WHERE decided_by <> ? ORDER BY event_id DESC",
            [log.BY_RULE],
        )
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "item" else f"a {kind}"


def _signed(by: str, reason: str) -> None:
    if not by.strip() or not reason.strip():
        raise InputError("A decision needs a person and a reason: add --by NAME and --reason TEXT.")


def _settings(company: Company) -> Matching:
    if company.settings.matching is None:
        raise InputError(f"{company.name} matches no codes: add a section `matching` to its company.yaml.")
    return company.settings.matching


def _open_log(connection: duckdb.DuckDBPyConnection) -> None:
    log.make_tables(connection)
    log.load_events(connection)
    log.resolve(connection)


def _pairs(connection: duckdb.DuckDBPyConnection, query: str) -> list[Pair]:
    names = [field.name for field in fields(Pair)]
    selected = ", ".join("candidate_id AS id" if name == "id" else name for name in names)
    rows = connection.execute(f"SELECT {selected} FROM ({query})").fetchall()
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [Pair(**one | {"evidence": json.loads(one["evidence"] or "{}")}) for one in found]


def _waiting_pair(connection: duckdb.DuckDBPyConnection, candidate_id: str) -> Pair:
    for pair in _pairs(connection, _WAITING):
        if pair.id == candidate_id:
            return pair
    known = connection.execute(
        "SELECT count(*) FROM lake.meta.match_candidate WHERE candidate_id = ?", [candidate_id]
    ).fetchone()
    if known and known[0]:
        raise InputError(
            f"{candidate_id} is decided already: `stocklake match list --history` says by whom; undo that first."
        )
    raise InputError(
        f"There is no pair {candidate_id!r} in the queue: `stocklake match list` shows what waits."
    )


def _linked_pair(connection: duckdb.DuckDBPyConnection, number: str) -> Pair:
    query = "SELECT '#' || event_id AS candidate_id, *, coalesce(reason, '') AS why FROM link"
    for pair in _pairs(connection, query):
        if pair.id == number:
            return pair
    raise InputError(
        f"There is no link {number} in force: `stocklake match list --linked` shows those that are."
    )


def _append(
    connection: duckdb.DuckDBPyConnection, event: str, pair: Pair, *, by: str, reason: str, run_id: str
) -> None:
    connection.execute(
        "INSERT INTO lake.meta.match_event SELECT (SELECT coalesce(max(event_id), 0) + 1 FROM event), now()::TIMESTAMP,"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL",
        [run_id, event, pair.kind, pair.system, pair.code, pair.target_system, pair.target_code, pair.valid_from,
         pair.method, pair.probability, json.dumps(pair.evidence, ensure_ascii=False), by, reason],
    )  # fmt: skip
    log.load_events(connection)
    log.resolve(connection)


_ROOT = "SELECT root_system, root_code FROM reached WHERE kind = ? AND system = ? AND code = ? AND valid_to IS NULL"


def _refuse_circle(connection: duckdb.DuckDBPyConnection, pair: Pair) -> None:
    """Raise `InputError` if the target already leads to the code."""
    if (pair.system, pair.code) == (pair.target_system, pair.target_code):
        return
    root = connection.execute(_ROOT, [pair.kind, pair.target_system, pair.target_code]).fetchone()
    if root == (pair.system, pair.code):
        raise InputError(
            f"{pair.target_code} already leads to {pair.code}: they are one {pair.kind} as it is."
        )


def _refuse_contradiction(connection: duckdb.DuckDBPyConnection, pair: Pair) -> None:
    """Raise `InputError` if the link just made brings together what a person rejected."""
    at = "coalesce((SELECT {}.root_system || chr(31) || {}.root_code), {})"
    clash = connection.execute(
        f"""
        WITH now_at AS (SELECT kind, system, code, root_system, root_code FROM reached WHERE valid_to IS NULL)
        SELECT r.event_id, r.code, r.target_code FROM rejected AS r
        LEFT JOIN now_at AS a ON a.kind = r.kind AND a.system = r.system AND a.code = r.code
        LEFT JOIN now_at AS b ON b.kind = r.kind AND b.system = r.target_system AND b.code = r.target_code
        WHERE r.kind = ? AND {at.format("a", "a", "r.system || chr(31) || r.code")}
            = {at.format("b", "b", "r.target_system || chr(31) || r.target_code")}
        """,
        [pair.kind],
    ).fetchone()
    if clash:
        raise InputError(
            f"With it {clash[1]} and {clash[2]} would be one {pair.kind}, which was rejected (#{clash[0]}):"
            f" undo that first with `stocklake match undo '#{clash[0]}'`, or reject this pair too."
        )


def _rewrite(connection: duckdb.DuckDBPyConnection, settings: Matching) -> None:
    """Make the crosswalk again from the log and the codes that it knew."""
    log.load_events(connection)
    log.resolve(connection)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE code AS SELECT DISTINCT kind, system, code, method = 'master' AS is_listed"
        " FROM lake.staging.crosswalk WHERE event_id IS NULL UNION SELECT DISTINCT kind, system, code, true FROM lake.staging.crosswalk"
        " WHERE event_id IS NOT NULL AND (kind, system, code) NOT IN"
        " (SELECT (kind, system, code) FROM lake.staging.crosswalk WHERE event_id IS NULL)"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE new_crosswalk AS {log.crosswalk_sql(settings.master)}")
    replace_if_changed(connection, "crosswalk", "new_crosswalk")
