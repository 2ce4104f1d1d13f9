"""What a contract may say about a webhook: who may send, how it is signed, how much may wait."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from lake.contracts.model import Contract
from lake.contracts.source_settings import SourceSettings
from lake.secrets import SecretOnly
from lake.sources.webhooks.signing import SCHEMES, Scheme

ENVELOPE = ("delivery_id", "received_at")
"""What the receiver puts beside each payload."""


class WebhookSettings(SourceSettings):
    """Kind `webhook`: a known scheme by its name, or `custom` with its headers."""

    kind: Literal["webhook"]
    secrets: tuple[SecretOnly, ...] = Field(min_length=1, max_length=2)
    """One, or two while one takes the other's place: what either signed is good."""
    scheme: Literal["standard", "stripe", "github", "custom"] = "standard"
    signature_header: str | None = None
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    signed: Literal["body", "timestamp.body", "id.timestamp.body"] = "timestamp.body"
    timestamp_header: str | None = None
    id_header: str | None = None
    id_path: str | None = None
    """Where the payload holds the delivery's id, if no header does."""
    tolerance_s: int = Field(300, ge=1)
    """How far the time of signing may be from the receiver's clock, either way."""
    body_kb: int = Field(1024, ge=1)
    spool_mb: int = Field(1000, ge=1)
    """What may wait for ingestion; beyond it senders are told to come back."""
    free_mb: int = Field(500, ge=0)
    """Free disk below which senders are told to come back."""
    remember_days: int = Field(90, ge=1)
    """How long an id is known again after it was loaded; for ever where no time is signed."""

    @model_validator(mode="after")
    def _whole(self) -> "WebhookSettings":
        own = {"signature_header", "prefix", "encoding", "signed", "timestamp_header", "id_header", "id_path"}
        if self.scheme != "custom":
            if given := sorted(own & self.model_fields_set):
                raise ValueError(
                    f"scheme {self.scheme} has its own {', '.join(given)}: remove it, or write custom"
                )
            return self
        if self.signature_header is None:
            raise ValueError("a custom scheme needs signature_header: which header holds the signature")
        if (self.id_header is None) == (self.id_path is None):
            raise ValueError("say where the delivery's id stands: id_header, or id_path in the payload")
        if "timestamp" in self.signed and self.timestamp_header is None:
            raise ValueError("the timestamp is signed, so timestamp_header has to say where it stands")
        if self.signed.startswith("id") and self.id_header is None:
            raise ValueError("the id is signed, so id_header has to say where it stands")
        return self

    @property
    def rules(self) -> Scheme:
        """The scheme, whole."""
        if self.scheme != "custom":
            return SCHEMES[self.scheme]
        return Scheme(
            str(self.signature_header),
            prefix=self.prefix,
            encoding=self.encoding,
            signed=self.signed,
            timestamp_header=self.timestamp_header,
            id_header=self.id_header,
            id_path=self.id_path,
        )

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what does not go with the dataset: format, write mode, the columns of the envelope."""
        if contract.location.format != "jsonl":
            yield "what a webhook brings is read as `format: jsonl`: correct the format"
        if contract.write_mode in ("replace", "replace_partition") or contract.history.close_missing:
            yield "a webhook brings what is new, never all there is: write append, upsert, insert_only or history"
        read = {column.source_name for column in contract.columns}
        missing = [name for name in ENVELOPE if name not in read]
        if missing and contract.location.other_fields != "ignore":
            yield (
                f"every row has {' and '.join(missing)} from the receiver beside `payload`: add a column for it, or"
                " write other_fields: ignore"
            )
        if not any(name.startswith("payload.") for name in read):
            yield "no column reads the payload: its fields are `payload.NAME` (physicalName)"
