"""Which text encoding bytes are written in, when nobody says: byte order marks first, then evidence."""

import codecs
import re

from charset_normalizer import from_bytes

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_EVIDENCE_BYTES = 20_000


def detect_encoding(data: bytes, *, is_cut: bool = False) -> tuple[str, int]:
    """Return (encoding, length of its byte order mark) of bytes; `is_cut`: the last character may be incomplete."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name, len(mark)
    wide = _wide(data)
    if wide:
        return wide, 0
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, not is_cut)
    except UnicodeDecodeError:
        return _single_byte(data), 0
    return "utf-8", 0


def _wide(data: bytes) -> str | None:
    """Tell UTF-16 without a mark by its NUL bytes: every second byte of mostly Latin text."""
    even, odd = data[0:4000:2].count(0), data[1:4000:2].count(0)
    half = len(data[:4000]) // 2
    if half and odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if half and even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _single_byte(data: bytes) -> str:
    """Choose an encoding by the lines that need one: Western unless whole words are written in high bytes."""
    evidence = b"\n".join(line for line in data.splitlines() if not line.isascii())[:_EVIDENCE_BYTES]
    words = re.findall(rb"[\x80-\xff]+", evidence)
    if sum(len(word) for word in words if len(word) > 2) > 0.6 * sum(map(len, words)):
        if not re.search(rb"[\x80-\xa7\xa9-\xb7\xb9-\xbf]{2}", evidence):
            return "cp1251"
        best = from_bytes(evidence).best()
        if best is not None:
            return str(best.encoding)
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
