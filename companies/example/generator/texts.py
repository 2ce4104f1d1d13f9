"""Columns of texts from columns of numbers: dates, money and codes as the exports spell them."""

from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl


class Days:
    """Dates of day indices in one format; reaches from two years before the first day to one after the last."""

    _BEFORE = 750

    def __init__(self, start: date, days: int, date_format: str = "%Y-%m-%d") -> None:
        """Spell all days once; `days` is the number of simulated days."""
        dates = [start + timedelta(days=i - self._BEFORE) for i in range(days + self._BEFORE + 400)]
        self._texts = pl.Series([d.strftime(date_format) for d in dates])

    def __call__(self, days: np.ndarray | pl.Series) -> pl.Series:
        """Return the text of each day index."""
        return self._texts.gather(np.asarray(days) + self._BEFORE)


def decimals(units: np.ndarray | pl.Series, places: int) -> pl.Series:
    """Return whole numbers of 1/10^places as decimal texts, exactly: 1250, 2 -> '12.50'."""
    value = pl.Series("value", np.asarray(units), dtype=pl.Int64)
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole, rest = value.abs() // 10**places, value.abs() % 10**places
    text = sign + whole.cast(pl.String) + "." + rest.cast(pl.String).str.zfill(places)
    return pl.select(text.alias("value"))["value"]


def codes(prefix: str, numbers: np.ndarray | pl.Series, width: int) -> pl.Series:
    """Return 'SO00000012' of 12."""
    digits = pl.Series("code", np.asarray(numbers), dtype=pl.Int64).cast(pl.String).str.zfill(width)
    return prefix + digits


def clock(seconds: np.ndarray | pl.Series) -> pl.Series:
    """Return seconds of a day as 'HH:MM:SS'."""
    return _clock_texts().gather(np.asarray(seconds))


@cache
def _clock_texts() -> pl.Series:
    return pl.Series([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)])


def pick(values: list[str], index: np.ndarray | pl.Series) -> pl.Series:
    """Return the texts at these positions."""
    return pl.Series(values, dtype=pl.String).gather(np.asarray(index))
