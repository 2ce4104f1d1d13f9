"""Which proposed pairs link by themselves, which a steward has to decide, and why: temporary table `verdict`.

A pair links by itself only by a method whose precision allows it, and only if nothing speaks against it:

    identifier        names one target only, no other identifier differs, the names (where both have one) agree
    same_code         the names agree, or one side has none; no identifier differs
    normalised_code   as same_code; one target only, which no other listed code of the system has yet
    probability       at least link_probability, clearly ahead of the next, no identifier differs, target not taken

All else that was proposed goes to the queue with the reason. Doubles within the master: suppliers link by the same rules, two
items or locations of one list are often meant to be two (another pack, another gate), so a person decides.
"""

import duckdb

from lake.connection import quoted_text
from lake.matching import records, texts
from lake.matching.exact import PROPOSAL, propose_by_code, propose_by_identifier
from lake.matching.log import resolve
from lake.matching.probable import propose_by_probability

MERGES_DOUBLES = ("supplier",)
CLEARLY_AHEAD = 0.5
"""The second best pair may have this probability at most."""
SHOWN = 3
"""Most targets that one code brings into the queue by probability."""

SINGLE = ", ".join(map(quoted_text, records.SINGLE))

VERDICT = """
CREATE OR REPLACE TEMP TABLE verdict (kind VARCHAR, system VARCHAR, code VARCHAR, target_system VARCHAR, target_code VARCHAR,
    valid_from DATE, method VARCHAR, rank INTEGER, probability DOUBLE, found VARCHAR, links BOOLEAN, why VARCHAR)
"""

_NODES = """
CREATE OR REPLACE TEMP TABLE node AS
    SELECT c.kind, c.system, c.code, coalesce(r.root_system, c.system) AS root_system, coalesce(r.root_code, c.code) AS root_code,
        r.code IS NOT NULL AS is_linked
    FROM code AS c LEFT JOIN (FROM reached WHERE valid_to IS NULL) AS r USING (kind, system, code)
"""

_DESCRIBED = "r.* EXCLUDE (kind, system, code, code_key, digest)"


def judge(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    system: str,
    earlier: list[str],
    least: float,
    enough: float,
) -> None:
    """Fill `verdict` for the open codes of one system, compared with the roots of the `earlier` systems.

    With no earlier system the codes are compared among themselves: doubles. `least` and `enough` are the probabilities from
    which a steward is asked, and from which a pair links.
    """
    connection.execute(VERDICT)
    connection.execute(PROPOSAL)
    connection.execute(_NODES)
    _open(connection, kind, system, doubles=not earlier)
    _targets(connection, kind, earlier or [system])
    if not _any(connection, "open") or not _any(connection, "target"):
        return
    propose_by_identifier(connection)
    if earlier:
        propose_by_code(connection)
    connection.execute(_exact_verdicts(kind, earlier))
    _likely(connection, is_new_target=_any(connection, "target WHERE is_new"))
    if _any(connection, "likely"):
        propose_by_probability(connection, kind, least, doubles=not earlier)
        connection.execute(_probable_verdicts(kind, enough))
    _look_again(connection, kind, doubles=not earlier)


