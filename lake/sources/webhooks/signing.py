"""Who may send: a signature over the raw body, the time at which it was made, and the delivery's id.

Nothing of the body is believed, not even looked at, before its signature has been checked.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_ID = re.compile(r"[!-~]{1,200}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class Refusal(Exception):
    """A delivery that is not taken: the status that is answered, and the reason, which only the log gets."""

    def __init__(self, status: int, reason: str) -> None:
        """Note both."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Scheme:
    """How senders sign, always with HMAC-SHA256."""

    signature_header: str
    prefix: str = ""
    """What stands before the signature in its header, such as `sha256=`."""
    encoding: Literal["hex", "base64"] = "hex"
    signed: Literal["body", "timestamp.body", "id.timestamp.body"] = "body"
    timestamp_header: str | None = None
    """Unix seconds. Checked where it is, proven only where it is signed."""
    id_header: str | None = None
    id_path: str | None = None
    """Where the payload holds the id, if no header does; then it is signed too."""
    separator: str | None = None
    """Between several signatures in the header."""
    timestamp_field: str | None = None
    """The timestamp stands in the signature's header, as `t=...`."""
    secret_prefix: str | None = None
    """What the secret begins with; the rest of it is base64."""

    @property
    def is_timed(self) -> bool:
        """Whether the signature proves when it was made."""
        return "timestamp" in self.signed

    @property
    def proves_id(self) -> bool:
        """Whether the signature covers the id."""
        return self.id_path is not None or self.signed.startswith("id")


SCHEMES = {
    "standard": Scheme(
        "webhook-signature", prefix="v1,", encoding="base64", signed="id.timestamp.body", separator=" ",
        timestamp_header="webhook-timestamp", id_header="webhook-id", secret_prefix="whsec_",
    ),
    "stripe": Scheme(
        "stripe-signature", prefix="v1=", signed="timestamp.body", separator=",", timestamp_field="t=", id_path="id",
    ),
    "github": Scheme("x-hub-signature-256", prefix="sha256=", id_header="x-github-delivery"),
}  # fmt: skip
"""`standard` is the Standard Webhooks specification. `github` proves no time: there only the id keeps replays out."""


@dataclass(frozen=True)
class Signed:
    """What the headers of a delivery say, proven."""

    delivery_id: str | None
    """None: it stands in the payload."""
    proof: bytes | None
    """Digest of what was signed, where another id under the same signature would be a replay."""


def key(secret: str, scheme: Scheme) -> bytes:
    """Return the bytes of a secret; ValueError when it is not written as the scheme has it."""
    if scheme.secret_prefix is None:
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(scheme.secret_prefix), validate=True)
    except binascii.Error:
        raise ValueError(f"a secret of this scheme is {scheme.secret_prefix} and base64") from None


def verify(
    scheme: Scheme,
    keys: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance_s: float,
) -> Signed:
    """Return the delivery's id as its headers prove it; `Refusal` with status 400 or 401 for what does not hold.

    `headers` have lower-case names; `now` is Unix time.
    """
    header = headers.get(scheme.signature_header.lower())
    if not header:
        raise Refusal(401, f"no header {scheme.signature_header}")
    timestamp = _timestamp(scheme, header, headers)
    delivery_id = _delivery_id(scheme, headers)
    parts = {"body": body, "timestamp": (timestamp or "").encode(), "id": (delivery_id or "").encode()}
    message = b".".join(parts[name] for name in scheme.signed.split("."))
    if not _is_signed(scheme, keys, header, message):
        raise Refusal(401, "wrong signature")
    if timestamp is not None and abs(now - int(timestamp)) > tolerance_s:
        raise Refusal(401, f"signed {now - int(timestamp):.0f} s ago")
    needs_proof = scheme.is_timed and not scheme.proves_id
    return Signed(delivery_id, hashlib.sha256(message).digest() if needs_proof else None)


def checked_id(delivery_id: Any) -> str:
    """Return an id that may stand in a log and a table; `Refusal` for another."""
    text = (
        str(delivery_id) if isinstance(delivery_id, str | int) and not isinstance(delivery_id, bool) else ""
    )
    if not _ID.fullmatch(text):
        raise Refusal(400, "no delivery id of 1 to 200 visible ASCII characters")
    return text


def _is_signed(scheme: Scheme, keys: Sequence[bytes], header: str, message: bytes) -> bool:
    """Compare every signature with every key, in constant time."""
    given = header.split(scheme.separator)[:10] if scheme.separator else [header]
    signatures = [
        one.strip().removeprefix(scheme.prefix).encode()
        for one in given
        if one.strip().startswith(scheme.prefix)
    ]
    is_good = False
    for each in keys:
        digest = hmac.new(each, message, hashlib.sha256).digest()
        expected = base64.b64encode(digest) if scheme.encoding == "base64" else digest.hex().encode()
        for signature in signatures:
            is_good |= hmac.compare_digest(signature, expected)
    return is_good


def _timestamp(scheme: Scheme, header: str, headers: Mapping[str, str]) -> str | None:
    if scheme.timestamp_field:
        fields = [one.strip() for one in header.split(scheme.separator)]
        found = next(
            (
                one.removeprefix(scheme.timestamp_field)
                for one in fields
                if one.startswith(scheme.timestamp_field)
            ),
            "",
        )
    elif scheme.timestamp_header:
        found = headers.get(scheme.timestamp_header.lower(), "").strip()
    else:
        return None
    if not _SECONDS.fullmatch(found):
        raise Refusal(401, "no timestamp in Unix seconds")
    return found


def _delivery_id(scheme: Scheme, headers: Mapping[str, str]) -> str | None:
    return checked_id(headers.get(scheme.id_header.lower())) if scheme.id_header else None
