"""How much money hangs on codes that are matched to nothing: staging.unmatched_value, which the gate reads.

A code is unmatched while it points at nothing; one of the master's own, while the master's list does not have it. (Where the
master has no codes of a kind at all, the first system that has some stands in for it.) Its value is the money of the lines that name it, as entities.yaml says for each entity.
"""

from lake.company import Matching
from lake.connection import quoted_text

UNMATCHED_VALUE = """kind VARCHAR, system VARCHAR, codes BIGINT, unmatched_codes BIGINT, lines BIGINT, unmatched_lines BIGINT,
    value DOUBLE, unmatched_value DOUBLE, unmatched_share DOUBLE, maximum_share DOUBLE"""


def unmatched_sql(settings: Matching) -> str:
    """Return the query of staging.unmatched_value: one row per kind and system; `unmatched_share` is of all systems' value."""
    return f"""
        WITH home AS (
            SELECT kind, arg_min(system, (system <> {quoted_text(settings.master)}, system)) AS system FROM code GROUP BY kind
        ),
        listing AS (SELECT DISTINCT kind, system FROM code WHERE is_listed),
        judged AS (
            SELECT c.*, l.code IS NULL AND (h.system IS NULL OR (s.system IS NOT NULL AND NOT c.is_listed)) AS is_unmatched
            FROM code AS c LEFT JOIN (SELECT DISTINCT kind, system, code FROM reached) AS l USING (kind, system, code)
            LEFT JOIN home AS h USING (kind, system) LEFT JOIN listing AS s USING (kind, system)
        )
        SELECT kind, system, count(*) AS codes, count(*) FILTER (is_unmatched) AS unmatched_codes, sum(lines)::BIGINT AS lines,
            coalesce(sum(lines) FILTER (is_unmatched), 0)::BIGINT AS unmatched_lines, round(sum(value), 2) AS value,
            round(coalesce(sum(value) FILTER (is_unmatched), 0), 2) AS unmatched_value,
            round(coalesce(sum(value) FILTER (is_unmatched), 0) / nullif(sum(sum(value)) OVER (PARTITION BY kind), 0), 6) AS unmatched_share,
            {settings.maximum_unmatched_value_share}::DOUBLE AS maximum_share
        FROM judged GROUP BY kind, system
    """
