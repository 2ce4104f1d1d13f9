"""Values of a cursor: how far they have come, how far back to read again, and which of them lie in the future."""

from datetime import UTC, datetime, timedelta

from lake.errors import SourceFailed

Cursor = str | int | float
LARGEST_OFFSET = timedelta(hours=14)
"""Of a time zone: what is further ahead than this is no local time."""


def moment(value: Cursor) -> datetime | None:
    """Return what a cursor's value says as a time, UTC where it has a zone; None if it is none."""
    if not isinstance(value, str):
        return None
    if value in ("infinity", "-infinity"):
        return datetime.max if value == "infinity" else datetime.min
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    if len(value) < len("2024-01-31") or value.isdigit():
        return None  # 20240131 is a number
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def written_like(time: datetime, sample: str) -> str:
    """Write a time in the way of another, so that texts compare as times do."""
    if len(sample) == len("2024-01-31"):
        return time.date().isoformat()
    text = time.isoformat(sep="T" if "T" in sample else " ")
    zone = next((sign for sign in ("Z", "+00:00", "+00") if sample.endswith(sign)), "")
    return text + zone


def lowered(value: Cursor, overlap: timedelta | int | None, dataset: str) -> Cursor:
    """Return where reading begins again; `SourceFailed` if the overlap is not of the cursor's kind."""
    if overlap is None:
        return value
    time = moment(value)
    if isinstance(overlap, int):
        try:
            if time is None:
                return int(value) - overlap
        except ValueError:
            pass
    elif time is not None:
        earlier = time - overlap if time - datetime.min > overlap else datetime.min
        return written_like(earlier, str(value))
    raise SourceFailed(
        f"The overlap of {dataset} is of {'whole numbers' if isinstance(overlap, int) else 'times'}, but its cursor"
        f" stands at {value!r}: write minutes, hours or days for a time, units for a whole number."
    )


def like(text: Cursor, sample: object) -> Cursor:
    """Return a value that came as text with the type that the database gives it."""
    if isinstance(sample, int | float) and not isinstance(sample, bool):
        return type(sample)(text)
    return text
