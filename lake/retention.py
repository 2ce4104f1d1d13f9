"""How long originals are kept: what `retention_days` of a contract lets go from landing, and what never goes.

Days count from the newest loading of a content. What any dataset keeps for ever, refused, or has not loaded, stays. The
ledger keeps the hash of what went, `meta.purged` says when; who delivers the same file again is still recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lake.company import Company
from lake.connection import Lake, table_exists
from lake.contracts.model import Contract
from lake.landing import forget, original

_EXPIRED = """
WITH kept AS (
    SELECT dataset, file_name, content_sha256, any_value(size_bytes) AS size_bytes,
        max(loaded_at) FILTER (status IN ('loaded', 'replayed')) AS loaded_at, arg_max(status, loaded_at) AS status
    FROM lake.meta.delivery WHERE content_sha256 IS NOT NULL GROUP BY ALL
)
SELECT content_sha256, min(dataset), min(file_name), any_value(size_bytes), max(kept.loaded_at) AS newest
FROM kept LEFT JOIN retention USING (dataset)
GROUP BY content_sha256
HAVING bool_and(status <> 'refused') AND max(kept.loaded_at) IS NOT NULL
    AND bool_and(days IS NOT NULL AND coalesce(kept.loaded_at + to_days(days) <= $now, true))
ORDER BY newest, content_sha256
"""


@dataclass(frozen=True)
class Purged:
    """One original that went, or would go."""

    dataset: str
    file_name: str
    content_sha256: str
    size_bytes: int
    loaded_at: datetime


def purge(
    company: Company, contracts: Sequence[Contract], *, now: datetime, dry_run: bool = False
) -> list[Purged]:
    """Delete the originals whose retention has ended by `now` (UTC); return those that were still there.

    The lake notes it first: killed between the two, the next purge deletes what was noted.
    """
    lake = Lake.of(company)
    if not lake.exists:
        return []
    retention = [(one.dataset, one.retention_days) for one in contracts if one.retention_days is not None]
    if not retention:
        return []
    with lake.write() as connection:
        if not table_exists(connection, "meta", "delivery"):
            return []
        connection.execute("CREATE TEMP TABLE retention (dataset VARCHAR, days INTEGER)")
        connection.executemany("INSERT INTO retention VALUES (?, ?)", retention)
        rows = connection.execute(_EXPIRED, {"now": now.replace(tzinfo=None)}).fetchall()
        expired = [Purged(dataset, name, sha, size or 0, at) for sha, dataset, name, size, at in rows]
        found = [one for one in expired if original(company.landing, one.content_sha256).exists()]
        if found and not dry_run:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lake.meta.purged (content_sha256 VARCHAR, dataset VARCHAR,"
                " file_name VARCHAR, size_bytes BIGINT, loaded_at TIMESTAMP, purged_at TIMESTAMP)"
            )
            connection.executemany(
                "INSERT INTO lake.meta.purged VALUES (?, ?, ?, ?, ?, now()::TIMESTAMP)",
                [(p.content_sha256, p.dataset, p.file_name, p.size_bytes, p.loaded_at) for p in found],
            )
    if not dry_run:
        for one in found:
            forget(company.landing, one.content_sha256)
    return found
