"""Where an incremental fetch goes on: the newest value of a column that grows, and how it is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lake.contracts.model import Column
from lake.errors import SourceFailed
from lake.sources.apis.bodies import lookup
from lake.sources.apis.settings import Incremental
from lake.sources.port import Position

Value = int | date | datetime
_ANY_ZONE = timedelta(hours=14)
"""How far ahead of UTC a clock without a zone may be."""


@dataclass(frozen=True)
class Growth:
    """The column of an incremental fetch and the values it takes."""

    settings: Incremental
    column: Column

    def parameter(self, since: str | None) -> dict[str, str]:
        """Return the query parameter that asks for what is new since a value (None: since the beginning)."""
        since = since if since is not None else self.settings.initial
        if since is None:
            return {}
        return {
            self.settings.parameter: self.settings.template.replace("{since}", self.text(self._back(since)))
        }

    def values(self, records: Iterable[Any]) -> list[Value]:
        """Return the values of records that have one; what cannot be read is left to the checks of the row."""
        found = []
        for record in records:
            text = lookup(record, self.column.source_name)
            try:
                found.append(self.value(text))
            except (ValueError, TypeError):
                continue
        return found

    def value(self, text: Any) -> Value:
        """Return a value as one that compares; ValueError or TypeError for what is none."""
        if self.column.type == "integer":
            return int(text)
        moment = (
            datetime.strptime(text, self.column.format)
            if self.column.format
            else datetime.fromisoformat(text)
        )
        if self.column.type == "date":
            return moment.date()
        return moment.astimezone(UTC) if moment.tzinfo else moment

    def _back(self, since: str) -> Value:
        try:
            value = self.value(since)
        except (ValueError, TypeError):
            raise SourceFailed(
                f"{since!r} is no {self.column.type} to go on from: correct incremental.initial."
            ) from None
        match value:
            case datetime():
                return value - timedelta(seconds=self.settings.overlap)
            case date():
                return value - timedelta(days=self.settings.overlap)
        return value - self.settings.overlap

    def text(self, value: Value) -> str:
        """Return the value as the column's text; a timestamp with a zone stands in UTC."""
        if isinstance(value, int):
            return str(value)
        if self.column.format:
            return value.strftime(self.column.format)
        return value.isoformat().replace("+00:00", "Z")


class Reach:
    """How far one fetch has come, and from where the next one may go on."""

    def __init__(self, growth: Growth, since: str | None) -> None:
        """Begin at the value that was committed last (None: never)."""
        self.growth, self.since = growth, since
        self._newest = None if since is None else growth.value(since)
        self._highest: Value | None = None
        self._is_orderly = growth.settings.ascending

    def note(self, records: Iterable[Any]) -> None:
        """Take in the records of a page.

        A time to come counts as now: one record of the year 2999 must not hide all that follow it.
        """
        values = sorted(map(_not_later, self.growth.values(records)), key=_order)
        if not values:
            return
        if self._highest is not None and _order(values[0]) < _order(self._highest):
            self._is_orderly = False
        self._highest = max(values[-1], self._highest or values[-1], key=_order)
        self._newest = max(self._highest, self._newest or self._highest, key=_order)

    @property
    def on_the_way(self) -> Position | None:
        """Where to go on if the fetch breaks off here: where it began, unless the server sorts, as it says and does."""
        if not self.growth.settings.ascending:
            return None
        return self.at_the_end if self._is_orderly else {"since": self.since}

    @property
    def at_the_end(self) -> Position | None:
        """Where to go on when all pages are there."""
        return None if self._newest is None else {"since": self.growth.text(self._newest)}


def _order(value: Value) -> float:
    """Return a number by which values compare; a timestamp without a zone counts as UTC."""
    match value:
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        case date():
            return value.toordinal()
    return value


def _not_later(value: Value) -> Value:
    now = datetime.now(UTC)
    match value:
        case datetime():
            return min(value, now if value.tzinfo else now.replace(tzinfo=None) + _ANY_ZONE)
        case date():
            return min(value, now.date() + timedelta(days=1))
    return value