def _any(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def _open(connection: duckdb.DuckDBPyConnection, kind: str, system: str, *, doubles: bool) -> None:
    """Make `open`: what is not linked yet, and what is linked but has become something else since (`is_reused`)."""
    own = f"n.kind = {quoted_text(kind)} AND n.system = {quoted_text(system)}"
    wanted = (
        "NOT n.is_linked AND c.is_listed AND r.is_new"
        if doubles
        else "(NOT n.is_linked OR u.code IS NOT NULL)"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE node_identifier AS
            SELECT i.type, i.value, i.system, i.code, i.dataset, i.file, i.line, n.root_system, n.root_code
            FROM identifier AS i JOIN node AS n USING (kind, system, code) WHERE i.kind = {quoted_text(kind)};
        CREATE OR REPLACE TEMP TABLE moved AS
            SELECT n.system, n.code, n.root_system, n.root_code, NOT {texts.names_agree("r", "t")} AS other_name
            FROM node AS n JOIN record AS r USING (kind, system, code)
            LEFT JOIN record AS t ON t.kind = n.kind AND t.system = n.root_system AND t.code = n.root_code
            WHERE {own} AND n.is_linked AND r.is_new AND (n.root_system, n.root_code) <> (n.system, n.code);
        CREATE OR REPLACE TEMP TABLE reused AS
            SELECT system, code FROM moved WHERE other_name
            UNION
            SELECT system, code FROM (
                SELECT m.system, m.code, o.type FROM moved AS m
                JOIN node_identifier AS o ON o.system = m.system AND o.code = m.code AND o.type IN ({SINGLE})
                JOIN node_identifier AS i ON i.type = o.type AND i.root_system = m.root_system AND i.root_code = m.root_code
                    AND (i.system, i.code) <> (m.system, m.code)
                GROUP BY ALL HAVING NOT bool_or(i.value = o.value));
        CREATE OR REPLACE TEMP TABLE open AS
            SELECT c.system, c.code, {texts.code_key("c.code")} AS code_key, {_DESCRIBED}, c.is_listed,
                u.code IS NOT NULL AS is_reused
            FROM code AS c JOIN node AS n USING (kind, system, code)
            LEFT JOIN record AS r USING (kind, system, code)
            LEFT JOIN reused AS u ON u.system = c.system AND u.code = c.code
            WHERE {own} AND {wanted};
        CREATE OR REPLACE TEMP TABLE open_identifier AS SELECT i.* FROM node_identifier AS i SEMI JOIN open USING (system, code);
        """
    )


def _targets(connection: duckdb.DuckDBPyConnection, kind: str, systems: list[str]) -> None:
    """Make `target`, the roots of these systems, and `target_identifier`, with those of the codes that point at them."""
    named = ", ".join(map(quoted_text, systems))
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE target AS
            SELECT c.system, c.code, {texts.code_key("c.code")} AS code_key, {_DESCRIBED}
            FROM code AS c JOIN node AS n USING (kind, system, code) LEFT JOIN record AS r USING (kind, system, code)
            WHERE c.kind = {quoted_text(kind)} AND c.system IN ({named}) AND NOT n.is_linked
                AND (c.is_listed OR c.system = {quoted_text(systems[0])});
        CREATE OR REPLACE TEMP TABLE target_identifier AS SELECT * FROM node_identifier
        """
    )


_COMPARED = f"""
        differing AS (
            SELECT system, code, target_system, target_code, string_agg(type, ', ' ORDER BY type) AS types FROM (
                SELECT p.system, p.code, p.target_system, p.target_code, o.type
                FROM (SELECT DISTINCT system, code, target_system, target_code FROM proposal) AS p
                JOIN open_identifier AS o ON o.system = p.system AND o.code = p.code AND o.type IN ({SINGLE})
                JOIN node_identifier AS i ON i.type = o.type AND i.root_system = p.target_system AND i.root_code = p.target_code
                    AND (i.system, i.code) <> (o.system, o.code)
                GROUP BY ALL HAVING NOT bool_or(i.value = o.value))
            GROUP BY ALL
        )"""


def _exact_verdicts(kind: str, earlier: list[str]) -> str:
    """Return the query that judges exact proposals: the most trusted ones of each code."""
    order = " ".join(f"WHEN {quoted_text(name)} THEN {place}" for place, name in enumerate(earlier))
    place = f"CASE target_system {order} END" if earlier else "0"
    # Of doubles both of a pair may be open: the later code points at the earlier one, and any number may point at it.
    once = (
        ""
        if earlier
        else " AND (NOT EXISTS (FROM open AS b WHERE b.code = p.target_code) OR p.code > p.target_code)"
    )
    several = "proves > 1" if earlier else "false"
    may_link = "true" if earlier or kind in MERGES_DOUBLES else "false"
    return f"""
        INSERT INTO verdict
        WITH {_COMPARED.strip()},
        best AS (
            SELECT p.*, d.types AS differ,
                count(DISTINCT (target_system, target_code)) FILTER (rank <= 3) OVER (PARTITION BY p.system, p.code) AS proves,
                count(DISTINCT (target_system, target_code)) OVER (PARTITION BY p.system, p.code, method) AS named
            FROM proposal AS p LEFT JOIN differing AS d USING (system, code, target_system, target_code)
            WHERE rank < 6{once}
        ),
        chosen AS (
            SELECT * FROM best WHERE rank <= 3 OR proves = 0
            -- One row for each pair, and of spellings the closest, of the first system that has it.
            QUALIFY row_number() OVER (PARTITION BY system, code, target_system, target_code ORDER BY rank) = 1
                AND (rank <= 3 OR rank = min(rank) OVER (PARTITION BY system, code))
                AND (rank <= 3 OR {place} = min({place}) OVER (PARTITION BY system, code))
        ),
        judged AS (
            SELECT *, CASE
                WHEN {several} THEN 'its identifiers name different ones'
                WHEN differ IS NOT NULL THEN 'another ' || differ
                WHEN agree IS NOT NULL AND NOT agree AND method = 'same_code' THEN 'the same code under another name'
                WHEN agree IS NOT NULL AND NOT agree THEN 'the names differ'
                WHEN method = 'normalised_code' AND named > 1 THEN 'several codes are spelled so'
                WHEN NOT {may_link} THEN 'a double within one list'
            END AS why
            FROM chosen
        )
        SELECT {quoted_text(kind)}, system, code, target_system, target_code, NULL, method, rank, probability, found, why IS NULL, why
        FROM judged
    """


def _likely(connection: duckdb.DuckDBPyConnection, *, is_new_target: bool) -> None:
    """Make `likely`: open records with a name that no exact rule has linked. One that was looked at waits for new targets."""
    news = "true" if is_new_target else "is_new"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE likely AS SELECT * FROM open WHERE name_key IS NOT NULL AND ({news})"
        " AND (system, code) NOT IN (SELECT (system, code) FROM verdict WHERE links)"
    )


