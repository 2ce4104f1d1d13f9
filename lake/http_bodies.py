"""The body of a request, for every server of ours: no longer than allowed, and not waited for without end."""

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request


async def read_body(
    request: Request, limit_bytes: int, within_s: float, refuse: Callable[[int, str], Exception]
) -> bytes:
    """Return the whole body; raise what `refuse` makes of a status and a reason: 413 too long, 408 too slow, 400 gone."""
    pieces, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            async for piece in request.stream():
                pieces.append(piece)
                size += len(piece)
                if size > limit_bytes:
                    raise refuse(413, f"sends more than {limit_bytes} bytes")
    except TimeoutError:
        raise refuse(408, f"has not sent its body in {within_s} s") from None
    except ClientDisconnect:
        raise refuse(400, "left before its body was whole") from None
    return b"".join(pieces)
