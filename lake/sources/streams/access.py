"""How a connection to NATS gets in: user, token, nkey or credentials file, TLS; and what is said when it does not.

nats-py signs with the package `nkeys`; the same Ed25519 signature comes from `cryptography`, which is here anyway.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nats.aio.client import Client

from lake.errors import InputError
from lake.sources.streams.settings import NatsSettings

_USER_PREFIX = 20 << 3
_SECTION = re.compile(r"-+BEGIN ([A-Z ]+)-+\s*(\S+)\s*-+END")
_SEED_BYTES = 36
"""Two of prefix, 32 of the key, two of checksum."""


def addresses(settings: NatsSettings) -> list[str]:
    """Return the servers' URLs, secrets filled in."""
    written = [server.reveal() for server in settings.servers]
    return [url if "://" in url else f"nats://{url}" for url in written]


def place(url: str) -> str:
    """Return host and port of a URL: what may be shown of it."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 4222}"


def options(settings: NatsSettings, client: Client) -> dict[str, Any]:
    """Return what `connect` takes to get in; raises `InputError` for a secret or file that cannot be used."""
    found: dict[str, Any] = {}
    if settings.user is not None and settings.password is not None:
        found |= {"user": settings.user, "password": settings.password.reveal()}
    elif settings.token is not None:
        found["token"] = settings.token.reveal()
    elif settings.nkey_seed is not None:
        _sign_with(client, settings.nkey_seed.reveal(), None, found)
    elif settings.credentials_file is not None:
        _sign_with(client, *_credentials(settings), found)
    if settings.tls_ca_file or settings.tls_certificate_file:
        found["tls"] = _tls(settings)
    return found


def _sign_with(client: Client, seed: str, jwt: str | None, found: dict[str, Any]) -> None:
    public, sign = _signer(seed)
    # nats-py only sets these two when it signs by itself; a test holds that they are still what it reads.
    client._auth_configured = True
    client._public_nkey = public
    found["signature_cb"] = sign
    if jwt is not None:
        found["user_jwt_cb"] = lambda: bytearray(jwt.encode())


def _signer(seed: str) -> tuple[str, Callable[[str], bytes]]:
    """Return the public nkey of a seed and what signs a server's nonce with it."""
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _SEED_BYTES or binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise InputError(
            "The NATS seed is none: it begins with SU and has 58 characters; correct the secret it stands in."
        )
    key = Ed25519PrivateKey.from_private_bytes(raw[2:34])
    body = bytes([_USER_PREFIX]) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    checked = body + binascii.crc_hqx(body, 0).to_bytes(2, "little")
    public = base64.b32encode(checked).decode().rstrip("=")
    return public, lambda nonce: base64.b64encode(key.sign(nonce.encode()))


def _credentials(settings: NatsSettings) -> tuple[str, str]:
    """Return seed and JWT of a credentials file."""
    path = settings.credentials_file
    assert path is not None
    try:
        sections = dict(_SECTION.findall(path.read_text(encoding="utf-8")))
        return sections["USER NKEY SEED"], sections["NATS USER JWT"]
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise InputError(
            f"The NATS credentials file {path} cannot be used ({type(error).__name__}): mount the .creds file that"
            " `nsc generate creds` writes, or correct credentials_file."
        ) from error


def _tls(settings: NatsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
        if settings.tls_certificate_file:
            context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
    except OSError as error:
        raise InputError(
            f"The TLS files of the NATS stream {settings.stream} cannot be used ({error.strerror or error}): correct"
            " tls_ca_file, tls_certificate_file or tls_key_file."
        ) from error
    return context
