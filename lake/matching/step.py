"""Matching as one step of a run: reads raw, decides what rules may decide, and writes all of it in one transaction.

It reads while others may write, and takes the writer's turn only to append what it found; where a steward decided something
meanwhile, it looks again. Where nothing that it reads has changed since the last time it does nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from lake import progress
from lake.company import Company, Matching
from lake.connection import Lake, table_exists, tables_state
from lake.contracts.entities import MATCHED
from lake.contracts.model import Contract
from lake.errors import LakeBusy
from lake.matching import log, values
from lake.matching.judging import judge
from lake.matching.records import read_records

VERSION = 1
"""Of the rules: another one looks at everything again."""

_NOTE = (
    "CREATE TABLE IF NOT EXISTS lake.meta.match_run (run_id VARCHAR, fingerprint VARCHAR, ran_at TIMESTAMP)"
)
_TRIES = 3


@dataclass
class MatchReport:
    """What a run of matching did, and how things stand after it."""

    is_standing: bool = False
    """True: nothing had changed, so nothing was looked at."""
    linked: dict[str, int] = field(default_factory=dict)
    """New links by method."""
    queued: int = 0
    """Pairs new in the steward's queue."""


def match(company: Company, contracts: Sequence[Contract], *, run_id: str) -> MatchReport:
    """Match the codes of a company whose company.yaml has `matching`, and keep staging.crosswalk true to raw and the log."""
    settings = company.settings.matching
    assert settings is not None, "the company does not match codes"
    lake = Lake.of(company)
    lake.ensure()
    with progress.stage("matching") as stage:
        for _ in range(_TRIES):
            report = _match_once(lake, settings, contracts, run_id)
            if report is not None:
                stage.advance(
                    note="nothing new" if report.is_standing else f"{sum(report.linked.values())} linked"
                )
                return report
    raise LakeBusy("Stewards decided about codes while matching was under way, three times: run it again.")


def _match_once(
    lake: Lake, settings: Matching, contracts: Sequence[Contract], run_id: str
) -> MatchReport | None:
    """Match on one state of the lake; None where the log has grown before the outcome could be written."""
    with lake.read() as connection:
        fingerprint = _fingerprint(connection, settings, contracts)
        if _noted(connection) == fingerprint:
            return MatchReport(is_standing=True)
        last_event = log.load_events(connection)
        _prepare(connection, contracts)
        report = MatchReport()
        for kind in MATCHED:
            _match_kind(connection, settings, kind, report)
        outcome = _outcome(connection, settings, last_event)
    with lake.write() as connection:
        log.make_tables(connection)
        connection.execute(_NOTE)
        if log.load_events(connection) != last_event:
            return None
        report.queued = _write(connection, outcome, run_id)
        # Its own events are part of what it read the next time.
        now = _fingerprint(connection, settings, contracts)
        connection.execute("DELETE FROM lake.meta.match_run")
        connection.execute("INSERT INTO lake.meta.match_run VALUES (?, ?, now()::TIMESTAMP)", [run_id, now])
    return report


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, settings: Matching, contracts: Sequence[Contract]
) -> str:
    """Return a hash of everything that matching reads."""
    said = [
        str(VERSION),
        settings.model_dump_json(),
        repr([(c.dataset, c.entity, c.mapping, c.system, c.live_condition) for c in contracts]),
        repr(tables_state(connection, "raw")),
    ]
    if table_exists(connection, "meta", "match_event"):
        said.append(repr(connection.execute("SELECT max(event_id) FROM lake.meta.match_event").fetchone()))
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def _noted(connection: duckdb.DuckDBPyConnection) -> str | None:
    if not table_exists(connection, "meta", "match_run"):
        return None
    row = connection.execute("SELECT fingerprint FROM lake.meta.match_run").fetchone()
    return row[0] if row else None


def _prepare(connection: duckdb.DuckDBPyConnection, contracts: Sequence[Contract]) -> None:
    """Read what there is: codes, records, identifiers; and say of each record whether it is as it was looked at last."""
    read_records(connection, contracts)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE candidate ({log.CANDIDATE})")
    if table_exists(connection, "meta", "match_record"):
        connection.execute(
            "UPDATE record SET is_new = false FROM lake.meta.match_record AS seen WHERE seen.kind = record.kind"
            " AND seen.system = record.system AND seen.code = record.code AND seen.digest = record.digest"
        )
    log.resolve(connection)


def _match_kind(
    connection: duckdb.DuckDBPyConnection, settings: Matching, kind: str, report: MatchReport
) -> None:
    """Match one kind: first doubles within the master, then one system after the other with all before it."""
    found = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT system FROM code WHERE kind = ? ORDER BY system <> ?, system",
            [kind, settings.master],
        ).fetchall()
    ]
    if kind == "item":
        _name_suppliers(connection, settings)
    earlier: list[str] = []
    for system in found:
        if earlier or system == settings.master:
            judge(connection, kind, system, earlier, settings.queue_probability, settings.link_probability)
            _decide(connection, report)
        earlier.append(system)