def _probable_verdicts(kind: str, enough: float) -> str:
    """Return the query that judges what Splink found, beside what exact rules left in the queue."""
    doubles = f"(t.system = p.system AND {quoted_text(kind)} NOT IN ({', '.join(map(quoted_text, MERGES_DOUBLES))}))"
    return f"""
        INSERT INTO verdict
        WITH {_COMPARED.strip()},
        ranked AS (
            SELECT p.*, d.types AS differ, {doubles} AS is_double, t.system = p.system AS within,
                row_number() OVER (PARTITION BY p.system, p.code ORDER BY probability DESC, p.target_system, p.target_code) AS place,
                lead(probability, 1, 0) OVER (PARTITION BY p.system, p.code ORDER BY probability DESC, p.target_system, p.target_code) AS next
            FROM proposal AS p JOIN target AS t ON t.system = p.target_system AND t.code = p.target_code
            LEFT JOIN differing AS d ON d.system = p.system AND d.code = p.code AND d.target_system = p.target_system
                AND d.target_code = p.target_code
            WHERE p.rank = 6
                AND (t.system <> p.system OR NOT EXISTS (FROM open AS b WHERE b.code = p.target_code) OR p.code > p.target_code)
                AND NOT EXISTS (FROM verdict AS v WHERE v.system = p.system AND v.code = p.code
                    AND v.target_system = p.target_system AND v.target_code = p.target_code)
        ),
        judged AS (
            SELECT *, CASE
                WHEN EXISTS (FROM verdict AS v WHERE v.system = ranked.system AND v.code = ranked.code)
                    THEN 'looks alike, but other evidence names another'
                WHEN differ IS NOT NULL THEN 'another ' || differ
                WHEN is_double THEN 'a double within one list'
                WHEN probability < {enough} THEN 'likely, not certain'
                WHEN next > {CLEARLY_AHEAD} AND NOT within THEN 'several are as likely'
                WHEN place > 1 AND NOT within THEN 'less likely than another'
            END AS why
            FROM ranked WHERE place <= {SHOWN}
        )
        SELECT {quoted_text(kind)}, system, code, target_system, target_code, NULL, method, rank, probability, found, why IS NULL, why
        FROM judged
    """


