"""A range of days that a person asks to be ingested: which deliveries are of it. Who ingests is `ingest.py`."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from lake.errors import InputError

_DATES = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})(?:[-_.]?(\d{2}))?(?!\d)")


@dataclass(frozen=True)
class Period:
    """Whole days, both ends in it; an end that is None is open."""

    first: date | None = None
    last: date | None = None

    @classmethod
    def parse(cls, since: str | None, until: str | None) -> "Period | None":
        """Return the period that two ISO dates say, None for two Nones; `InputError` says what is wrong with them."""
        if since is None and until is None:
            return None
        first, last = (None if text is None else _day(text) for text in (since, until))
        if first and last and first > last:
            raise InputError(
                f"The range begins on {first} and ends before that, on {last}: exchange the two."
            )
        return cls(first, last)

    def holds(self, name: str) -> bool:
        """Whether a file's name says a day, or a month, that has a day in the period; without a date it is in none.

        >>> Period(date(2026, 1, 31), date(2026, 2, 3)).holds("erp/sales_2026-02.csv")
        True
        >>> Period(date(2026, 1, 31), date(2026, 2, 3)).holds("item.csv")
        False
        """
        for found in _DATES.finditer(name):
            year, month, day = int(found[1]), int(found[2]), int(found[3] or 0)
            if not 1 <= month <= 12 or day > (days := monthrange(year, month)[1] if year else 0):
                continue
            begins, ends = date(year, month, day or 1), date(year, month, day or days)
            return (self.last is None or begins <= self.last) and (self.first is None or ends >= self.first)
        return False

    def __str__(self) -> str:
        """Return the period in words."""
        return f"{self.first or 'the beginning'} to {self.last or 'today'}"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no day: write it as YYYY-MM-DD.") from error
