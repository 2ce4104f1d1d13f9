"""The body of one answer: unpacked within a limit, whole or not at all, and a JSON document of the agreed form."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from lake.errors import SourceFailed

_PIECE_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"


class TryAgain(Exception):
    """The other side did not answer well, which may pass; the message ends a sentence about it."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        """Say what happened, and when the other side wants to be asked again."""
        super().__init__(what)
        self.after_s = after_s


class Gone(SourceFailed):
    """Status 410: what was kept to go on from does not exist any more."""


class Unauthorized(SourceFailed):
    """Status 401: the credentials are not, or no longer, good."""


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    body: bytes
    """As it was sent, without the packing of its way (Content-Encoding)."""
    document: Any
    headers: httpx.Headers
    url: httpx.URL
    """What answered, after redirects."""


def read_body(response: httpx.Response, limit_bytes: int, deadline: float) -> bytes:
    """Return the unpacked body.

    Raises `SourceFailed` when it is larger than the limit, `TryAgain` when it was cut off or is not whole by the
    deadline (of `time.monotonic`); httpx errors for a connection that breaks.
    """
    pieces, size = [], 0
    for piece in _unpacked(response):
        size += len(piece)
        if size > limit_bytes:
            raise SourceFailed(
                f"answered with more than {limit_bytes / 1e6:.0f} MB: ask for smaller pages, or raise limits.page_mb"
            )
        if time.monotonic() > deadline:
            raise TryAgain("sent its answer too slowly (limits.request_s)")
        pieces.append(piece)
    return b"".join(pieces)


def _unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body in pieces of bounded size: a bomb is never unpacked whole."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        yield from response.iter_raw()
        return
    if packing not in ("gzip", "x-gzip"):
        raise SourceFailed(f"packed its answer as {packing[:40]!r}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in response.iter_raw():
            rest = chunk
            while rest:
                yield unpacker.decompress(rest, _PIECE_BYTES)
                rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise TryAgain("sent a gzip body that is broken") from error
    if not unpacker.eof or unpacker.unused_data:
        raise TryAgain("sent a gzip body that is cut off or goes on after its end")


def parse(body: bytes, headers: httpx.Headers, accepted: tuple[str, ...]) -> Any:
    """Return the JSON document in a body; `TryAgain` for another type, or for what is no JSON."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in accepted and not media_type.endswith("+json"):
        raise TryAgain(f"answered with {media_type[:60]!r} instead of {', '.join(accepted)}")
    try:
        return orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        raise TryAgain("answered with a body that is no whole JSON document") from error


def lookup(value: Any, path: str) -> Any:
    """Return what stands at a dotted path in a document, None where nothing does; a key may hold dots itself."""
    if not path:
        return value
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    head, dot, tail = path.partition(".")
    return lookup(value.get(head), tail) if dot else None