def _look_again(connection: duckdb.DuckDBPyConnection, kind: str, *, doubles: bool) -> None:
    """Take back what speaks against itself once all of it is seen together: reused and rejected codes, crowded targets."""
    connection.execute(
        f"""
        UPDATE verdict SET links = false, valid_from = o.known_on, why = 'the code means something else than before: ' || coalesce(why, 'linked to another')
        FROM open AS o WHERE o.is_reused AND o.system = verdict.system AND o.code = verdict.code;
        DELETE FROM verdict AS v USING node AS n WHERE n.kind = v.kind AND n.system = v.system AND n.code = v.code
            AND n.is_linked AND n.root_system = v.target_system AND n.root_code = v.target_code;
        INSERT INTO verdict
            SELECT {quoted_text(kind)}, system, code, system, code, known_on, 'own', 7, NULL, '{{}}', false,
                'the code means something else than before, and nothing known'
            FROM open WHERE is_reused AND (system, code) NOT IN (SELECT (system, code) FROM verdict);
        UPDATE verdict SET links = false, why = 'this pair was rejected before' FROM rejected AS r
            WHERE r.kind = verdict.kind AND r.system = verdict.system AND r.code = verdict.code
                AND r.target_system = verdict.target_system AND r.target_code = verdict.target_code;
        """
    )
    if not doubles:
        connection.execute(_CROWDED)
    connection.execute(_MIXED)
    _take_back_rejected(connection)


_CROWDED = """
UPDATE verdict SET links = false, why = 'another code of this system is linked to it'
FROM (
    SELECT v.system, v.code FROM verdict AS v JOIN open AS o USING (system, code)
    WHERE v.links AND v.rank >= 5 AND o.is_listed AND (
        EXISTS (FROM node AS n JOIN code AS c USING (kind, system, code) WHERE n.kind = v.kind AND n.system = v.system AND n.is_linked
            AND c.is_listed AND n.root_system = v.target_system AND n.root_code = v.target_code)
        OR EXISTS (FROM verdict AS w JOIN open AS p USING (system, code) WHERE w.links AND p.is_listed AND w.system = v.system
            AND w.code <> v.code AND w.target_system = v.target_system AND w.target_code = v.target_code AND w.rank <= v.rank)
    )) AS crowded
WHERE verdict.system = crowded.system AND verdict.code = crowded.code AND verdict.links
"""

_MIXED = f"""
UPDATE verdict SET links = false, why = 'others that link to it have another ' || mixed.type
FROM (
    SELECT v.system, v.code, i.type FROM verdict AS v JOIN open_identifier AS i USING (system, code)
    WHERE v.links AND i.type IN ({SINGLE})
    QUALIFY i.value <> first_value(i.value) OVER
        (PARTITION BY v.target_system, v.target_code, i.type ORDER BY v.rank, v.code, i.value)
) AS mixed
WHERE verdict.system = mixed.system AND verdict.code = mixed.code AND verdict.links
"""

_APPLY = """
INSERT INTO event BY NAME
    SELECT (SELECT coalesce(max(event_id), 0) FROM event) + row_number() OVER (ORDER BY kind, system, code) AS event_id, 'link' AS event,
        kind, system, code, target_system, target_code, valid_from, method
    FROM verdict WHERE links
"""


def _take_back_rejected(connection: duckdb.DuckDBPyConnection) -> None:
    """Take back links that would bring together, over others, what a person has said is not the same."""
    if not _any(connection, "rejected"):
        return
    connection.execute("CREATE OR REPLACE TEMP TABLE event_before AS FROM event")
    while True:
        connection.execute(_APPLY)
        resolve(connection)
        connection.execute(_NODES)
        worst = connection.execute(
            """
            SELECT v.system, v.code, r.code || ' and ' || r.target_code
            FROM rejected AS r
            JOIN node AS a ON a.kind = r.kind AND a.system = r.system AND a.code = r.code
            JOIN node AS b ON b.kind = r.kind AND b.system = r.target_system AND b.code = r.target_code
            JOIN node AS n ON n.kind = r.kind AND n.root_system = a.root_system AND n.root_code = a.root_code
            JOIN verdict AS v ON v.kind = n.kind AND v.system = n.system AND v.code = n.code AND v.links
            WHERE a.root_system = b.root_system AND a.root_code = b.root_code
            ORDER BY v.rank DESC, v.probability NULLS FIRST, v.system, v.code LIMIT 1
            """
        ).fetchone()
        connection.execute("CREATE OR REPLACE TEMP TABLE event AS FROM event_before")
        if worst is None:
            break
        connection.execute(
            "UPDATE verdict SET links = false, why = 'it would make one of what was rejected: ' || ? WHERE system = ? AND code = ? AND links",
            [worst[2], worst[0], worst[1]],
        )
    resolve(connection)
    connection.execute(_NODES)
