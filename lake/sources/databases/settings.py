"""What a contract says about a database as a source, and every rule about it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lake.contracts.model import Contract
from lake.contracts.source_settings import SourceSettings
from lake.secrets import Secret, SecretText

IDEMPOTENT = ("upsert", "insert_only", "history")
"""Write modes in which a row that is read twice counts once."""
COMMIT_TIME, COMMIT_LSN, OPERATION = "_commit_timestamp", "_commit_lsn", "_operation"
"""Columns that change data capture fills where a contract has them (as physicalName)."""

_REFERENCE = re.compile(r"\$\{[^}]*\}")
_WRITTEN_PASSWORD = re.compile(r"://[^/@:]*:[^@/]+@")
_TABLE = re.compile(r"[^.\s][^.]*(\.[^.]+)?")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _one_of(values: dict[str, object]) -> bool:
    return sum(value is not None for value in values.values()) == 1


class Overlap(BaseModel):
    """How far before the newest row read the next read begins: what was committed late is found there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: int | None = Field(None, ge=1)
    hours: int | None = Field(None, ge=1)
    days: int | None = Field(None, ge=1)
    units: int | None = Field(None, ge=1)
    """Of a cursor that is a whole number."""

    @model_validator(mode="after")
    def _is_one(self) -> "Overlap":
        if not _one_of(self.__dict__):
            raise ValueError("write one of minutes, hours, days (of a time) or units (of a number)")
        return self

    @property
    def span(self) -> timedelta | int:
        """The overlap as a number of units, or as time."""
        if self.units is not None:
            return self.units
        return timedelta(minutes=self.minutes or 0, hours=self.hours or 0, days=self.days or 0)


class Deletes(BaseModel):
    """How often the keys of the source are compared with those of raw, to find what was deleted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_hours: float | None = Field(None, gt=0)
    every_runs: int | None = Field(None, ge=1)
    """Counted in runs that brought rows."""

    @model_validator(mode="after")
    def _is_one(self) -> "Deletes":
        if not _one_of(self.__dict__):
            raise ValueError("write one of every_hours or every_runs")
        return self


class ConnectionSettings(SourceSettings):
    """What every database needs."""

    url: SecretText
    """SQLAlchemy URL; its password by reference: postgresql://reader:${env:ERP_PASSWORD}@erp/erp."""
    rows_per_file: int = Field(1_000_000, ge=1)
    statement_timeout_seconds: int = Field(3600, ge=1)
    """A file waits for the one before it to load: the time of one statement includes that."""
    connect_timeout_seconds: int = Field(10, ge=1)

    @field_validator("url")
    @classmethod
    def _hides_its_password(cls, url: Secret) -> Secret:
        if _WRITTEN_PASSWORD.search(_REFERENCE.sub("", url.template)):
            raise ValueError("a password stands in no contract: write ${env:NAME} or ${file:/path}")
        return url

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what in the settings does not go with the rest of the contract."""
        if contract.location.format != "parquet":
            yield "what is read from a database lands as Parquet: write `format: parquet`"
        hidden = [column.name for column in contract.columns if column.key and column.is_hidden]
        if hidden and contract.deletion_column:
            yield f"the key {hidden[0]} is not kept as it is, so deletions cannot find it: keep it, or no deletion_column"


class DatabaseSettings(ConnectionSettings):
    """`kind: database`: a table or query, whole or by a cursor that grows."""

    kind: Literal["database"]
    table: str | None = Field(None, pattern=_TABLE.pattern)
    """TABLE or SCHEMA.TABLE."""
    query: str | None = None
    cursor: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field((), max_length=3)
    """Columns that grow with every change, such as [changed_at, id]; none: the whole is read every time."""
    overlap: Overlap | None = None
    deletes: Deletes | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "DatabaseSettings":
        if not _one_of({"table": self.table, "query": self.query}):
            raise ValueError("write one of table or query")
        if self.overlap and not self.cursor:
            raise ValueError("an overlap is of a cursor: add `cursor`, or remove it")
        return self

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what in the settings does not go with the rest of the contract."""
        yield from super().problems(contract)
        mode = contract.write_mode
        if self.cursor and mode in ("replace", "replace_partition"):
            yield f"a cursor brings only what is new, and {mode} takes it for all: upsert, or read without a cursor"
        if self.cursor and contract.history.close_missing:
            yield "a cursor brings only what is new, and close_missing takes it for all: remove one of them"
        if self.overlap and mode == "append":
            yield "an overlap reads rows again, and append would double them: mark a key and write_mode upsert"
        if not self.cursor and mode == "append":
            yield "the whole appended to what stands doubles every row: name a cursor, or replace or upsert"
        if self.deletes and not (contract.deletion_column and contract.keys):
            yield "deletes mark rows: name the `deletion_column` of the dataset, and mark its key columns"


class CdcSettings(ConnectionSettings):
    """`kind: postgres_cdc`: a PostgreSQL table by its change log (logical replication, pgoutput)."""

    kind: Literal["postgres_cdc"]
    table: str = Field(pattern=_TABLE.pattern)
    slot: str | None = Field(None, pattern=r"^[a-z0-9_]{1,63}$")
    """Replication slot of this dataset alone; default stocklake_<company>_<dataset>."""
    publication: str | None = Field(None, pattern=r"^[a-z0-9_]{1,63}$")
    """Default: as the slot."""
    create: bool = True
    """Make slot and publication where they are missing; else a DBA has made them."""
    on_gap: Literal["fail", "snapshot"] = "fail"
    """When changes were lost (slot gone, lake restored): stop and say so, or read the whole table again."""
    maximum_lag_mb: int = Field(10_000, ge=1)
    """Log that the slot may hold back on the server before a fetch reports it as an error."""

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what in the settings does not go with the rest of the contract."""
        yield from super().problems(contract)
        if contract.write_mode not in ("upsert", "history") or contract.deletion_column is None:
            yield "changes update and delete: write_mode has to be upsert or history, with a `deletion_column`"
        rule = contract.known_at
        source = {column.name: column.source_name for column in contract.columns}
        is_by_commit = rule.column is not None and source.get(rule.column) == COMMIT_TIME
        if not is_by_commit and (rule.column or rule.filename_pattern or contract.business_date):
            yield f"a change is known when it was committed: `known_at` has to be a column with physicalName {COMMIT_TIME}"
