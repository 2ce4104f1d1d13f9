"""What the world around says: the calendar, and signals as issued, each from the moment it was published."""

from feast import FeatureView
from feast.types import Bool, Float64, Int64

from features.entities import item, location
from features.views.fields import WEEK, mart_source, schema

location_calendar_day = mart_source("location_calendar_day", owner="demand planning")
location_signal_day = mart_source("location_signal_day", owner="demand planning")
item_signal_day = mart_source("item_signal_day", owner="pricing")

calendar = FeatureView(
    name="calendar",
    entities=[location],
    ttl=WEEK,
    source=location_calendar_day,
    schema=schema(
        "location_calendar_day",
        ("location_id",),
        {
            "day_of_week": Int64,
            "month": Int64,
            "is_weekend": Bool,
            "is_holiday": Bool,
            "is_holiday_tomorrow": Bool,
            "days_to_holiday": Int64,
            "days_off_ahead_7": Int64,
        },
    ),
    description="The day at a location, and the holidays and days off ahead of it.",
    owner="demand planning",
    tags={"layer": "marts", "grain": "location x day"},
)

signals = FeatureView(
    name="signals",
    entities=[location],
    ttl=WEEK,
    source=location_signal_day,
    schema=schema(
        "location_signal_day",
        ("location_id",),
        {
            "weather_index": Float64,
            "weather_index_ahead_1": Float64,
            "weather_index_ahead_7": Float64,
            "search_interest": Float64,
            "social_interest": Float64,
            "fuel_price": Float64,
            "fuel_price_age_days": Int64,
            "cpi": Float64,
            "cpi_age_days": Int64,
        },
    ),
    description="Weather as forecast and seen, public interest, fuel and consumer prices: as published by the day.",
    owner="demand planning",
    tags={"layer": "marts", "grain": "location x day"},
)

competition = FeatureView(
    name="competition",
    entities=[item],
    ttl=WEEK,
    source=item_signal_day,
    schema=schema(
        "item_signal_day",
        ("item_id",),
        {"competitor_price": Float64, "competitor_price_age_days": Int64},
    ),
    description="What a competitor asks for the item, company currency, as last published.",
    owner="pricing",
    tags={"layer": "marts", "grain": "item x day"},
)
