"""Finds the dialect of delimited text by trying: the one whose records agree in width and whose fields look like data.

Every candidate splits a bounded sample; its score is the share of records of one width, times how much their fields
look like numbers, dates, words. The idea of weighing consistency with types is that of van den Burg, Nazabal and
Sutton, "Wrangling messy CSV files by detecting row and type patterns" (2019). Contracts do not guess: see `files.py`.
"""

import re
from collections import Counter
from itertools import product

from lake.sources.kinds import kind
from lake.sources.splitting import FileDialect, Record, records

SAMPLE_LINES = 200
SAMPLE_CHARACTERS = 60_000
USUAL = (",", ";", "\t", "|", " ")
UNUSUAL = ("~", "^", ":", "#", "&", "*", "!", "\x01", "\x1e", "\x1f", "¦", "§")
GOOD_ENOUGH = 0.5
"""A usual delimiter with this score keeps the unusual ones from being tried."""

CLEARLY = 0.003
"""By so much a later candidate has to be better; of equals the more usual one is taken."""

_WORTH = {"text": 0.6, "word": 0.9, "code": 0.95, "empty": 0.9}
_JUNK = re.compile(r"""^["'`][^"'`]*$|^[^"'`]*["]$|[;\t|]|^["'].*["']$|[^\W\d],[^\W\d]""")


def detect_newline(text: str) -> str:
    """Return what ends a line: LF (also for CRLF and for mixtures of both) or CR."""
    return "\r" if "\r" in text and "\n" not in text else "\n"


def lines_of(text: str, newline: str) -> list[str]:
    """Split text into its physical lines, without line ends; a last empty line is none."""
    lines = text.split(newline)
    if newline == "\n" and "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def detect_dialect(text: str) -> FileDialect:
    """Return the most plausible dialect of a text (its beginning is enough)."""
    newline = detect_newline(text)
    sample = lines_of(text[:SAMPLE_CHARACTERS], newline)
    if len(text) > SAMPLE_CHARACTERS and len(sample) > 1:
        sample.pop()
    sample = [line for line in sample if line.strip()][:SAMPLE_LINES]
    if not sample:
        return FileDialect(",", newline=newline)
    best = _best(sample, USUAL, newline)
    if best[0] < GOOD_ENOUGH:
        best = max(best, _best(sample, UNUSUAL, newline), key=lambda found: found[0])
    score, dialect = best
    alone = _score(sample, FileDialect("", newline=newline))
    if score <= alone:
        return FileDialect("", newline=newline)
    return dialect


def _best(sample: list[str], delimiters: tuple[str, ...], newline: str) -> tuple[float, FileDialect]:
    """Return (score, dialect) of the best candidate; of equals the first."""
    text = "\n".join(sample)
    if re.search(r"\d:\d", text):
        delimiters = tuple(one for one in delimiters if one != ":")
    found = (0.0, FileDialect("", newline=newline))
    for delimiter in [wide for one in delimiters if one in text for wide in _wide(text, one)]:
        for quote, escape in product(_quotes(text, delimiter), ('"', "", "\\")):
            if not _may_escape(text, quote, escape, delimiter):
                continue
            dialect = FileDialect(delimiter, quote, escape, newline)
            score = _score(sample, dialect)
            if score > found[0] + CLEARLY:
                found = score, dialect
    return found


def _quotes(text: str, delimiter: str) -> list[str]:
    """Return the quote characters worth trying: those that both open and close fields; the double quote first."""
    found = ['"']
    for quote in ("'", "`"):
        edge = re.escape(delimiter)
        opens = len(re.findall(f"(?:^|{edge} ?){quote}(?! )", text, re.MULTILINE))
        closes = len(re.findall(f"{quote}(?:$|{edge})", text, re.MULTILINE))
        if opens and closes and min(opens, closes) > 0.2 * max(opens, closes):
            found.append(quote)
    return found


def _may_escape(text: str, quote: str, escape: str, delimiter: str) -> bool:
    """Whether the text gives reason to try an escape character."""
    if not escape:
        return True
    if escape == '"':
        runs = re.findall('"+', text)
        return quote == "'" and bool(runs) and all(len(run) % 2 == 0 for run in runs)
    return escape + quote in text or escape + delimiter in text


def width_of(found: list[Record]) -> int:
    """Return how many columns the (first) table has: the first row's width if enough others share it, else the mode."""
    widths = Counter(record.width for record in found if record.is_whole)
    if not widths:
        return 1
    for record in found[:6]:
        count = widths[record.width]
        if record.is_whole and record.width > 1 and count >= 2 and count >= 0.12 * len(found):
            return record.width
    return max(widths, key=lambda width: (widths[width], width))


def _score(sample: list[str], dialect: FileDialect) -> float:
    """Return how well a dialect explains the sample, 0 to 1."""
    found = list(records(sample, dialect))
    width = width_of(found)
    fitting = [record for record in found if record.width == width and record.is_whole]
    soft = sum(record.fit == "soft" for record in fitting)
    consistency = (len(fitting) - 0.2 * soft) / len(found)
    if width == 1:
        return 0.15 * consistency * _worth(fitting) if dialect.delimiter == "" else 0.0
    if len(found) == 1:
        consistency *= 0.5
    spread = 1 - 1 / (2 * width)
    usual = 0.9 if dialect.delimiter == " " else 1.0
    return (0.15 + 0.85 * consistency) * _worth(fitting) * spread * usual


def _worth(found: list[Record]) -> float:
    """Return how much fields look like data rather than like pieces of it, 0 to 1."""
    total = count = 0.0
    for record in found[:80]:
        for value, is_quoted in zip(record.fields, record.quoted, strict=True):
            if is_quoted:
                total += 1
            elif _JUNK.search(value) or value[:1] == " ":
                total += 0.1
            else:
                total += _WORTH.get(kind(value), 1.0)
            count += 1
    return total / count if count else 0.0


def _wide(text: str, delimiter: str) -> list[str]:
    """Return what is worth trying for a delimiter: itself, doubled ('||'), followed by a space (', ')."""
    found = [delimiter]
    count = text.count(delimiter)
    if delimiter.strip() and text.count(delimiter * 2) * 2 > 0.98 * count:
        found = [delimiter * 2]
    if delimiter.strip() and text.count(delimiter + " ") > 0.6 * count:
        found.append(delimiter + " ")
    return found
