"""What company.yaml says of features online: where today's values stand (`online`), and who may read them (`serving`)."""

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lake.secrets import Secret, SecretOnly, SecretText


class OnlineSettings(BaseModel):
    """Where today's feature values stand; with nothing set, in a SQLite file in the home."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    redis: SecretText | None = Field(
        None,
        description="redis://user:${env:NAME}@host:6379/0, or rediss://; a database for this company alone",
    )

    streams: dict[str, str] = Field(
        default_factory=dict,
        description="dataset of a stream -> feature view that its events are pushed to (`stocklake push-features`)",
    )

    @field_validator("redis")
    @classmethod
    def _is_redis(cls, url: Secret | None) -> Secret | None:
        if url is not None and not re.match(r"rediss?://|\$\{(env|file):[^}]+\}$", url.template):
            raise ValueError("write redis://host:6379/0, rediss:// for TLS, or ${env:NAME} for the whole URL")
        return url


class TokenSettings(BaseModel):
    """One caller that is known by a token."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[\w .@-]{1,80}$")
    token: SecretOnly
    roles: list[str]


class OidcSettings(BaseModel):
    """Callers that an identity provider knows: tokens that it signed, for this audience."""

    model_config = ConfigDict(extra="forbid")

    issuer: str
    audience: str
    jwks: str = Field(description="its public keys: https://... or a file; http:// only on this machine")
    roles_claim: str = Field("roles", description="where a token has its roles: roles, realm_access.roles")

    @field_validator("jwks")
    @classmethod
    def _is_safe(cls, jwks: str) -> str:
        if jwks.startswith("http://") and not re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]", jwks):
            raise ValueError("keys that come over http:// could be anybody's: write https://")
        return jwks


class ServingSettings(BaseModel):
    """Who may read features over HTTP; nobody, unless it is said here (`stocklake serve-features`)."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    roles: dict[str, list[str]] = Field(
        default_factory=dict, description="role -> feature services that it may read, or metrics"
    )
    tokens: list[TokenSettings] = Field(default_factory=list)
    oidc: OidcSettings | None = None
    request_kb: int = Field(256, ge=1, description="a request's longest body")
    entities: int = Field(1_000, ge=1, description="that one request may ask for")
    requests_per_second: float = Field(200.0, gt=0, description="of one caller; twice as many at once")
