"""Who asks: credentials put on a request at the last moment, so that no URL or header that is kept holds them."""

import time
from collections.abc import Generator
from typing import Any

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from lake.errors import SourceFailed
from lake.sources.apis.bodies import TryAgain
from lake.sources.apis.settings import ApiKey, Auth, Basic, Bearer, OAuth2

_EARLY_S = 30
"""A token is renewed so long before it ends: it has to last for the way."""


def authentication(auth: Auth | None, **transport: Any) -> httpx.Auth | None:
    """Return what puts the credentials on each request; `transport` are options of the client that fetches tokens.

    Raises `InputError` for a reference to a secret that is not there.
    """
    match auth:
        case None:
            return None
        case ApiKey():
            return _Key(auth)
        case Basic():
            return httpx.BasicAuth(auth.user.reveal(), auth.password.reveal())
        case Bearer():
            return _Header("Authorization", f"Bearer {auth.token.reveal()}")
        case OAuth2():
            return _ClientCredentials(auth, transport)


def secrets(auth: Auth | None) -> list[str]:
    """Return what must stand in no message."""
    match auth:
        case ApiKey():
            return [auth.secret.reveal()]
        case Basic():
            return [auth.password.reveal()]
        case Bearer():
            return [auth.token.reveal()]
        case OAuth2():
            return [auth.client_secret.reveal()]
    return []


class _Header(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self.name] = self.value
        yield request


class _Key(httpx.Auth):
    def __init__(self, auth: ApiKey) -> None:
        self.auth = auth
        self.value = auth.secret.reveal()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.auth.header:
            request.headers[self.auth.header] = self.value
        else:
            request.url = request.url.copy_set_param(str(self.auth.parameter), self.value)
        yield request


class _ClientCredentials(httpx.Auth):
    """A token in memory: fetched when first needed, renewed before it ends, and once when it is refused."""

    def __init__(self, auth: OAuth2, transport: dict[str, Any]) -> None:
        self.auth = auth
        self.client = OAuth2Client(
            auth.client_id.reveal(),
            auth.client_secret.reveal(),
            scope=auth.scope,
            token_endpoint_auth_method=f"client_secret_{'basic' if auth.credentials_in == 'header' else 'post'}",
            **transport,
        )
        self.token, self.ends_at = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() >= self.ends_at:
            self._fetch()
        request.headers["Authorization"] = f"Bearer {self.token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._fetch()
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request

    def _fetch(self) -> None:
        where = httpx.URL(self.auth.token_url).host
        try:
            found = self.client.fetch_token(
                self.auth.token_url, grant_type="client_credentials", **self.auth.parameters
            )
            self.token = str(found["access_token"])
            lasts_s = float(found.get("expires_in") or 300)
        except OAuthError as error:
            # The description may repeat what was sent; the code is one of RFC 6749's words.
            raise SourceFailed(
                f"got no token from {where} ({str(error.error)[:60]!r}): correct client_id, client_secret or scope"
            ) from None
        except httpx.HTTPStatusError as error:
            raise TryAgain(f"got no token from {where} (status {error.response.status_code})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise TryAgain(f"got an answer without a token from {where}") from error
        self.ends_at = time.monotonic() + max(1.0, lasts_s - min(_EARLY_S, lasts_s / 2))
