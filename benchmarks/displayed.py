"""Compares what was read from a sheet with what the sheet displays, cell by cell: strict about values, blind to format.

The expected CSV holds each cell as Excel displayed it, so "$1,234.50", "15%" or "3-Feb-07" stand for a number or a moment.
What was read is plain: 1234.5, 0.15, 2007-02-03. A cell is right if it is the same text, or differs in format only:

- number: the value read, rounded half up to the decimals shown, is the number shown, after percent (the sign, and
  parentheses around it, may be literals), exponent, fraction, thousands separators, parentheses for a minus, and the
  literals of its format; a mask of digits (000-00-0000) has the same digits; an accountant's "-" or "--" is a zero, and what rounds to zero may be hidden.
- moment: every number and name shown is a part of the moment read, each part used once: year (4 or 2 digits), month, day,
  weekday, hour (of 12 with AM or PM), minute, second, fraction; of a duration total hours, minutes or seconds.
- truth value: TRUE is true. White space at the ends of a cell, and how a line break is written, say nothing.
- "####": the column was too narrow to display the number or moment.
- A character that the expected file's code page lacks stands there as "_" or "?"; for one character that is not ASCII.
- Empty rows and columns before the first and after the last filled cell are no part of a sheet.
- Commas that stand unquoted in the expected file cut no number and no text in two.

All else is wrong: another number, date, text or truth value, a shifted cell, an empty cell for a value or the reverse.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext

_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)\Z")
_MOMENT = re.compile(
    r"(?:(\d{4})-(\d\d)-(\d\d))?[ T]?(?:(-?\d+):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?\Z"
)  # fmt: skip
_SHOWN = re.compile(r"\d[\d,]*(?:\.\d*)?(?:E[+-]?\d+)?|\.\d+(?:E[+-]?\d+)?", re.IGNORECASE)
_HIDDEN_ZERO = Decimal("0.5")
_FRACTION = re.compile(r"(-?)(?:(\d+) +)?(\d+) */ *(\d+)\Z")
_MONTHS = [date(2000, month, 1).strftime("%B").lower() for month in range(1, 13)]
_WEEKDAYS = [date(2024, 1, day).strftime("%A").lower() for day in range(1, 8)]

Row = Sequence[str]


def differences(shown: Sequence[Row], read: Sequence[Row]) -> Iterator[tuple[int, int, str, str]]:
    """Yield (row, column, shown, read) of every cell that is wrong, counted in the rows read."""
    _, _, shown = trimmed(shown)
    top, first, read = trimmed(read)
    for i in range(max(len(shown), len(read))):
        left = shown[i] if i < len(shown) else []
        right = read[i] if i < len(read) else []
        if not any(map(_differs, *_padded(left, right))):
            continue
        left = _rejoined(left, right)
        for j, (one, other) in enumerate(zip(*_padded(left, right), strict=True)):
            if _differs(one, other):
                yield top + i, first + j, one, other


def trimmed(rows: Sequence[Row]) -> tuple[int, int, list[list[str]]]:
    """Return first row, first column and the cells of the rectangle around the filled cells."""
    filled = [(i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if cell.strip()]
    if not filled:
        return 0, 0, []
    top, bottom = filled[0][0], filled[-1][0]
    left, right = min(j for _, j in filled), max(j for _, j in filled)
    return top, left, [list(row[left : right + 1]) for row in rows[top : bottom + 1]]


def same(shown: str, read: str) -> bool:
    """Whether the value read is the one shown."""
    shown, read = _normal(shown), _normal(read)
    if shown == read or _same_but_lost(shown, read):
        return True
    if read in ("true", "false"):
        return shown.lower() == read
    is_number = _NUMBER.match(read)
    moment = _MOMENT.match(read) if read and not is_number else None
    if re.fullmatch("#+", shown):
        return bool(is_number or moment)
    if is_number:
        return _same_number(shown, Decimal(read))
    return bool(moment) and (_same_moment(shown, moment) or (shown == "" and set(read) <= set("0:")))


def _differs(shown: str, read: str) -> bool:
    return not same(shown, read)


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").strip()


def _same_but_lost(shown: str, read: str) -> bool:
    """Whether the texts are the same but for characters that the expected file's code page lacks."""
    if len(shown) == len(read):
        pairs = zip(shown, read, strict=True)
        return all(a == b or (a in "_?\ufffd" and not b.isascii()) for a, b in pairs)
    wide = read.encode("utf-16-le")
    if len(shown) * 2 != len(wide):
        return False
    units = [wide[i : i + 2].decode("utf-16-le", "replace") for i in range(0, len(wide), 2)]
    return all(a == b or (a in "_?\ufffd" and not b.isascii()) for a, b in zip(shown, units, strict=True))


def _same_number(shown: str, value: Decimal) -> bool:
    if fraction := _FRACTION.match(shown):
        sign, whole, over, under = fraction.groups()
        exact = (Decimal(whole or 0) + Decimal(over) / Decimal(under)) * (-1 if sign else 1)
        return abs(exact - value) < Decimal("0.5") / Decimal(under)
    if not shown:
        return abs(value) < _HIDDEN_ZERO
    found = _SHOWN.findall(shown)
    if not found:
        return set(shown.strip("$€£ ()_")) == {"-"} and abs(value) < Decimal("0.5")
    if len(found) > 1 or "." not in shown:
        digits = re.sub(r"\D", "", shown).lstrip("0")
        if digits and digits == str(abs(value)):
            return True
    if len(found) > 1:
        return False
    return _is_rounded(shown, found[0], value)


