"""Who asks, and what they may read: tokens by name, or JSON web tokens of an identity provider. What is not allowed is denied."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from lake.errors import InputError
from lake.feature_settings import OidcSettings, ServingSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Of signatures that are believed, whatever a token says of itself: only those with a public key, never `none` or HS256."""
LEEWAY_S = 30
SHORTEST_TOKEN = 20
METRICS = "metrics"
"""What a role names beside feature services to read /metrics."""


class Denied(Exception):
    """A request that is refused: the status that is answered, and the reason, which only the audit log gets."""

    def __init__(self, status: int, reason: str, caller: str = "") -> None:
        """Note all three."""
        super().__init__(reason)
        self.status, self.reason, self.caller = status, reason, caller


@dataclass(frozen=True)
class Caller:
    """Somebody who proved who they are."""

    name: str
    allowed: frozenset[str]
    """Feature services, and `METRICS`."""

    def check(self, wanted: str) -> None:
        """Raise `Denied` unless a role of theirs names it; what does not exist is answered as what is forbidden."""
        if wanted not in self.allowed:
            raise Denied(403, f"may not read {wanted[:100]!r}", self.name)


class Access:
    """The gatekeeper, made once of the settings."""

    def __init__(self, settings: ServingSettings) -> None:
        """Read the tokens. Raises `InputError` for one that is short, for a role that is not defined, and if nobody may ask."""
        self._roles = settings.roles
        self._callers: list[tuple[bytes, Caller]] = []
        for known in settings.tokens:
            if unknown := sorted(set(known.roles) - settings.roles.keys()):
                raise InputError(
                    f"company.yaml, serving: token {known.name!r} has the role {unknown[0]!r}, which is not defined."
                )
            token = known.token.reveal()
            if len(token) < SHORTEST_TOKEN:
                raise InputError(
                    f"company.yaml, serving: the token of {known.name!r} has fewer than {SHORTEST_TOKEN} characters: make one "
                    "with `openssl rand -hex 32`."
                )
            self._callers.append((_digest(token), Caller(known.name, self._allowed(known.roles))))
        self._oidc = settings.oidc
        self._key = _key_finder(settings.oidc) if settings.oidc else None
        if not self._callers and not self._oidc:
            raise InputError(
                "company.yaml, serving: there are neither tokens nor oidc, so nobody may ask: name who may."
            )

    def caller(self, authorization: str | None) -> Caller:
        """Return who sent this header; raise `Denied` (401) for nobody."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Denied(401, "no bearer token")
        digest, found = _digest(token), None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        if found:
            return found
        if self._oidc is None or token.count(".") != 2:
            raise Denied(401, "unknown token")
        return self._from_jwt(self._oidc, token)

    def _from_jwt(self, oidc: OidcSettings, token: str) -> Caller:
        assert self._key is not None
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=list(ALGORITHMS),
                audience=oidc.audience,
                issuer=oidc.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, KeyError) as error:
            raise Denied(401, f"token not accepted: {error}"[:300]) from None
        roles: Any = claims
        for part in oidc.roles_claim.split("."):
            roles = roles.get(part, []) if isinstance(roles, dict) else []
        named = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
        return Caller(f"{claims['sub']}"[:80], self._allowed(named))

    def _allowed(self, roles: list[str]) -> frozenset[str]:
        return frozenset(name for role in roles for name in self._roles.get(role, []))


class RateLimit:
    """A bucket of requests for each caller: filled by the second, twice a second's worth at most."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the rate."""
        self._rate, self._clock = per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Raise `Denied` (429) when the caller's bucket is empty."""
        now = self._clock()
        level, then = self._buckets.get(caller, (2 * self._rate, now))
        level = min(2 * self._rate, level + (now - then) * self._rate)
        if level < 1:
            self._buckets[caller] = level, now
            raise Denied(429, "too many requests", caller)
        self._buckets[caller] = level - 1, now
        if len(self._buckets) > 10_000:  # addresses of strangers: those that are full again need no bucket
            full = [name for name, (_, at) in self._buckets.items() if now - at > 2]
            for name in full:
                del self._buckets[name]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _key_finder(oidc: OidcSettings) -> Callable[[str], Any]:
    """Return what finds the public key of a token; keys at a URL are kept for five minutes."""
    if oidc.jwks.startswith(("https://", "http://")):
        client = jwt.PyJWKClient(oidc.jwks, cache_keys=True, lifespan=300, timeout=5)
        return lambda token: client.get_signing_key_from_jwt(token).key
    try:
        keys = jwt.PyJWKSet.from_json(Path(oidc.jwks).read_text(encoding="utf-8"))
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise InputError(
            f"company.yaml, serving: the keys in {oidc.jwks} cannot be read ({error})."
        ) from error
    return lambda token: keys[jwt.get_unverified_header(token)["kid"]].key
