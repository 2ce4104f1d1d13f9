"""What is known of an item at a location: what it sells, at what price and promotion, and what stands there."""

from feast import FeatureView
from feast.types import Bool, Float64, Int64

from features.entities import ITEM_LOCATION
from features.views.fields import WEEK, mart_source, schema

MART = "item_location_feature"
KEYS = ("item_id", "location_id")

item_location_feature = mart_source(MART, owner="demand planning")

LEVELS = ("demand_units", "lag_7", "lag_14", "lag_28", "mean_7", "mean_28", "mean_91", "std_28")
DOW_MEANS = tuple(f"dow_mean_{day}" for day in range(1, 8))

demand_history = FeatureView(
    name="demand_history",
    entities=ITEM_LOCATION,
    ttl=WEEK,
    source=item_location_feature,
    schema=schema(
        MART,
        KEYS,
        {
            **dict.fromkeys((*LEVELS, "median_28", "p90_28", *DOW_MEANS, "zero_share_28"), Float64),
            "demand_interval_91": Float64,
            "size_cv2_91": Float64,
            "days_since_last_sale": Int64,
        },
    ),
    description="Demand of an item at a location up to the day: lags, means, quantiles, intermittency, time since a sale.",
    owner="demand planning",
    tags={"layer": "marts", "grain": "item x location x day"},
)

price_promotion = FeatureView(
    name="price_promotion",
    entities=ITEM_LOCATION,
    ttl=WEEK,
    source=item_location_feature,
    schema=schema(
        MART,
        KEYS,
        {"unit_price": Float64, "discount_share": Float64, "is_promoted": Bool, "promoted_share_28": Float64},
    ),
    description="Price (company currency) and promotion (share) of an item at a location on the day.",
    owner="pricing",
    tags={"layer": "marts", "grain": "item x location x day"},
)

inventory = FeatureView(
    name="inventory",
    entities=ITEM_LOCATION,
    ttl=WEEK,
    source=item_location_feature,
    schema=schema(MART, KEYS, {"on_hand_units": Float64, "on_hand_age_days": Int64, "is_stockout": Bool}),
    description="Stock of an item at a location as last read, in units, with the age of the reading.",
    owner="inventory control",
    tags={"layer": "marts", "grain": "item x location x day"},
)
