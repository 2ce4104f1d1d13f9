"""A company: its folder of YAML, its home folder of things made, and the paths in both.

Every path that a run reads or writes is named here once. No other module joins paths onto the home folder.
"""

import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lake.errors import CompanyError, HomeError
from lake.feature_settings import OnlineSettings, ServingSettings
from lake.secrets import SecretOnly, SecretText
from lake.working_days import Calendar, zone_name

PROJECT_ROOT = Path(__file__).resolve().parent.parent
COMPANY_VARIABLE = "STOCKLAKE_DBT_COMPANY"
"""Environment variable that tells dbt's process whose lake it opens: name and settings, secrets by reference."""


class ServiceTarget(BaseModel):
    """Cycle service level: the probability that a replenishment cycle ends without a stock-out."""

    model_config = ConfigDict(extra="forbid")

    default: float = Field(0.95, gt=0.5, lt=1)
    by_category: dict[str, float] = Field(default_factory=dict)


class Replenishment(BaseModel):
    """What a planner sets: targets, review rhythm, cost rates and limits."""

    model_config = ConfigDict(extra="forbid")

    cycle_service_level: ServiceTarget = Field(default_factory=lambda: ServiceTarget.model_validate({}))
    review_period_days: int = Field(7, ge=1)
    holding_cost_rate_per_year: float = Field(0.25, gt=0)
    order_cost: float = Field(
        50.0, ge=0, description="fixed cost of placing one purchase order, company currency"
    )
    maximum_order_value: float | None = Field(None, gt=0, description="per proposed order, company currency")
    maximum_cover_days: int = Field(180, ge=1, description="no order takes an item beyond this cover")


class Alerts(BaseModel):
    """Where a failed run, gate, sensor or schedule is told; the log when nothing is set."""

    model_config = ConfigDict(extra="forbid")

    webhook_url: str | None = None
    email_to: str | None = None
    smtp_host: str | None = None


class LineageSettings(BaseModel):
    """Where OpenLineage events are told; nowhere when nothing is set. Variables of OpenLineage's client come first."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    url: str | None = Field(
        None, pattern=r"^https?://[^/]", description="of a server: https://marquez.example"
    )
    endpoint: str = "api/v1/lineage"
    api_key: SecretOnly | None = None
    file: str | None = Field(None, description="JSON lines are added to it, where no url is set")
    namespace: str | None = Field(None, description="of jobs and tables; by default the company's name")


class HistorySettings(BaseModel):
    """How far a table's newest days may lie from its own weeks before; the checks stand in lake/quality/history.py."""

    model_config = ConfigDict(extra="forbid")

    weeks: int = Field(8, ge=3, description="that are looked back on")
    recent_days: int = Field(7, ge=1, description="newest days that are judged")
    minimum_rows: int = Field(20, ge=5, description="of a day or week that is judged; below it weeks are")
    volume_low: float = Field(0.6, gt=0, lt=1, description="times the usual number of rows")
    volume_high: float = Field(3.0, gt=1, description="times the usual number of rows")
    values_factor: float = Field(2.0, gt=1, description="by which a quantile of a number may move")
    level_shift: float = Field(0.1, gt=0, description="by which all prices together may rise or fall")
    extreme_factor: float = Field(10.0, gt=1, description="beyond all its item had (prices: half of it)")
    share_moved: float = Field(
        0.2, gt=0, lt=1, description="of rows between values; of empty fields half of it"
    )
    severity: Literal["warn", "stop"] = "warn"
    tables: dict[str, Literal["warn", "stop", "off"]] = Field(
        default_factory=dict, description="schema.table -> what it does there: warn, stop or off"
    )


class Gate(BaseModel):
    """What the gate asks beyond the contracts."""

    model_config = ConfigDict(extra="forbid")

    history: HistorySettings = Field(default_factory=lambda: HistorySettings.model_validate({}))


