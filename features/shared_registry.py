"""Who applies a registry that a team shares: one at a time, by an advisory lock of its PostgreSQL, and what was applied.

Feast's own tables hold the objects; `stocklake_applied` beside them says from which definitions they were made.
"""

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from lake.errors import StocklakeError

_LOCK = int.from_bytes(hashlib.sha256(b"stocklake features registry").digest()[:7], "big")
_TABLE = """
CREATE TABLE IF NOT EXISTS stocklake_applied (
    fingerprint TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""


def applied_under_lock(url: str, fingerprint: str, apply: Callable[[], None]) -> bool:
    """Call `apply` unless the registry was made from `fingerprint` already; return whether it was called.

    Others wait meanwhile. Killed half-way, nothing is noted and the next call applies again.
    """
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            try:
                connection.execute(text(_TABLE))
                connection.commit()
                if _newest(connection) == fingerprint:
                    return False
                apply()
                connection.execute(
                    text("INSERT INTO stocklake_applied (fingerprint) VALUES (:made)"), {"made": fingerprint}
                )
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()
    except SQLAlchemyError as error:
        raise _unreachable(error) from error
    return True


def applied_fingerprint(url: str) -> str | None:
    """Return the fingerprint of the definitions that the registry was made from; None if never."""
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            known = connection.execute(text("SELECT to_regclass('stocklake_applied') IS NOT NULL")).scalar()
            return _newest(connection) if known else None
    except SQLAlchemyError as error:
        raise _unreachable(error) from error


def _newest(connection: Connection) -> str | None:
    found = connection.execute(
        text("SELECT fingerprint FROM stocklake_applied ORDER BY applied_at DESC LIMIT 1")
    ).scalar()
    return None if found is None else str(found)


def _unreachable(error: SQLAlchemyError) -> StocklakeError:
    said = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    return StocklakeError(
        f"The features' registry could not be reached or written ({said}): see company.yaml, feature_registry, and that "
        "its PostgreSQL answers."
    )
