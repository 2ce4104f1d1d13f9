"""A batch of messages as lines of JSON: the payload's own fields, and the envelope that the broker gave them.

    {"_sequence":17,"_subject":"till.7.sale","_broker_time":"2026-03-01T08:00:00.123456Z","_message_id":"e-17", ...payload}

The payload's text is kept as it came (numbers keep their digits), only line ends between its fields become blanks. A
message that is no JSON object, is too large or uses a name of the envelope becomes a line that no reader takes for data:
the envelope, what is wrong, and the payload as text; it goes to quarantine whole, with its sequence.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from lake.sources.streams.broker import Message
from lake.sources.streams.settings import ENVELOPE

MAXIMUM_KEPT_BYTES = 8 << 20
"""Of a message that is no event; NATS allows 64 MiB, but advises against more than 8."""
_RESERVED = frozenset(ENVELOPE)


def write_batch(
    path: Path, messages: Iterable[Message], *, message_bytes: int, field: str | None
) -> list[str | None]:
    """Write one line per message and return the text that each has in `field` (dots lead into objects).

    The text is None where the message is no event or has no text there.
    """
    texts: list[str | None] = []
    with path.open("wb") as file:
        for message in messages:
            line, event = as_line(message, message_bytes)
            file.write(line)
            text = _find(event, field) if event and field else None
            texts.append(text if isinstance(text, str) else None)
    return texts


def as_line(message: Message, message_bytes: int) -> tuple[bytes, dict[str, Any] | None]:
    """Return a message's line with its line end, and the event it holds; None if it holds none."""
    envelope = orjson.dumps(
        {
            "_sequence": message.sequence,
            "_subject": message.subject,
            "_broker_time": message.broker_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "_message_id": message.message_id,
        }
    )
    event, problem = _event(message.payload, message_bytes)
    if event is None:
        kept = message.payload[:MAXIMUM_KEPT_BYTES].decode("utf-8", "backslashreplace")
        payload = json.dumps(kept).encode()
        return envelope + b" " + problem.encode() + b": " + payload + b"\n", None
    text = message.payload.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    joined = envelope[:-1] + (b"," if event else b"") + text[1:]
    return joined + b"\n", event


def _event(payload: bytes, message_bytes: int) -> tuple[dict[str, Any] | None, str]:
    """Return the object that a payload is, or None and what is wrong with it."""
    if len(payload) > message_bytes:
        return None, f"has {len(payload)} bytes, more than message_bytes {message_bytes}"
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return None, f"is not JSON ({error})"
    if not isinstance(event, dict):
        return None, f"is a JSON {type(event).__name__}, not an object"
    if taken := sorted(_RESERVED & event.keys()):
        return None, f"uses {taken[0]}, a name of the envelope"
    return event, ""


def _find(event: dict[str, Any], field: str) -> Any:
    if field in event:
        return event[field]
    found: Any = event
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
