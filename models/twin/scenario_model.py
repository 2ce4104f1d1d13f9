"""What a scenario's YAML may say: selectors, spans and events. docs/guides/scenarios.md is its guide."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.twin.network import Kind

PERIOD_HOURS = 24


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Places(_Strict):
    """Which places: by id, or by kind and region; `largest` keeps those with most throughput."""

    id: list[str] | None = None
    kind: Kind | None = None
    region: list[str] | None = None
    largest: int | None = Field(None, ge=1)


class Lanes(_Strict):
    """Which lanes: by their ends and mode; `largest` keeps those of the origins with most throughput."""

    origin: list[str] | None = None
    destination: list[str] | None = None
    origin_kind: Kind | None = None
    origin_region: list[str] | None = None
    mode: list[str] | None = None
    largest_origins: int | None = Field(None, ge=1)


class Items(_Strict):
    """Which items: by id or category; without either all."""

    id: list[str] | None = None
    category: list[str] | None = None
    largest: int | None = Field(None, ge=1, description="those with the most demand in money")


class Span(_Strict):
    """When: from the beginning of a day of the run (0 is the first), for hours or days; neither: to the end."""

    from_day: float = Field(14, ge=0)
    hours: float | None = Field(None, ge=0)
    days: float | None = Field(None, ge=0)

    @property
    def length_days(self) -> float:
        """Return how long in days."""
        if self.hours is not None:
            return self.hours / PERIOD_HOURS
        return np.inf if self.days is None else self.days


class Close(Span):
    """Places or lanes are closed (`share`: how much of them)."""

    event: Literal["close"]
    places: Places | None = None
    lanes: Lanes | None = None
    share: float = Field(1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _names_something(self) -> "Close":
        if self.places is None and self.lanes is None:
            raise ValueError("name places or lanes that are closed")
        return self


class Stretch(Span):
    """Lead times of what leaves in the span become longer."""

    event: Literal["stretch_lead_time"]
    lanes: Lanes
    factor: float = Field(1.0, ge=1)
    more_days: int = Field(0, ge=0)


class LoseSupplier(Span):
    """Suppliers deliver nothing any more; orders go elsewhere after `reroute_after_days`, where an item has another."""

    event: Literal["lose_supplier"]
    places: Places
    reroute_after_days: int | None = Field(None, ge=0)


class Rate(Span):
    """Fuel or freight costs a different price on lanes (default: all)."""

    event: Literal["fuel", "freight"]
    percent: float = Field(ge=-100)
    lanes: Lanes = Field(default_factory=Lanes)


class DemandChange(Span):
    """Demand rises or falls."""

    event: Literal["demand"]
    percent: float = Field(ge=-100)
    items: Items = Field(default_factory=Items)
    places: Places = Field(default_factory=Places)


class PriceChange(Span):
    """Prices change and customers answer with a constant elasticity."""

    event: Literal["price"]
    percent: float = Field(gt=-100)
    elasticity: float = Field(-1.5, le=0)
    items: Items = Field(default_factory=Items)


class Strike(Span):
    """Nothing leaves on lanes (a port, a border, a carrier); what leaves in the days before is held up as long."""

    event: Literal["strike"]
    lanes: Lanes
    held_days_before: int = Field(3, ge=0)


class Recall(Span):
    """Items are scrapped everywhere and not ordered meanwhile."""

    event: Literal["recall"]
    items: Items


class Outage(Span):
    """No order is placed: the ERP is down."""

    event: Literal["erp_outage"]
    places: Places = Field(default_factory=Places)


class Include(_Strict):
    """The events of another scenario."""

    event: Literal["include"]
    scenario: str


class Risk(_Strict):
    """A risk of the register: how often in a year, how long, and what happens."""

    per_year: float = Field(ge=0)
    hours: tuple[float, float, float]
    """Shortest, most likely, longest (triangular)."""
    what: "AnyEvent"


class Register(_Strict):
    """Random events: every replication draws its own from the risk register."""

    event: Literal["random"]
    risks: list[Risk] = Field(min_length=1)


AnyEvent = Annotated[
    Close
    | Stretch
    | LoseSupplier
    | Rate
    | DemandChange
    | PriceChange
    | Strike
    | Recall
    | Outage
    | Include
    | Register,
    Field(discriminator="event"),
]
Risk.model_rebuild()
Register.model_rebuild()


class Scenario(_Strict):
    """A question and the events that it is about."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    events: list[AnyEvent]