def _name_suppliers(connection: duckdb.DuckDBPyConnection, settings: Matching) -> None:
    """Let part numbers of suppliers name the conformed supplier: each system may have its own code for it."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE supplier_id AS
            SELECT system, code, conformed_id FROM ({log.crosswalk_sql(settings.master)}) WHERE kind = 'supplier' AND valid_to IS NULL;
        UPDATE identifier SET value = s.conformed_id || '|' || split_part(value, '|', -1)
        FROM supplier_id AS s WHERE type = 'supplier_part' AND s.system = identifier.system
            AND s.code = left(value, length(value) - length(split_part(value, '|', -1)) - 1)
        """
    )


_EVIDENCE = """to_json({
    'code': {'system': v.system, 'code': v.code, 'name': left(l.name, 200), 'dataset': c.dataset, 'file': c.file, 'line': c.line},
    'target': {'system': v.target_system, 'code': v.target_code, 'name': left(r.name, 200), 'dataset': t.dataset, 'file': t.file, 'line': t.line},
    'found': v.found::JSON})"""

_SIDES = """
    FROM verdict AS v
    LEFT JOIN code AS c ON c.kind = v.kind AND c.system = v.system AND c.code = v.code
    LEFT JOIN code AS t ON t.kind = v.kind AND t.system = v.target_system AND t.code = v.target_code
    LEFT JOIN record AS l ON l.kind = v.kind AND l.system = v.system AND l.code = v.code
    LEFT JOIN record AS r ON r.kind = v.kind AND r.system = v.target_system AND r.code = v.target_code
"""


def _decide(connection: duckdb.DuckDBPyConnection, report: MatchReport) -> None:
    """Turn verdicts into events and candidates, and see what follows from them for the next system."""
    connection.execute(
        f"""
        INSERT INTO event BY NAME
            SELECT (SELECT coalesce(max(event_id), 0) FROM event) + row_number() OVER (ORDER BY v.kind, v.system, v.code) AS event_id,
                'link' AS event, v.kind, v.system, v.code, target_system, target_code, valid_from, method, probability,
                {_EVIDENCE} AS evidence, '{log.BY_RULE}' AS decided_by
            {_SIDES} WHERE v.links;
        INSERT INTO candidate BY NAME
            SELECT left(md5(concat_ws('\\x1f', v.kind, v.system, v.code, target_system, target_code, valid_from, method,
                    v.found::JSON ->> '$.right.code')), 8) AS candidate_id,
                v.kind, v.system, v.code, target_system, target_code, valid_from, method, probability, {_EVIDENCE} AS evidence, why
            {_SIDES} WHERE NOT v.links
        """
    )
    for method, count in connection.execute(
        "SELECT method, count(*) FROM verdict WHERE links GROUP BY method"
    ).fetchall():
        report.linked[method] = report.linked.get(method, 0) + count
    log.resolve(connection)


def _outcome(connection: duckdb.DuckDBPyConnection, settings: Matching, last_event: int) -> dict[str, object]:
    """Return what is to be written, by table, as Arrow."""
    queries = {
        "event": f"SELECT * FROM event WHERE event_id > {last_event}",
        "candidate": "SELECT * FROM candidate",
        "record": "SELECT kind, system, code, digest FROM record",
        "crosswalk": log.crosswalk_sql(settings.master),
        "unmatched_value": values.unmatched_sql(settings),
    }
    return {name: connection.execute(query).to_arrow_table() for name, query in queries.items()}


def _write(connection: duckdb.DuckDBPyConnection, outcome: dict[str, object], run_id: str) -> int:
    """Append events and candidates, replace what follows from them; return the number of new candidates."""
    for name, frame in outcome.items():
        connection.register(f"new_{name}", frame)
    connection.execute(
        "INSERT INTO lake.meta.match_event BY NAME SELECT * REPLACE (now()::TIMESTAMP AS happened_at, ? AS run_id) FROM new_event",
        [run_id],
    )
    queued = connection.execute(
        """
        INSERT INTO lake.meta.match_candidate BY NAME
        SELECT * REPLACE (now()::TIMESTAMP AS proposed_at, ? AS run_id,
            (SELECT coalesce(max(event_id), 0) FROM lake.meta.match_event) AS after_event)
        FROM new_candidate WHERE candidate_id NOT IN (SELECT candidate_id FROM lake.meta.match_candidate)
        """,
        [run_id],
    ).fetchone()
    connection.execute(
        "DELETE FROM lake.meta.match_record; INSERT INTO lake.meta.match_record FROM new_record"
    )
    replace_if_changed(connection, "crosswalk", "new_crosswalk")
    replace_if_changed(connection, "unmatched_value", "new_unmatched_value")
    return int(queued[0]) if queued else 0


def replace_if_changed(connection: duckdb.DuckDBPyConnection, table: str, frame: str) -> None:
    """Replace lake.staging.<table> by `frame`, unless it holds the same rows: what reads it need not run again then."""
    there = f"lake.staging.{table}"
    differ = f"(FROM {there} EXCEPT ALL SELECT * FROM {frame}) UNION ALL (SELECT * FROM {frame} EXCEPT ALL FROM {there})"
    if connection.execute(f"SELECT 1 FROM ({differ}) LIMIT 1").fetchone():
        connection.execute(f"DELETE FROM {there}")
        connection.execute(f"INSERT INTO {there} BY NAME SELECT * FROM {frame}")
