"""What a field's text looks like: a number, a date, a word ... and its shape. The evidence of everything that guesses.

Here: judging one text, without knowing its column. Nothing here decides what is loaded: contracts do.
"""

import re
from functools import lru_cache

NULL_WORDS = frozenset({"-", "--", "n/a", "na", "nan", "nil", "null", "none", "#n/a", "?", "."})
"""Words, in lower case, that stand for nothing in many exports."""

_KINDS = [
    ("number", r"[+-]?(?:\d+|\d{1,3}(?:[ .,'\u00a0\u202f]\d{3})+)(?:[.,]\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?[.,]\d+"),
    ("money", r"(?:[$€£¥₹]|[A-Z]{3}) ?[+-]?\d[\d.,' ]*|-[$€£¥]\d[\d.,]*|[+-]?\d[\d.,']* ?(?:[$€£¥₹]|[A-Z]{3})|\([$€£]?\d[\d.,]*\)"),
    ("percent", r"[+-]?\d+(?:[.,]\d+)? ?%"),
    ("date", r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{1,2}[- /.]?[A-Za-z]{3,9}[- /.,]{0,2}\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2}, ?\d{4}"),
    ("time", r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"),
    ("timestamp", r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})[T ]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?Z| ?[+-]\d{2}:?\d{2})?"),
    ("url", r"(?:https?|ftp|s3|file)://\S+|www\.\S+\.\S+"),
    ("email", r"[^@\s,;]+@[^@\s,;]+\.[A-Za-z]{2,}"),
    ("code", r"(?=\S*\d)[A-Za-z0-9][\w./:#+-]*"),
    ("word", r"[^\W\d_][\w.&/'’()-]*"),
]  # fmt: skip
_KIND = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _KINDS))

TYPED = frozenset({"number", "money", "percent", "date", "time", "timestamp", "url", "email"})
"""Kinds that a header's words are not."""


@lru_cache(maxsize=50_000)
def kind(text: str) -> str:
    """Return the kind of a text: empty, number, money, percent, date, time, timestamp, url, email, code, word, text."""
    text = text.strip()
    if not text or text.lower() in NULL_WORDS:
        return "empty"
    if len(text) > 400:
        return "text"
    match = _KIND.fullmatch(text)
    return match.lastgroup or "text" if match else "text"


@lru_cache(maxsize=50_000)
def shape(text: str) -> str:
    """Return the text with every digit as 9 and every run of letters as a: '28/01/2018' is '99/99/9999'."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", text))


@lru_cache(maxsize=50_000)
def rough_shape(text: str) -> str:
    """Return the shape with runs of digits as one 9: 'MG-8769' is 'a-9'; of a long text, its kind and length."""
    rough = re.sub("9+", "9", shape(text))
    return rough if len(rough) <= 12 else f"{kind(text)} {len(text).bit_length()}"
