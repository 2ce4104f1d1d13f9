"""What was decided about codes: an append-only log, and what follows from it.

    meta.match_event      event_id, happened_at, run_id, event (link | reject | undo), kind, system, code, target_system,
                          target_code, valid_from, method, probability, evidence (JSON), decided_by, reason, undoes
    meta.match_candidate  pairs that a steward has to decide, as proposed; never deleted: one that is decided is not listed
    meta.match_record     what was last looked at: code and digest of what its list said
    staging.crosswalk        kind, system, code, conformed_id, valid_from, valid_to, method, probability, linked_by, evidence,
                          event_id: one row per code and time that it means something else

The crosswalk is a pure function of the log and of the codes that there are. So undoing an event, or rejecting a link, gives
exactly what stood before. A code points at one other at a time; whom it points at may point on (a doubled supplier), and the
last one's code is the conformed id. A reject takes the links of its pair out of force until it is undone or they are linked anew.
"""

import duckdb

from lake.connection import table_exists
from lake.matching.values import UNMATCHED_VALUE

EVENT = """event_id BIGINT, happened_at TIMESTAMP, run_id VARCHAR, event VARCHAR, kind VARCHAR, system VARCHAR, code VARCHAR,
    target_system VARCHAR, target_code VARCHAR, valid_from DATE, method VARCHAR, probability DOUBLE, evidence VARCHAR,
    decided_by VARCHAR, reason VARCHAR, undoes BIGINT"""
CANDIDATE = """candidate_id VARCHAR, proposed_at TIMESTAMP, run_id VARCHAR, kind VARCHAR, system VARCHAR, code VARCHAR,
    target_system VARCHAR, target_code VARCHAR, valid_from DATE, method VARCHAR, probability DOUBLE, evidence VARCHAR,
    why VARCHAR, after_event BIGINT"""
RECORD = "kind VARCHAR, system VARCHAR, code VARCHAR, digest UBIGINT"
CROSSWALK = """kind VARCHAR, system VARCHAR, code VARCHAR, conformed_id VARCHAR, valid_from DATE, valid_to DATE,
    method VARCHAR, probability DOUBLE, linked_by VARCHAR, evidence VARCHAR, event_id BIGINT"""

TABLES = {
    "meta.match_event": EVENT,
    "meta.match_candidate": CANDIDATE,
    "meta.match_record": RECORD,
    "staging.crosswalk": CROSSWALK,
    "staging.unmatched_value": UNMATCHED_VALUE,
}

BY_RULE = "rule"
"""Who decided, where nobody did."""

LONGEST_CHAIN = 64

_IN_FORCE = """
CREATE OR REPLACE TEMP VIEW standing AS
    SELECT * FROM event WHERE event <> 'undo' AND event_id NOT IN (SELECT undoes FROM event WHERE event = 'undo');
CREATE OR REPLACE TEMP VIEW rejected AS
    SELECT r.* FROM standing AS r
    WHERE r.event = 'reject' AND NOT EXISTS (
        FROM standing AS later WHERE later.event = 'link' AND later.event_id > r.event_id AND later.kind = r.kind
            AND later.system = r.system AND later.code = r.code
            AND later.target_system = r.target_system AND later.target_code = r.target_code);
CREATE OR REPLACE TEMP TABLE link AS
    WITH there AS (
        SELECT l.* FROM standing AS l ANTI JOIN rejected AS r
            ON r.kind = l.kind AND r.system = l.system AND r.code = l.code
            AND r.target_system = l.target_system AND r.target_code = l.target_code
        WHERE l.event = 'link'
        QUALIFY row_number() OVER (PARTITION BY l.kind, l.system, l.code, l.valid_from ORDER BY l.event_id DESC) = 1
    )
    SELECT *, lead(valid_from) OVER (PARTITION BY kind, system, code ORDER BY valid_from NULLS FIRST) AS valid_to FROM there;
"""

_STEP = """
CREATE OR REPLACE TEMP TABLE reached AS
    SELECT r.* REPLACE (coalesce(on_.target_system, r.root_system) AS root_system, coalesce(on_.target_code, r.root_code) AS root_code)
    FROM reached AS r LEFT JOIN link AS on_
        ON on_.kind = r.kind AND on_.system = r.root_system AND on_.code = r.root_code AND on_.valid_to IS NULL
        AND NOT (on_.system = on_.target_system AND on_.code = on_.target_code)
"""

_ROOTS = "SELECT bit_xor(hash(event_id, root_system, root_code)) FROM reached"


def load_events(connection: duckdb.DuckDBPyConnection) -> int:
    """Make the temporary table `event` of the log as it stands, and return its last event's number (0: none yet)."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE event ({EVENT})")
    if table_exists(connection, "meta", "match_event"):
        connection.execute("INSERT INTO event BY NAME SELECT * FROM lake.meta.match_event")
    row = connection.execute("SELECT coalesce(max(event_id), 0) FROM event").fetchone()
    assert row is not None
    return int(row[0])


def resolve(connection: duckdb.DuckDBPyConnection) -> None:
    """Make of `event` the temporary tables `link` (in force, with valid_to) and `reached` (link, root_system, root_code)."""
    connection.execute(_IN_FORCE)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE reached AS SELECT *, target_system AS root_system, target_code AS root_code FROM link"
    )
    before = None
    for _ in range(LONGEST_CHAIN):
        now = connection.execute(_ROOTS).fetchone()
        if now == before:
            return
        before = now
        connection.execute(_STEP)
    raise AssertionError("codes point at each other in a circle: the log is damaged")


def crosswalk_sql(master: str) -> str:
    """Return the query of the crosswalk, from `code`, `reached` and what the codes are.

    A code of the master system is its own conformed id unless it points at another. A code of another system that points
    nowhere keeps its own text as id, with its system in front where the master has the same text for something of its own.
    """
    own_id = "if(c.system = $master OR m.code IS NULL, c.code, c.system || ':' || c.code)"
    return f"""
        WITH m AS (SELECT DISTINCT kind, code FROM code WHERE system = $master),
        target AS (
            SELECT r.kind, r.system, r.code, r.valid_from, r.valid_to, r.method, r.probability, r.decided_by AS linked_by,
                r.evidence, r.event_id,
                if(r.root_system = $master OR m.code IS NULL, r.root_code, r.root_system || ':' || r.root_code) AS conformed_id
            FROM reached AS r LEFT JOIN m ON m.kind = r.kind AND m.code = r.root_code
        ),
        own AS (
            SELECT c.kind, c.system, c.code, NULL::DATE AS valid_from, first_link AS valid_to,
                if(c.system = $master AND c.is_listed, 'master', 'none') AS method, NULL::DOUBLE AS probability,
                NULL::VARCHAR AS linked_by, NULL::VARCHAR AS evidence, NULL::BIGINT AS event_id, {own_id} AS conformed_id
            FROM code AS c
            LEFT JOIN m ON m.kind = c.kind AND m.code = c.code
            LEFT JOIN (SELECT kind, system, code, min(coalesce(valid_from, DATE '0001-01-01')) AS first_link FROM reached GROUP BY ALL) AS f
                ON f.kind = c.kind AND f.system = c.system AND f.code = c.code
            WHERE first_link IS NULL OR first_link > DATE '0001-01-01'
        )
        SELECT kind, system, code, conformed_id, valid_from, valid_to, method, probability, linked_by, evidence, event_id
        FROM (FROM own UNION ALL BY NAME FROM target)
    """.replace("$master", "'" + master.replace("'", "''") + "'")


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the log's tables in the lake where they are missing."""
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS lake.{name} ({columns})")
