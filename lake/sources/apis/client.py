"""One request until it is answered well: waiting, trying again, giving up, and never telling a secret.

Tried again: connections that break, time limits, 429 and 5xx, and answers that are not what was agreed, because a proxy's
error page often says 200. Not tried again: any other 4xx, certificates that are wrong, redirects to another host.
"""

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from lake.errors import SourceFailed
from lake.sources.apis.auth import credentials
from lake.sources.apis.bodies import Answer, Gone, TryAgain, Unauthorized, parse, read_body
from lake.sources.apis.settings import ApiKey, ApiSettings, safe_url

MAXIMUM_REDIRECTS = 5
MAXIMUM_WAIT_S = 60

_REMEDIES = {
    401: "; correct `auth` in the contract, or the secret that it names",
    403: "; it knows who asks and refuses: have it allow this user to read, or correct `auth` in the contract",
    404: "; correct `url` or `path` in the contract",
}
_FAILURES: dict[int, type[SourceFailed]] = {401: Unauthorized, 410: Gone}
Accepted = TypeVar("Accepted")


@dataclass(frozen=True)
class Request:
    """What to ask for: a URL without credentials, and parameters beside those that it holds."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_url(self) -> httpx.URL:
        """Return the URL with the parameters in it."""
        return httpx.URL(self.url).copy_merge_params(dict(self.parameters))


class Client:
    """Asks one API within the limits of its settings."""

    def __init__(self, settings: ApiSettings, headers: Mapping[str, str], accept: tuple[str, ...]) -> None:
        """Open nothing yet. Raises `InputError` for a secret that is not there, `SourceFailed` for an unsafe URL."""
        for name in ("httpx", "httpcore"):  # they would log whole URLs, keys in the query included
            logging.getLogger(name).setLevel(logging.WARNING)
        self.settings, self.limits, self.accept = settings, settings.limits, accept
        revealed = {name: value.reveal() for name, value in settings.headers.items()}
        self._hidden_headers = [
            revealed[name] for name, value in settings.headers.items() if value.has_reference
        ]
        self.base = httpx.URL(self._checked(settings.url.reveal()))
        verify = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        self._credentials = credentials(settings.auth)
        self._http = httpx.Client(
            auth=self._credentials,
            headers={"Accept": ", ".join(accept), "Accept-Encoding": "gzip", **headers, **revealed},
            follow_redirects=False,
            timeout=self.limits.timeout_s,
            verify=verify,
        )
        self._spent_s = 0.0
        """On this side of the port: what the loader does between two pages does not count."""
        self._deadline = self._next_at = 0.0

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def get(self, request: Request, accept: Callable[[Answer], Accepted]) -> Accepted:
        """Return what `accept` makes of the answer; it raises `TryAgain` for one that is not as agreed.

        Raises `SourceFailed` when the limits are used up, or at once for what will not pass.
        """
        began = time.monotonic()
        self._deadline = began + self.limits.total_s - self._spent_s
        where = f"GET {self.base.scheme}://{self.base.netloc.decode()}{request.full_url.path}"
        retrying = Retrying(
            stop=stop_after_attempt(self.limits.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(TryAgain),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(lambda: accept(self._once(request)))
        except TryAgain as error:
            tries = retrying.statistics["attempt_number"]
            raise SourceFailed(
                f"{where}: the other side {self._hidden(error)}, and so {tries} times: try later, or ask who runs it."
            ) from error
        except SourceFailed as error:
            raise type(error)(f"{where}: the other side {self._hidden(error)}.") from error
        finally:
            self._spent_s += time.monotonic() - began

    def own_url(self, url: str, base: httpx.URL) -> str:
        """Return a URL that the other side named, absolute and without credentials; `SourceFailed` if it is elsewhere."""
        target = base.join(url)
        own = self.base
        if target.host != own.host or (target.scheme, target.port) not in (
            (own.scheme, own.port),
            ("http", None),  # servers behind a proxy name themselves so; they are asked as agreed
        ):
            raise SourceFailed(
                f"wants to go on at {target.scheme}://{target.host[:100]}, another host: correct `url`"
            )
        target = target.copy_with(scheme=own.scheme, port=own.port, userinfo=b"", fragment=None)
        auth = self.settings.auth
        if isinstance(auth, ApiKey) and auth.parameter:
            target = target.copy_remove_param(auth.parameter)
        return str(target)

    def _once(self, request: Request) -> Answer:
        try:
            if self._credentials.is_due:
                self._credentials.renew(self._http)
            try:
                return self._ask(request.full_url)
            except Unauthorized:
                if not self._credentials.renew(self._http):
                    raise
                return self._ask(request.full_url)
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise SourceFailed("shows a certificate that nobody known has signed: set ca_file") from error
            raise TryAgain(f"broke off ({type(error).__name__})") from error
        except httpx.InvalidURL as error:
            raise SourceFailed("names a URL that is none") from error

    def _ask(self, url: httpx.URL) -> Answer:
        for _ in range(MAXIMUM_REDIRECTS + 1):
            self._pace()
            with self._http.stream("GET", url) as response:
                if not response.has_redirect_location:
                    return self._answer(response, url)
                url = httpx.URL(self.own_url(response.headers["location"], url))
        raise SourceFailed(f"redirects more than {MAXIMUM_REDIRECTS} times")

    def _answer(self, response: httpx.Response, url: httpx.URL) -> Answer:
        status = response.status_code
        deadline = min(self._deadline, time.monotonic() + self.limits.request_s)
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            raise TryAgain(f"answered with status {status}", _retry_after_s(response.headers))
        if status != httpx.codes.OK:
            raise _FAILURES.get(status, SourceFailed)(
                f"answered with status {status}{self._excerpt(response)}{_REMEDIES.get(status, '')}"
            )
        body = read_body(response, int(self.limits.page_mb * 1e6), deadline)
        return Answer(body, parse(body, response.headers, self.accept), response.headers, url)

    def _pace(self) -> None:
        """Keep to the rate of the contract and to the time of the whole fetch."""
        now = time.monotonic()
        if self.limits.requests_per_second:
            self._sleep(max(0.0, self._next_at - now))
            self._next_at = max(now, self._next_at) + 1 / self.limits.requests_per_second
        elif now > self._deadline:
            self._sleep(0)

    def _wait(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        asked = error.after_s if isinstance(error, TryAgain) else None
        backoff = wait_exponential_jitter(self.limits.backoff_s, MAXIMUM_WAIT_S, jitter=self.limits.backoff_s)
        return max(backoff(state), min(asked or 0.0, self.limits.retry_after_max_s))

    def _sleep(self, seconds: float) -> None:
        if time.monotonic() + seconds > self._deadline:
            raise SourceFailed(
                f"has not sent everything in {self.limits.total_s:.0f} s (limits.total_s): raise it, or ask for less"
            )
        time.sleep(seconds)

    def _checked(self, url: str) -> str:
        try:
            return safe_url(url)
        except ValueError as error:
            raise SourceFailed(f"The url of the contract {error}.") from None

    def _excerpt(self, response: httpx.Response) -> str:
        """Return the beginning of what an error says, on one line."""
        said = self._hidden(next(response.iter_raw(4000), b"").decode("utf-8", "replace"))
        words = " ".join("".join(c if c.isprintable() else " " for c in said).split())
        return f" ({words[:200]})" if words else ""

    def _hidden(self, what: object) -> str:
        said = str(what).rstrip(".")
        for secret in filter(None, (*self._credentials.hidden, *self._hidden_headers)):
            said = said.replace(secret, "***")
        return said


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Return the seconds that Retry-After asks for, as seconds or as a date by the other side's own clock."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        until = parsedate_to_datetime(said)
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        seconds: float = (until - now).total_seconds()
        return max(0.0, seconds)
    except (ValueError, TypeError):
        return None
