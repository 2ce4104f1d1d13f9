"""What a contract may say about a web API: where it is, how it is paged, who may ask, how long it may take."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lake.contracts.model import Contract
from lake.contracts.source_settings import SourceSettings
from lake.secrets import Secret, SecretOnly, SecretText

_DAYS = re.compile(r"\{(from|until|after)\}")
_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


def safe_url(url: str) -> str:
    """Return the URL; ValueError when what is sent there could be read on the way."""
    is_local = any(url.startswith((host + ":", host + "/")) for host in _LOOPBACK)
    if not url.startswith("https://") and not is_local:
        raise ValueError("has to begin with https://, because credentials and data would travel in the open")
    if "@" in url.split("/", 3)[2]:
        raise ValueError("holds a user or password: write them under `auth`")
    return url


class Part(BaseModel):
    """A part of the settings: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ApiKey(Part):
    """A key in a header or in the query; it is taken out of every URL that is kept."""

    kind: Literal["api_key"]
    secret: SecretOnly
    header: str | None = None
    parameter: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "ApiKey":
        if (self.header is None) == (self.parameter is None):
            raise ValueError("say where the key goes: `header` or `parameter`, one of them")
        return self


class Basic(Part):
    """User and password."""

    kind: Literal["basic"]
    user: SecretText
    password: SecretOnly


class Bearer(Part):
    """A token that somebody else renews."""

    kind: Literal["bearer"]
    token: SecretOnly


class OAuth2(Part):
    """Client credentials (RFC 6749, 4.4): the token is fetched, held in memory and renewed when it ends."""

    kind: Literal["oauth2"]
    token_url: str
    client_id: SecretText
    client_secret: SecretOnly
    scope: str | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    """More of the token request, such as `audience` or `resource`."""
    credentials_in: Literal["header", "body"] = "header"

    _safe = field_validator("token_url")(safe_url)


Auth = Annotated[ApiKey | Basic | Bearer | OAuth2, Field(discriminator="kind")]


class ByPage(Part):
    """Page numbers, until a page is empty."""

    kind: Literal["page"]
    parameter: str = "page"
    first: int = 1
    size_parameter: str | None = None
    size: int = Field(100, ge=1)


class ByOffset(Part):
    """Offsets that grow by the records received, until a page is empty."""

    kind: Literal["offset"]
    parameter: str = "offset"
    size_parameter: str | None = "limit"
    size: int = Field(100, ge=1)


class ByCursor(Part):
    """The server's cursor from the body, or a field of the last record; until there is none."""

    kind: Literal["cursor"]
    parameter: str = "cursor"
    path: str | None = None
    """Where the next cursor stands in the body."""
    record_path: str | None = None
    """Or where it stands in the last record."""
    more_path: str | None = None
    """Where the body says whether there is more; without it, an absent cursor says so."""

    @model_validator(mode="after")
    def _one_place(self) -> "ByCursor":
        if (self.path is None) == (self.record_path is None):
            raise ValueError("say where the cursor stands: `path` in the body or `record_path`, one of them")
        return self


class ByLink(Part):
    """The `Link` header with rel="next" (RFC 8288)."""

    kind: Literal["link"]


class ByUrl(Part):
    """The URL of the next page, in the body."""

    kind: Literal["next_url"]
    path: str


class OnePage(Part):
    """All in one answer."""

    kind: Literal["none"]


Paging = Annotated[ByPage | ByOffset | ByCursor | ByLink | ByUrl | OnePage, Field(discriminator="kind")]


class Incremental(Part):
    """Only what is new: records from the newest value of a column that was committed."""

    column: str
    """The column of the contract that grows: a time of change, or a number."""
    parameter: str
    template: str = "{since}"
    """How the parameter's value is made, for servers that want an expression."""
    overlap: int = Field(0, ge=0)
    """How far to go back: seconds of a timestamp, days of a date, units of an integer."""
    initial: str | None = None
    """Where the first fetch begins; without it, at the beginning."""
    ascending: bool = False
    """The server sorts by the column: then a long fetch that breaks off goes on where it stopped."""

    @field_validator("template")
    @classmethod
    def _names_since(cls, value: str) -> str:
        if "{since}" not in value:
            raise ValueError("has to hold {since}, where the value goes")
        return value


class Limits(Part):
    """How long, how often and how much; what goes beyond is an error, not a wait without end."""

    timeout_s: float = Field(30, gt=0)
    """Without a byte from the other side."""
    request_s: float = Field(300, gt=0)
    """One answer, whole."""
    total_s: float = Field(3600, gt=0)
    """One fetch: all pages with all waits."""
    attempts: int = Field(6, ge=1)
    backoff_s: float = Field(0.5, gt=0)
    """First wait; it doubles, with chance, up to a minute."""
    retry_after_max_s: float = Field(300, ge=0)
    page_mb: float = Field(32, gt=0)
    """One answer, unpacked."""
    pages: int = Field(100_000, ge=1)
    passes: int = Field(3, ge=1)
    """How often to begin again when the data change while they are paged through."""
    requests_per_second: float | None = Field(None, gt=0)


