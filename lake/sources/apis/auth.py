"""Who asks: credentials put on a request at the last moment, so that no URL or header that is kept holds them."""

import base64
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from lake.errors import SourceFailed
from lake.sources.apis.bodies import TryAgain
from lake.sources.apis.settings import ApiKey, Auth, Basic, Bearer, OAuth2

_EARLY_S = 30
"""A token is renewed so long before it ends: it has to last for the way."""


class Credentials(httpx.Auth):
    """Puts credentials on a request; `hidden` are the texts that stand in no message."""

    hidden: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of connections."""


def credentials(auth: Auth | None, **transport: Any) -> Credentials:
    """Return what puts the credentials on each request; `transport` are options of the client that fetches tokens.

    Raises `InputError` for a reference to a secret that is not there.
    """
    match auth:
        case ApiKey(header=str(header)):
            return _Header(header, auth.secret.reveal())
        case ApiKey(parameter=str(parameter)):
            return _Parameter(parameter, auth.secret.reveal())
        case Basic():
            user, password = auth.user.reveal(), auth.password.reveal()
            both = base64.b64encode(f"{user}:{password}".encode()).decode()
            return _Header("Authorization", f"Basic {both}", password, both)
        case Bearer():
            token = auth.token.reveal()
            return _Header("Authorization", f"Bearer {token}", token)
        case OAuth2():
            return _ClientCredentials(auth, transport)
    return Credentials()


class _Header(Credentials):
    def __init__(self, name: str, value: str, *hidden: str) -> None:
        self.name, self.value = name, value
        self.hidden = (value, *hidden)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self.name] = self.value
        yield request


class _Parameter(Credentials):
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value
        self.hidden = (value, quote(value, safe=""))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.url = request.url.copy_set_param(self.name, self.value)
        yield request


class _ClientCredentials(Credentials):
    """A token in memory: fetched when first needed, renewed before it ends, and once when it is refused."""

    def __init__(self, auth: OAuth2, transport: dict[str, Any]) -> None:
        self.auth = auth
        secret = auth.client_secret.reveal()
        self.client = OAuth2Client(
            auth.client_id.reveal(),
            secret,
            scope=auth.scope,
            token_endpoint_auth_method=f"client_secret_{'basic' if auth.credentials_in == 'header' else 'post'}",
            **transport,
        )
        self.hidden = (secret, quote(secret, safe=""))
        self.token, self.ends_at = "", 0.0

    def close(self) -> None:
        self.client.close()

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
            self.hidden = (*self.hidden[:2], self.token)
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
