"""What one column of a sample seems to be: type, format, range, allowed values, unit, whether it is personal.

Every guess carries its evidence in words, for the person who edits the proposal. What a type is, is asked of the same
function that casts at loading (`conforming.cast_text`), so that what is proposed reads what was seen.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import floor, log10

import polars as pl

from lake.contracts.model import Column
from lake.sources.conforming import cast_text, compile_format, matches
from lake.sources.kinds import NULL_WORDS, kind

NEARLY_ALL = 0.99
"""Share of values that have to fit a type for it to be proposed; the others are named."""
MAX_LIMIT = 1e14
"""A column with larger numbers gets no range: they are no quantities."""
SOME = 0.3
"""Share of values that look like a type from which on that is said of a column of text."""
_BOOLEANS = ("true/false", "True/False", "TRUE/FALSE", "yes/no", "Yes/No", "YES/NO", "Y/N", "y/n", "T/F", "t/f", "J/N", "Ja/Nein", "ja/nein", "Oui/Non", "oui/non", "X/-")  # fmt: skip
_DAYS = [
    "%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%Y{0}%m{0}%d", "%d{0}%b{0}%Y", "%d{0}%b{0}%y",
]  # fmt: skip
_DATES = [day.format(sign) for sign, day in product(("/", ".", "-", " "), _DAYS)] + [
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
]
_TIMES = (" %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")
_UNITS = {
    "kg": "kg", "kgs": "kg", "kilograms": "kg", "kilogram": "kg", "grams": "g", "lb": "lb", "lbs": "lb", "tons": "t",
    "tonnes": "t", "usd": "USD", "eur": "EUR", "gbp": "GBP", "days": "days", "hours": "hours", "hrs": "hours",
    "minutes": "minutes", "weeks": "weeks", "months": "months", "pct": "percent", "percent": "percent", "percentage": "percent",
    "km": "km", "miles": "miles", "m3": "m3", "cbm": "m3", "litres": "l", "liters": "l", "cm": "cm", "mm": "mm",
    "qty": "units", "quantity": "units", "units": "units", "pieces": "units", "pcs": "units", "celsius": "C",
}  # fmt: skip
_PERSONAL = re.compile(
    r"\b(e ?mail|phone|telephone|mobile|fax|street|address|birth ?(day|date)|date of birth|dob|ssn|iban|passport|"
    r"(first|last|middle|given|family|sur|full) ?name|(customer|contact|person|employee|driver|recipient|buyer) name|"
    r"contact|ip)\b"
)
_IDENTIFIER = re.compile(
    r"\b(id|code|sku|ean|gtin|upc|zip|postcode|plz|number|no|nr|nbr|key|ref|reference|barcode)$|#$"
)


@dataclass(frozen=True)
class Guess:
    """A column as proposed, and why."""

    column: Column
    comments: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    distinct: int = 0
    is_identifier: bool = False
    ambiguous_with: str | None = field(default=None)
    """A second date format that fits every value as well."""


@dataclass(frozen=True)
class Numbers:
    """How a file writes numbers."""

    decimal: str = "."
    thousands: str = ""

    def plain(self, text: pl.Series) -> pl.Series:
        """Return numbers so written with a decimal point and nothing else; other text as it is."""
        if self == Numbers():
            return text
        point, group = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if group else r"\d+"
        is_number = matches(text, rf"[+-]?{whole}(?:{point}\d*)?")
        written = text.str.replace_all(self.thousands, "", literal=True) if group else text
        return written.str.replace(self.decimal, ".", literal=True).zip_with(is_number, text)


CONVENTIONS = (
    Numbers(),
    Numbers(",", "."),
    Numbers(".", ","),
    Numbers(",", " "),
    Numbers(",", "\u00a0"),
    Numbers(".", "'"),
)


def share(flags: pl.Series) -> float:
    """Return the share of true values, 0 to 1; 0 of nothing."""
    return int(flags.sum()) / len(flags) if len(flags) else 0.0


def words_of(header: str) -> str:
    """Return a header as words in lower case: 'UnitPrice (USD)' is 'unit price usd'."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", header)
    return " ".join(re.findall(r"[a-z0-9#]+", split.lower()))