def _is_rounded(shown: str, token: str, value: Decimal) -> bool:
    mantissa, _, exponent = token.upper().replace(",", "").partition("E")
    places = len(mantissa.partition(".")[2]) - int(exponent or 0)
    try:
        number = Decimal(mantissa).scaleb(int(exponent or 0))
    except InvalidOperation:
        return False
    before = shown[: shown.index(token)]
    is_negative = "-" in before or ("(" in before and ")" in shown)
    expected = -number if is_negative else number
    with localcontext(prec=700):
        unit = Decimal(1).scaleb(-places)
        rounded, percent = (
            (scaled / unit).quantize(Decimal(1), ROUND_HALF_UP) * unit for scaled in (value, value * 100)
        )
    if "%" not in shown:
        return rounded == expected
    return percent == expected or rounded in (expected, number)


def _same_moment(shown: str, moment: re.Match[str]) -> bool:
    parts = [int(group) if group is not None else None for group in moment.groups()[:6]]
    fraction = moment[7] or ""
    text = re.sub(r"[^\x00-\x7f]", " ", shown.lower())
    words, numbers = re.findall("[a-z]+", text), re.findall(r"\d+", text)
    is_half_day = any(word in ("am", "pm", "a", "p") for word in words)
    for year, month, day, hour, minute, second in _roundings(parts, fraction):
        if not _known_words(words, year, month, day, hour):
            continue
        if _assignable(numbers, _components(year, month, day, hour, minute, second, fraction, is_half_day)):
            return bool(numbers)
    return False


def _roundings(parts: list[int | None], fraction: str) -> Iterator[tuple[int | None, ...]]:
    """Yield the moment itself, and rounded to the second."""
    yield tuple(parts)
    hour, minute, second = parts[3:]
    if (
        fraction
        and hour is not None
        and minute is not None
        and second is not None
        and float(f".{fraction}") >= 0.4995
    ):
        total = hour * 3600 + minute * 60 + second + 1
        if total < 86_400 or parts[0] is None:
            yield (*parts[:3], total // 3600, total // 60 % 60, total % 60)
        else:
            day = date.fromordinal(date(*[int(part or 0) for part in parts[:3]]).toordinal() + 1)
            yield (day.year, day.month, day.day, 0, 0, 0)


def _known_words(
    words: list[str], year: int | None, month: int | None, day: int | None, hour: int | None
) -> bool:
    """Whether every name shown is that of the month, the weekday or the half of the day."""
    names = {"t", "z", "h", "m", "s"}
    if month:
        names |= {_MONTHS[month - 1], _MONTHS[month - 1][:3], _MONTHS[month - 1][0]}
    if year and month and day:
        weekday = _WEEKDAYS[datetime(year, month, day).weekday()]
        names |= {weekday, weekday[:3]}
    names |= {"pm", "p"} if hour is not None and hour % 24 >= 12 else {"am", "a"}
    return set(words) <= names


def _components(
    year: int | None, month: int | None, day: int | None, hour: int | None, minute: int | None, second: int | None,
    fraction: str, is_half_day: bool,
) -> list[set[str]]:  # fmt: skip
    """Return the ways to write each part of a moment."""
    ways: list[set[str]] = []
    if year is not None:
        ways.append({str(year), f"{year % 100:02d}"})
        ways += [{str(part), f"{part:02d}"} for part in (month or 0, day or 0)]
    else:
        ways += [{"1900", "00"}, {"1", "01"}, {"0", "00"}]
    hour, minute, second = hour or 0, minute or 0, second or 0
    of_twelve = (hour % 12) or 12
    shown_hour = of_twelve if is_half_day else hour
    ways.append({str(shown_hour), f"{shown_hour:02d}"})
    total_minutes = abs(hour) * 60 + minute
    total_seconds = total_minutes * 60 + second
    ways.append({str(minute), f"{minute:02d}", str(total_minutes)})
    ways.append({str(second), f"{second:02d}", str(total_seconds)})
    digits = fraction.ljust(6, "0")
    ways.append({str(round(int(digits[:6]) / 10 ** (6 - n))).zfill(n) for n in (1, 2, 3)})
    return ways


def _assignable(numbers: list[str], ways: list[set[str]]) -> bool:
    """Whether every number is a way to write a part, each part used once."""
    if not numbers:
        return True
    for i, way in enumerate(ways):
        if numbers[0] in way and _assignable(numbers[1:], ways[:i] + ways[i + 1 :]):
            return True
    return False


def _rejoined(shown: Row, read: Row) -> list[str]:
    """Join fields of a row that are one cell cut at its unquoted commas, where that makes it right."""
    found: list[str] = []
    i = 0
    while i < len(shown):
        whole, taken = shown[i], 1
        value = read[len(found)] if len(found) < len(read) else ""
        if not same(whole, value):
            for j in range(i + 1, min(i + 20, len(shown))):
                joined = ",".join(shown[i : j + 1])
                is_number = re.fullmatch(r"\W*\d{1,3}(,\d{3})+(\.\d*)?\W*", joined)
                if _normal(joined) == _normal(value) or (is_number and same(joined, value)):
                    whole, taken = joined, j + 1 - i
                    break
        found.append(whole)
        i += taken
    return found


def _padded(left: Row, right: Row) -> tuple[list[str], list[str]]:
    width = max(len(left), len(right))
    return [*left, *[""] * (width - len(left))], [*right, *[""] * (width - len(right))]
