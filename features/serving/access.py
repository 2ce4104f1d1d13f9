"""Who asks, and what they may read: tokens by name, or JSON web tokens of an identity provider. What is not allowed is denied."""

import hashlib
import hmac
import math
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
REFRESH_S, RETRY_S, FETCH_S, KEPT_S = 300, 30, 5, 3600
"""How often a provider's keys are fetched, how often again when one is missing, how long that may take, how long old ones do."""
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
        self.keys = Keys(settings.oidc.jwks) if settings.oidc else None
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
        assert self.keys is not None
        try:
            claims = jwt.decode(
                token,
                self.keys.of(token),
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


class Keys:
    """An identity provider's public keys, by their ids: fetched beside the requests, never while one of them waits.

    What the provider no longer shows is no longer believed from the next `refresh` on. While it does not answer, what stood
    is believed for `KEPT_S` more.
    """

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember a URL, or a file, which is read at once: raises `InputError` when that cannot be read."""
        self._where, self._clock = where, clock
        self._found: dict[str, Any] = {}
        self._fetched = self._tried = -math.inf
        self._is_asked_for_more = False
        if not self._is_remote:
            self.refresh()

    def of(self, token: str) -> Any:
        """Return the key that the token says it was signed with; raise KeyError when there is none."""
        name = str(jwt.get_unverified_header(token).get("kid"))
        if name not in self._found:
            self._is_asked_for_more = True
            raise KeyError(f"no key {name[:80]!r}")
        return self._found[name]

    def refresh(self) -> None:
        """Fetch the keys if they are due: every `REFRESH_S`, and for an unknown one every `RETRY_S` at most.

        Raises `InputError` when they cannot be had.
        """
        now = self._clock()
        waits = RETRY_S if self._is_asked_for_more or self._tried > self._fetched else REFRESH_S
        if now - self._tried < waits:
            return
        self._tried, self._is_asked_for_more = now, False
        try:
            self._found = {key.key_id: key.key for key in self._fetch() if key.key_id}
        except (OSError, ValueError, jwt.PyJWTError) as error:
            if now - self._fetched > KEPT_S:
                self._found = {}
            raise InputError(
                f"company.yaml, serving: the keys at {self._where} cannot be read ({error})."
            ) from error
        self._fetched = now

    @property
    def _is_remote(self) -> bool:
        return self._where.startswith(("https://", "http://"))

    def _fetch(self) -> list[jwt.PyJWK]:
        if self._is_remote:
            return jwt.PyJWKClient(self._where, cache_jwk_set=False, timeout=FETCH_S).get_signing_keys()
        return jwt.PyJWKSet.from_json(Path(self._where).read_text(encoding="utf-8")).keys


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