def guess(name: str, header: str, text: pl.Series, numbers: Numbers, given: str | None = None) -> Guess:
    """Return what a column of text seems to be; `given` is the type that the file's format itself has for it."""
    words = words_of(header)
    is_identifier = bool(_IDENTIFIER.search(words))
    filled = text.drop_nulls()
    column = Column(name, header, "string", required=bool(len(text)) and not text.null_count())
    base = Guess(column, distinct=filled.n_unique(), is_identifier=is_identifier)
    if not len(filled):
        return replace(base, comments=("empty in every row looked at",))
    personal = _personal(words, filled)
    if personal:
        return replace(base, column=replace(column, pii="personal", pii_action="hash"), comments=(personal,))
    found = _typed(base, filled, words, numbers, given)
    if found.column.type in ("integer", "number"):
        found = _with_range(found, numbers.plain(filled))
        unit = next((_UNITS[word] for word in reversed(words.split()) if word in _UNITS), None)
        found = replace(found, column=replace(found.column, unit=unit))
    elif found.column.type == "string":
        found = _with_allowed(found, filled)
    return found


def _personal(words: str, filled: pl.Series) -> str | None:
    match = _PERSONAL.search(words)
    if match:
        return (
            f"looks personal: the header says {match[0]!r}; hash keeps equal values equal, drop keeps nothing"
        )
    values = filled.unique(maintain_order=True)[:200].to_list()
    mails = sum(kind(value) == "email" for value in values)
    if mails > 0.5 * len(values):
        return "looks personal: most values are e-mail addresses; hash keeps equal values equal, drop keeps nothing"
    return None


def _typed(base: Guess, filled: pl.Series, words: str, numbers: Numbers, given: str | None) -> Guess:
    """Return the guess with the first type that nearly all values have."""
    nulls = tuple(sorted({value for value in filled.unique() if value.strip().lower() in NULL_WORDS}))
    values = filled.filter(~filled.is_in(list(nulls))) if nulls else filled
    if not len(values):
        return base
    for column, note, ambiguous in _candidates(base, values, words, numbers, given):
        plain = numbers.plain(values) if column.type in ("integer", "number") else values
        cast, has_form, _ = cast_text(plain, column)
        fits = cast.is_not_null() & has_form
        if share(fits) < NEARLY_ALL:
            continue
        comments = [note] if note else []
        taken = replace(column, required=False) if nulls else column
        if not fits.all():
            odd = values.filter(~fits)
            comments.append(
                f"{len(odd)} of {len(values)} values are not so and would be quarantined, e.g. {odd[0]!r}"
            )
        if nulls:
            comments.append(f"{', '.join(map(repr, nulls))} taken for empty")
        return replace(base, column=taken, comments=tuple(comments), nulls=nulls, ambiguous_with=ambiguous)
    kinds = values[:2000].map_elements(kind, return_dtype=pl.String)
    typed = [(name, share(kinds == name)) for name in ("number", "date", "money", "percent", "timestamp")]
    name, part = max(typed, key=lambda entry: entry[1])
    is_code = (
        name == "money" and share(matches(values, r"[A-Z]{3}-\d+")) > 1 - SOME
    )  # ITM-0001 owes nobody anything
    if part < SOME or base.is_identifier or is_code:
        return base
    return replace(base, comments=(f"{part:.0%} of the values look like {name}; text keeps them all",))