class ApiSettings(SourceSettings):
    """What REST and OData share."""

    url: SecretText
    parameters: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, SecretText] = Field(default_factory=dict)
    auth: Auth | None = None
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    ca_file: str | None = None
    """PEM file of a private certificate authority; certificates are always checked."""

    @field_validator("url")
    @classmethod
    def _safe(cls, value: Secret) -> Secret:
        if not value.has_reference:
            safe_url(value.template)
        return value

    @field_validator("parameters", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Take numbers and true/false as they are written in a URL."""
        if not isinstance(value, dict):
            return value
        if any("${" in str(item) for item in value.values()):
            raise ValueError(
                "hold a reference: a key in the query is `auth: {kind: api_key, parameter: NAME}`"
            )
        return {
            key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in value.items()
        }

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what does not go with the dataset: its format, its write mode."""
        if contract.location.format != "json":
            yield "what an API sends is read as `format: json`: correct the format"
        if contract.write_mode == "append" and contract.duplicates != "drop":
            yield (
                "a page may come twice, so append needs `duplicates: drop`; or write upsert with a key, or replace"
            )


class RestSettings(ApiSettings):
    """Kind `rest`."""

    kind: Literal["rest"]
    paging: Paging
    accept: tuple[str, ...] = ("application/json",)
    """Media types that an answer may have; those that end in +json always may."""
    total_path: str | None = None
    """Where the body says how many records there are in all; they are compared with those received."""
    total_header: str | None = None
    """Or which header says so (X-Total-Count)."""
    error_path: str | None = "error"
    """Where an answer that says 200 tells of an error; null: nowhere."""
    incremental: Incremental | None = None
    days: dict[str, str] = Field(default_factory=dict)
    """Query parameters that ask for a range of days, by what goes into them: {from}, {until} (the last day) or {after}."""
    resume: bool = False
    """The server's cursor stays valid: the next fetch goes on from it."""
    resume_path: str | None = None
    """Where the last page names the URL at which the next fetch begins (a delta link)."""

    @field_validator("days")
    @classmethod
    def _names_its_ends(cls, value: dict[str, str]) -> dict[str, str]:
        ends = [end for text in value.values() for end in _DAYS.findall(text)]
        if value and (sorted(ends) not in (["from", "until"], ["after", "from"]) or len(value) != len(ends)):
            raise ValueError(
                "one parameter has to hold {from} and another {until} (the last day) or {after} (the day behind it)"
            )
        return value

    @model_validator(mode="after")
    def _fits(self) -> "RestSettings":
        if self.total_path and self.total_header:
            raise ValueError("total_path and total_header say the same: keep one")
        if self.resume and not isinstance(self.paging, ByCursor | ByUrl):
            raise ValueError("resume goes on from the server's cursor: it needs paging by cursor or next_url")
        if self.resume and self.incremental:
            raise ValueError("resume and incremental are two ways to go on: keep one")
        return self

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what does not go with the dataset."""
        yield from super().problems(contract)
        column = self.incremental.column if self.incremental else None
        yield from _partial(contract, column, is_partial=self.incremental is not None or self.resume)


class ODataIncremental(Part):
    """Only what is new, by a filter and an order that the server applies."""

    column: str
    overlap: int = Field(0, ge=0)
    initial: str | None = None


class ODataSettings(ApiSettings):
    """Kind `odata`: one entity set of an OData v4 service."""

    kind: Literal["odata"]
    select: bool = True
    """Ask for the contract's columns only."""
    filter: str | None = None
    orderby: str | None = None
    page_size: int = Field(1000, ge=1)
    paging: Literal["server", "client"] = "server"
    """server: odata.maxpagesize and @odata.nextLink; client: $top and $skip, ordered by the key."""
    count: bool = True
    """Ask for @odata.count and compare it with the records received."""
    incremental: ODataIncremental | None = None
    delta: bool = False
    """Track changes: the server's delta link is kept, and the next fetch brings what changed."""

    @model_validator(mode="after")
    def _fits(self) -> "ODataSettings":
        if self.delta and (self.incremental or self.paging == "client"):
            raise ValueError("delta is the server's own way to go on: remove incremental, and page by server")
        return self

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what does not go with the dataset."""
        yield from super().problems(contract)
        column = self.incremental.column if self.incremental else None
        yield from _partial(contract, column, is_partial=self.incremental is not None or self.delta)
        initial = self.incremental.initial if self.incremental else None
        if initial and "T" in initial and not initial.endswith("Z"):
            yield f"incremental.initial {initial!r} has no zone, as OData wants it: write it in UTC, with Z at its end"
        if self.paging == "client" and not (self.orderby or contract.keys):
            yield "$skip without an order loses records: name the key columns, or write orderby"
        if contract.location.records_path != "value":
            yield "OData holds its records at `value`: write the custom property records_path: value"


def comes_at_once(contract: Contract) -> bool:
    """Whether all that is fetched has to be one delivery, because each delivery takes another's place."""
    return contract.write_mode in ("replace", "replace_partition") or contract.history.close_missing


def _partial(contract: Contract, column: str | None, *, is_partial: bool) -> Iterator[str]:
    """Yield what does not go with fetching only what is new."""
    if not is_partial:
        return
    if contract.write_mode == "replace_partition" and column not in contract.partition_by:
        yield "a partition is replaced whole: incremental has to go by a column of partition_by"
    elif contract.write_mode == "replace" or contract.history.close_missing:
        yield f"{contract.write_mode} needs all records each time: fetch all, or write upsert"
    if column is None:
        return
    try:
        kind = contract.column(column).type
    except KeyError:
        yield f"incremental goes by the column {column!r}, which the contract does not have: correct its name"
        return
    if kind not in ("timestamp", "date", "integer"):
        yield f"incremental goes by {column!r}, a {kind}: it has to be a timestamp, date or integer"
