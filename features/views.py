"""What a model may know: one feature view per theme, over the marts of a release.

Every value has one definition, the mart's SQL: the views name columns, they compute nothing. `as_of_ts` is the
moment a day is complete, `known_at` the moment its newest value was known; a row counts from the later of the two,
so a late correction changes nothing before it arrived. A ttl says when a value is too old to stand for today.
"""

from datetime import timedelta

from feast import FeatureView, Field
from feast.types import Bool, Float64, Int64, String

from features.entities import item, location, supplier
from features.stores.source import LakeSource

WEEK = timedelta(days=7)

item_location_day = LakeSource(
    name="item_location_day",
    table="marts.item_location_day",
    timestamp_field="as_of_ts",
    created_timestamp_column="known_at",
    description="One row per item x location x day, dense from the first sale to the newest business date.",
    owner="demand planning",
)

supplier_receipts = LakeSource(
    name="supplier_lead_time",
    table="marts.supplier_lead_time",
    timestamp_field="as_of_ts",
    created_timestamp_column="known_at",
    description="One row per supplier x day with a receipt, over the supplier's last 180 days.",
    owner="procurement",
)

ITEM_LOCATION_KEYS = [
    Field(name="item_id", dtype=String, description="conformed item code"),
    Field(name="location_id", dtype=String, description="conformed location code"),
]


def _units(name: str, description: str) -> Field:
    return Field(name=name, dtype=Float64, description=description, tags={"unit": "units"})


demand_history = FeatureView(
    name="demand_history",
    entities=[item, location],
    ttl=WEEK,
    source=item_location_day,
    schema=[
        *ITEM_LOCATION_KEYS,
        _units("demand_units", "net demand of the day, never negative"),
        _units("lag_7", "demand 7 days before the day"),
        _units("lag_14", "demand 14 days before the day"),
        _units("lag_28", "demand 28 days before the day"),
        _units("mean_7", "mean daily demand of the last 7 days"),
        _units("mean_28", "mean daily demand of the last 28 days"),
        _units("mean_91", "mean daily demand of the last 91 days"),
        _units("std_28", "standard deviation of daily demand over the last 28 days"),
        *(
            _units(f"dow_mean_{day}", f"mean demand of the last four ISO weekdays {day}")
            for day in range(1, 8)
        ),
        Field(
            name="zero_share_28",
            dtype=Float64,
            description="share of the last 28 days without demand",
            tags={"unit": "share"},
        ),
        Field(
            name="days_since_last_sale",
            dtype=Int64,
            description="days from the last day with demand to the day",
            tags={"unit": "days"},
        ),
    ],
    description="Demand of an item at a location up to the day, in units per day, shares and days.",
    owner="demand planning",
    tags={"layer": "marts", "grain": "item x location x day"},
)

price_promotion = FeatureView(
    name="price_promotion",
    entities=[item, location],
    ttl=WEEK,
    source=item_location_day,
    schema=[
        *ITEM_LOCATION_KEYS,
        Field(
            name="unit_price",
            dtype=Float64,
            description="price of one unit on the day, before discount",
            tags={"unit": "company currency"},
        ),
        Field(
            name="discount_share",
            dtype=Float64,
            description="discount of the promotion in force; 0.2 takes 20 % off",
            tags={"unit": "share"},
        ),
        Field(name="is_promoted", dtype=Bool, description="whether a promotion was in force on the day"),
    ],
    description="Price (company currency) and promotion (share) of an item at a location on the day.",
    owner="pricing",
    tags={"layer": "marts", "grain": "item x location x day"},
)

inventory = FeatureView(
    name="inventory",
    entities=[item, location],
    ttl=WEEK,
    source=item_location_day,
    schema=[
        *ITEM_LOCATION_KEYS,
        _units("on_hand_units", "stock on hand at the end of the day"),
        Field(
            name="is_stockout", dtype=Bool, description="whether the shelf was empty at the end of the day"
        ),
    ],
    description="Stock of an item at a location at the end of the day, in units.",
    owner="inventory control",
    tags={"layer": "marts", "grain": "item x location x day"},
)

supplier_lead_time = FeatureView(
    name="supplier_lead_time",
    entities=[supplier],
    ttl=timedelta(days=180),
    source=supplier_receipts,
    schema=[
        Field(name="supplier_id", dtype=String, description="conformed supplier code"),
        Field(
            name="lead_time_mean_days",
            dtype=Float64,
            description="mean days from order to first receipt",
            tags={"unit": "days"},
        ),
        Field(
            name="lead_time_std_days",
            dtype=Float64,
            description="standard deviation of days from order to first receipt",
            tags={"unit": "days"},
        ),
        Field(
            name="on_time_share",
            dtype=Float64,
            description="share of receipts on or before the expected day",
            tags={"unit": "share"},
        ),
        Field(
            name="receipts",
            dtype=Int64,
            description="receipts that the figures rest on",
            tags={"unit": "receipts"},
        ),
    ],
    description="Realised lead time of a supplier over its last 180 days, in days, and its reliability, as a share.",
    owner="procurement",
    tags={"layer": "marts", "grain": "supplier x day with a receipt"},
)