def _candidates(
    base: Guess, values: pl.Series, words: str, numbers: Numbers, given: str | None
) -> Iterator[tuple[Column, str, str | None]]:
    """Yield columns worth trying, with a note and a second format that would do as well."""
    column, distinct = base.column, values.unique()
    if given == "number":
        yield replace(column, type="number", precision=18, scale=_scale(values)), "", None
    elif given == "integer":
        yield replace(column, type="integer"), "", None
    if len(distinct) == 2 or given == "boolean":
        for words_pair in _BOOLEANS:
            if set(distinct) <= set(words_pair.split("/")):
                yield replace(column, type="boolean", format=words_pair), "", None
        if set(distinct) == {"0", "1"} and re.match(r"(is|has|was|can)\b|.*\bflag\b", words):
            yield replace(column, type="boolean", format="1/0"), "", None
    has_zeros = matches(values, r"0\d+").any()
    if not has_zeros and not base.is_identifier:
        yield replace(column, type="integer"), "", None
        plain = numbers.plain(values)
        scale = _scale(plain)
        whole = plain.str.extract(r"^[+-]?(\d*)").str.len_chars().max()
        digits = whole if isinstance(whole, int) else 1
        if re.search(r"price|cost|amount|value|usd|eur|gbp", words):
            scale = max(scale, 2)
        precision = min(38, max(12, digits + scale + 2))
        yield replace(column, type="number", precision=precision, scale=min(scale, precision)), "", None
    yield from _moments(column, distinct)


def _scale(values: pl.Series) -> int:
    found = values.str.extract(r"\.(\d+)$").str.len_chars().max()
    return min(found, 18) if isinstance(found, int) else 0


def _moments(column: Column, distinct: pl.Series) -> Iterator[tuple[Column, str, str | None]]:
    """Yield dates and timestamps whose format fits the first values; day first and month first are told by evidence."""
    yield replace(column, type="date"), "", None
    yield replace(column, type="timestamp"), "", None
    few = distinct[:3].to_list()
    moments = [day + time for day, time in product(_DATES, _TIMES)]
    plain: tuple[tuple[Column, list[str]], ...] = (
        (replace(column, type="date"), _DATES),
        (replace(column, type="timestamp"), moments),
    )
    for typed, formats in plain:
        columns = [replace(typed, format=one) for one in formats]
        fitting = [
            one
            for one in columns
            if all(re.fullmatch(compile_format(one.format or "")[0], text) for text in few)
        ]
        good = [one for one in fitting if share(cast_text(distinct, one)[0].is_not_null()) >= NEARLY_ALL]
        good = [one for one in good if "%Y" in (one.format or "")] or good
        for i, one in enumerate(good):
            rival = good[i + 1].format if i + 1 < len(good) else None
            words = f"AMBIGUOUS: {rival} fits every value as well; ask whoever writes the file"
            yield one, words if rival else "", rival


def _with_range(found: Guess, filled: pl.Series) -> Guess:
    """Return the guess with a range that holds what was seen and leaves room."""
    values = cast_text(filled, found.column)[0].drop_nulls().cast(pl.Float64).to_list()
    if not values:
        return found
    low, high = min(values), max(values)
    if max(-low, high) > MAX_LIMIT:
        return found
    minimum = 0.0 if low >= 0 else -_beyond(-low)
    maximum = _beyond(high) if high > 0 else 0.0
    column = replace(found.column, minimum=minimum, maximum=maximum)
    return replace(found, column=column, comments=(*found.comments, f"{low:.10g} to {high:.10g} seen"))


def _beyond(value: float) -> float:
    """Return a round number at least twice as large: 4,831 gives 10,000.

    >>> _beyond(4831), _beyond(0.3), _beyond(90)
    (10000.0, 1.0, 200.0)
    """
    power = 10.0 ** floor(log10(2 * value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= 2 * value * (1 - 1e-9)))


def _with_allowed(found: Guess, filled: pl.Series) -> Guess:
    """Return the guess with the list of values, where a few come again and again."""
    values = sorted(filled.unique().to_list())
    is_few = 2 <= len(values) <= 12 and len(filled) >= 10 * len(values)
    if (
        not is_few
        or found.is_identifier
        or max(map(len, values)) > 40
        or any(value != value.strip() for value in values)
    ):
        return found
    column = replace(found.column, allowed=tuple(values))
    return replace(found, column=column, comments=(*found.comments, f"only these in {len(filled)} rows"))
