"""Days and zones as company.yaml says them: weekends and holidays of the company, its countries and its locations."""

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator


class WorkingDays(BaseModel):
    """Days on which somebody does not work: weekend days (ISO, 1 is Monday) and named public holidays."""

    model_config = ConfigDict(extra="forbid")

    weekend: list[Annotated[int, Field(ge=1, le=7)]] | None = Field(
        None, description="left out: that of the country or company"
    )
    holidays: dict[str, str] = Field(default_factory=dict, description="ISO date or MM-DD -> name")

    @field_validator("holidays", mode="before")
    @classmethod
    def _dates_as_text(cls, value: object) -> object:
        """Take an ISO date without quotes too: YAML reads it as a date."""
        if not isinstance(value, dict):
            return value
        return {key.isoformat() if isinstance(key, date) else key: name for key, name in value.items()}

    @field_validator("holidays")
    @classmethod
    def _days_exist(cls, value: dict[str, str]) -> dict[str, str]:
        for day in value:
            try:
                # 2000 is a leap year, so that 02-29 is a day.
                date.fromisoformat(day if len(day) == 10 else f"2000-{day}")
            except ValueError as error:
                raise ValueError(f"{day!r} is no day; write it as MM-DD or YYYY-MM-DD") from error
        return value


class Calendar(WorkingDays):
    """Days that matter to demand and to lead times. Holidays of the company are everybody's; others come on top."""

    weekend: list[Annotated[int, Field(ge=1, le=7)]] = Field(default_factory=lambda: [6, 7])
    countries: dict[str, WorkingDays] = Field(
        default_factory=dict, description="country of a location, as its master spells it -> its own days"
    )
    locations: dict[str, WorkingDays] = Field(
        default_factory=dict, description="location_id -> its own days, beside those of its country"
    )

    @field_validator("countries", mode="before")
    @classmethod
    def _one_spelling(cls, value: object) -> object:
        """Spell countries as core.dim_location does. `NO` without quotes is Norway here, as YAML is 1.2."""
        if not isinstance(value, dict):
            return value
        names = ["NO" if name is False else str(name).strip().upper() for name in value]
        if len(set(names)) < len(names):
            raise ValueError("a country stands there twice: keep one")
        return dict(zip(names, value.values(), strict=True))


def zone_name(name: object) -> str:
    """Return an IANA name; raise `ValueError` where there is no such zone."""
    try:
        return ZoneInfo(str(name)).key
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone: write its IANA name, as in America/Denver or UTC"
        ) from error