class S3Settings(BaseModel):
    """How a bucket is reached; keys by reference only."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    key_id: SecretOnly
    secret_key: SecretOnly
    region: str = "us-east-1"
    endpoint: str | None = Field(None, pattern=r"^https?://", description="of an S3-compatible server")


class LakeSettings(BaseModel):
    """Where the lake stands; with nothing set, in the home: a SQLite catalogue and a folder."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    catalog: SecretText | None = Field(None, description="postgresql://user:${env:NAME}@host/database")
    data: str | None = Field(None, pattern=r"^s3://[^/]+", description="s3://bucket/prefix")
    s3: S3Settings | None = None
    keep_days: int = Field(
        90, ge=1, description="days that a snapshot stays which nothing names (`stocklake lake compact`)"
    )

    @model_validator(mode="after")
    def _has_keys(self) -> "LakeSettings":
        if (self.data is None) != (self.s3 is None):
            raise ValueError("data and s3 go together: name the bucket and how it is reached, or neither")
        if self.catalog is not None and not self.catalog.template.startswith("postgres"):
            raise ValueError("the catalog is a postgresql:// URL; leave it out for SQLite in the home folder")
        return self


class Matching(BaseModel):
    """How codes of other systems are matched to those of the master system; see lake/matching."""

    model_config = ConfigDict(extra="forbid")

    master: str = Field("erp", description="system whose codes are the conformed ids")
    link_probability: float = Field(
        0.99, gt=0.5, lt=1, description="from here on a pair links by itself, without an identifier"
    )
    queue_probability: float = Field(0.3, gt=0, lt=1, description="from here on a steward is asked")
    maximum_unmatched_value_share: float = Field(
        0.02, ge=0, le=1, description="of the money of all lines; more stops at the gate"
    )

    @model_validator(mode="after")
    def _has_a_band(self) -> "Matching":
        if self.queue_probability > self.link_probability:
            raise ValueError("queue_probability is above link_probability: a steward would never be asked")
        return self


class CompanySettings(BaseModel):
    """The schema of company.yaml."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    title: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    timezone: str = "UTC"
    stock_unit: str = Field(
        "EA",
        min_length=1,
        description="unit in which stock is kept where no conversion of an item says otherwise",
    )
    exchange_rate_days: int = Field(
        7, ge=1, description="how long a rate holds when no newer one has come; 31 where rates are monthly"
    )
    day_closes_after_hours: int = Field(
        0,
        ge=0,
        le=72,
        description="hours after midnight UTC by which a day is known; features of the day are what was known then",
    )
    calendar: Calendar = Field(default_factory=Calendar)
    replenishment: Replenishment = Field(default_factory=lambda: Replenishment.model_validate({}))
    assumptions: dict[str, Any] = Field(
        default_factory=dict,
        description="rules for what the data does not have; rows made of them are labelled assumed",
    )
    business_rules: dict[str, Any] = Field(default_factory=dict, description="variables of the dbt models")
    data_program: str | None = Field(
        None, description="program in this folder that writes the exports (--out FOLDER)"
    )
    data_folder: str = Field(
        "${INBOX}", description="where the exports lie: ${INBOX}, ${STOCKLAKE_DATA} or a path"
    )
    alerts: Alerts = Field(default_factory=Alerts)
    lineage: LineageSettings = Field(default_factory=lambda: LineageSettings.model_validate({}))
    gate: Gate = Field(default_factory=lambda: Gate.model_validate({}))
    matching: Matching | None = Field(
        None, description="codes of items, suppliers and locations are matched between systems"
    )
    lake: LakeSettings = Field(default_factory=lambda: LakeSettings.model_validate({}))
    online: OnlineSettings = Field(default_factory=lambda: OnlineSettings.model_validate({}))
    serving: ServingSettings = Field(default_factory=lambda: ServingSettings.model_validate({}))
    feature_registry: SecretText | None = Field(
        None,
        description="postgresql://user:${env:NAME}@host/database: the features' registry of a team; a file without",
    )
    pii_key: SecretOnly | None = Field(
        None,
        description="key of the hashes of personal data: ${env:NAME} or ${file:/path}; another key, other hashes",
    )

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        return zone_name(value)

    @field_validator("business_rules")
    @classmethod
    def _zone_of_sales_exists(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value.get("sold_at_time_zone") is not None:
            zone_name(value["sold_at_time_zone"])
        return value


@dataclass(frozen=True)
class Company:
    """One company on this machine.

    `folder` holds what people write (company.yaml, contracts/), `home` what runs make. Every attribute below
    `home` is a path that may not exist yet; `prepare()` makes the folders and raises `HomeError` if it cannot.
    """

    name: str
    folder: Path
    home: Path
    settings: CompanySettings = field(repr=False)

    @property
    def contracts(self) -> Path:  # noqa: D102
        return self.folder / "contracts"

    @property
    def inbox(self) -> Path:
        """Where deliveries arrive; the file sensor watches it."""
        return self.home / "inbox"

    @property
    def arriving(self) -> Path:
        """Where sources write what they bring, until it is in landing."""
        return self.home / "arriving"

    def spool(self, dataset: str) -> Path:
        """Where a webhook's deliveries wait until they are loaded."""
        return self.home / "spool" / f"{dataset}.sqlite"

    @property
    def remembered(self) -> Path:
        """What sources remember of the other side to save work; it may be deleted at any time."""
        return self.home / "remembered"

    @property
    def landing(self) -> Path:  # noqa: D102
        return self.home / "landing"

    @property
    def catalog(self) -> Path:  # noqa: D102
        return self.home / "lake" / "catalog.sqlite"

    @property
    def lake_data(self) -> Path:  # noqa: D102
        return self.home / "lake" / "data"

    @property
    def writer_lock(self) -> Path:  # noqa: D102
        return self.home / "lake" / "writer.lock"

    @property
    def dbt(self) -> Path:
        """Generated profile and sources, target, logs."""
        return self.home / "dbt"

    @property
    def feast(self) -> Path:
        """Registry, online store and generated feature_store.yaml."""
        return self.home / "feast"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.home / "dagster"

    @property
    def exports(self) -> Path:
        """What people take away: orders as JSON and xlsx."""
        return self.home / "exports"

    @property
    def catalogue(self) -> Path:
        """The static site that `stocklake docs` writes."""
        return self.home / "catalogue"

    @property
    def twin(self) -> Path:
        """The digital twin that `stocklake twin build` makes; its answers are written beside it."""
        return self.home / "twin" / "twin.npz"

    @property
    def data_docs(self) -> Path:  # noqa: D102
        return self.home / "data_docs"

    @cached_property
    def variables(self) -> dict[str, str]:
        """What `${NAME}` in a contract's path or in `data_folder` stands for."""
        data = os.environ.get("STOCKLAKE_DATA") or str(PROJECT_ROOT.parent / "shared" / "data")
        return {"INBOX": str(self.inbox), "STOCKLAKE_DATA": data, "COMPANY": str(self.folder)}

    def prepare(self) -> None:
        """Make the home's folders; raise `HomeError` with the remedy if that cannot be done."""
        try:
            for folder in (
                self.inbox,
                self.landing,
                self.lake_data,
                self.dbt,
                self.feast,
                self.dagster,
                self.exports,
            ):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home):  # without a name: several may begin at once
                pass
        except OSError as error:
            raise HomeError(
                f"The home folder {self.home} cannot be written ({error.strerror}): "
                "choose another with --home or STOCKLAKE_HOME, or change its permissions."
            ) from error


