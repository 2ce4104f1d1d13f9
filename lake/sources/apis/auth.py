"""Who asks: credentials put on a request at the last moment, so that no URL or header that is kept holds them."""

import base64
import time
from collections.abc import Generator
from urllib.parse import quote, quote_plus

import httpx
import orjson

from lake.errors import SourceFailed
from lake.sources.apis.bodies import TryAgain, read_body
from lake.sources.apis.settings import ApiKey, Auth, Basic, Bearer, OAuth2

_TOKEN_BYTES, _TOKEN_S = 1 << 20, 60
_EARLY_S = 30
"""A token is renewed so long before it ends: it has to last for the way."""


class Credentials(httpx.Auth):
    """Puts credentials on a request, and knows which texts stand in no message."""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return what must not be told."""
        return ()

    @property
    def is_due(self) -> bool:
        """Whether they have to be renewed before the next request."""
        return False

    def renew(self, client: httpx.Client) -> bool:
        """Renew them; False if they are what they are. Raises `SourceFailed`, `TryAgain` or httpx errors."""
        return False


def credentials(auth: Auth | None) -> Credentials:
    """Return what puts the credentials on each request.

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
            return _ClientCredentials(auth)
    return Credentials()


class _Header(Credentials):
    def __init__(self, name: str, value: str, *hidden: str) -> None:
        self.name, self.value, self._hidden = name, value, (value, *hidden)

    @property
    def hidden(self) -> tuple[str, ...]:
        return self._hidden

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self.name] = self.value
        yield request


class _Parameter(Credentials):
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    @property
    def hidden(self) -> tuple[str, ...]:
        return self.value, quote(self.value, safe="")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.url = request.url.copy_set_param(self.name, self.value)
        yield request


class _ClientCredentials(Credentials):
    """A token in memory: fetched when first needed, renewed before it ends, and once when it is refused."""

    def __init__(self, auth: OAuth2) -> None:
        self.auth, self.client_id, self.secret = auth, auth.client_id.reveal(), auth.client_secret.reveal()
        self.token, self.ends_at = "", 0.0

    @property
    def hidden(self) -> tuple[str, ...]:
        return self.secret, quote_plus(self.secret), self.token

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.ends_at

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request

    def renew(self, client: httpx.Client) -> bool:
        """Ask for a token (RFC 6749, 4.4.2), the client named as 2.3.1 has it."""
        fields, headers = (
            {"grant_type": "client_credentials", **self.auth.parameters},
            {"Accept-Encoding": "identity"},
        )
        if self.auth.scope:
            fields["scope"] = self.auth.scope
        if self.auth.credentials_in == "body":
            fields |= {"client_id": self.client_id, "client_secret": self.secret}
        else:
            both = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
        with client.stream("POST", self.auth.token_url, data=fields, headers=headers, auth=None) as response:
            self._keep(response)
        return True

    def _keep(self, response: httpx.Response) -> None:
        """Take the token out of the answer."""
        where, status = httpx.URL(self.auth.token_url).host, response.status_code
        if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
            raise TryAgain(f"got no token from {where} (status {status})")
        try:
            said = orjson.loads(read_body(response, _TOKEN_BYTES, time.monotonic() + _TOKEN_S))
            if status != httpx.codes.OK:
                # The description may repeat what was sent; the code is one of RFC 6749's words.
                raise SourceFailed(
                    f"got no token from {where} (status {status}, {str(said.get('error'))[:60]!r}): correct client_id,"
                    " client_secret or scope"
                )
            self.token, lasts_s = str(said["access_token"]), float(said.get("expires_in") or 300)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TryAgain(f"got an answer without a token from {where} (status {status})") from error
        self.ends_at = time.monotonic() + max(1.0, lasts_s - min(_EARLY_S, lasts_s / 2))
