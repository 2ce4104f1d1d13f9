"""What a contract says of a stream: where it is, how to get in, how large a batch is, which column is the event's time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from lake.contracts.model import Contract
from lake.contracts.source_settings import SourceSettings
from lake.contracts.standard import suggest
from lake.secrets import SecretOnly, SecretText

ENVELOPE = ("_sequence", "_subject", "_broker_time", "_message_id")
"""What a broker says of a message; a column reads it like any field, by `physicalName`."""
_STREAM = re.compile(r"[^\s.*>/\\]+")
_SUBJECT = re.compile(r"[^\s.]+(\.[^\s.]+)*")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class NatsSettings(SourceSettings):
    """A NATS JetStream stream, MQTT devices included: topic `plant/line1/temp` is subject `plant.line1.temp`."""

    kind: Literal["nats"]
    servers: Annotated[tuple[SecretText, ...], BeforeValidator(_as_list), Field(min_length=1)]
    """`nats://host:4222` or `tls://host:4222`, one or more of a cluster."""
    stream: str
    subjects: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    """Only messages on these subjects (`till.*.sale`, `fleet.>`); all of the stream when nothing is said."""
    domain: str | None = None
    """JetStream domain, where the stream is reached through a leaf node."""
    user: str | None = None
    password: SecretOnly | None = None
    token: SecretOnly | None = None
    nkey_seed: SecretOnly | None = None
    credentials_file: Path | None = None
    """A `.creds` file (user JWT and seed), as `nsc` writes it."""
    tls_ca_file: Path | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    batch_rows: int = Field(20_000, ge=1, le=200_000)
    """Messages in one file and one transaction at most."""
    batch_seconds: float = Field(2, ge=0.1, le=3600)
    """`stocklake listen` looks for news this often, so a batch holds what came in that time: 2 keeps events within 5 s."""
    message_bytes: int = Field(262_144, ge=1)
    """A larger message is quarantined."""
    event_time: str | None = None
    """The timestamp column that says when the event happened: lateness and the watermark are counted by it."""
    late_after_seconds: float = Field(300, ge=0)
    """An event is late when it is older than the watermark (the newest event time so far) by more than this."""

    @field_validator("stream")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not _STREAM.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a stream: it has no space, dot, slash, * or >")
        return value

    @field_validator("subjects")
    @classmethod
    def _are_subjects(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _SUBJECT.fullmatch(value):
                raise ValueError(
                    f"{value!r} is no subject: write words with dots between, * for one word, > for the rest"
                )
        return values

    @model_validator(mode="after")
    def _one_way_in(self) -> "NatsSettings":
        ways = [self.user, self.token, self.nkey_seed, self.credentials_file]
        if sum(way is not None for way in ways) > 1:
            raise ValueError(
                "more than one way in: keep one of user with password, token, nkey_seed, credentials_file"
            )
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together: add the other")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file belong together: add the other")
        return self

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what does not go with a stream: the write mode, the format, the event's time."""
        location, read = contract.location, {column.source_name for column in contract.columns}
        if location.format != "jsonl":
            yield f"format is {location.format}, but messages land as JSON lines: write jsonl"
        elif location.other_fields != "ignore" and not read.issuperset(ENVELOPE):
            yield (
                "messages have an envelope beside their fields: write `other_fields: ignore`, or a column for each of "
                + (", ".join(ENVELOPE))
            )
        if contract.write_mode in ("replace", "replace_partition"):
            yield (
                f"write_mode is {contract.write_mode}, but a stream brings what is new and never the whole: write insert_only"
                " (events) or upsert (states)"
            )
        if self.event_time is None:
            return
        timestamps = [column.name for column in contract.columns if column.type == "timestamp"]
        if self.event_time not in timestamps:
            yield f"event_time: {self.event_time!r} is no timestamp column: {suggest(self.event_time, timestamps)}"