def companies_folder() -> Path:
    """Return the folder that holds one folder per company (STOCKLAKE_COMPANIES, else `companies/`)."""
    return Path(os.environ.get("STOCKLAKE_COMPANIES") or PROJECT_ROOT / "companies")


def company_names() -> list[str]:
    """Return the names of all companies that have a company.yaml, sorted."""
    return sorted(path.parent.name for path in companies_folder().glob("*/company.yaml"))


def load_company(name: str | None = None, home: Path | None = None) -> Company:
    """Return the company `name` (default: STOCKLAKE_COMPANY, else example) with its home below `home`.

    `home` defaults to STOCKLAKE_HOME, else `.stocklake` in the project; the company's own folder is
    `<home>/<name>`. Raises `CompanyError` when the name is unknown or its company.yaml does not fit the schema.
    """
    name = name or os.environ.get("STOCKLAKE_COMPANY") or "example"
    home = Path(home or os.environ.get("STOCKLAKE_HOME") or PROJECT_ROOT / ".stocklake").resolve()
    folder = companies_folder() / name
    path = folder / "company.yaml"
    if name not in company_names():
        known = ", ".join(company_names()) or "none"
        raise CompanyError(
            f"There is no company {name!r} in {companies_folder()} (known: {known}): "
            f"choose one of these, or make it with `stocklake init {name}`."
        )
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        settings = CompanySettings.model_validate(written)
    except (OSError, UnicodeDecodeError) as error:
        raise CompanyError(f"{path} cannot be read ({error}): correct it there and run again.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise CompanyError(f"{path}{line} is not valid YAML: correct it there and run again.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        where_in = f", key {key!r}" if key else ""
        raise CompanyError(f"{path}{where_in}: {what}; correct it there and run again.") from error
    return Company(name=name, folder=folder, home=home / name, settings=settings)
