"""The point-in-time join, row by row in plain Python: slow, obvious, and independent of the SQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]


def naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def candidates(
    facts: list[Row],
    keys: Row,
    moment: datetime | None,
    ttl: timedelta | None,
    *,
    event: str,
    created: str | None,
) -> list[Row]:
    """Return the facts that may answer: one, none, or several that tie in event and created time."""
    if moment is None or any(value is None for value in keys.values()):
        return []
    at = naive_utc(moment)
    seen = []
    for fact in facts:
        happened, known = fact[event], fact[created] if created else fact[event]
        if happened is None or known is None:
            continue
        if any(fact[name] != value for name, value in keys.items()):
            continue
        if happened <= at and known <= at and (ttl is None or at - happened <= ttl):
            seen.append((happened, known, fact))
    best = max(((happened, known) for happened, known, _ in seen), default=None)
    return [fact for happened, known, fact in seen if (happened, known) == best]
