"""What is known of supply: what is on order, how long suppliers take, what they ask, and what freight costs."""

from datetime import timedelta

from feast import FeatureView
from feast.types import Bool, Float64, Int64

from features.entities import ITEM_LOCATION, SUPPLIER_ITEM, location, supplier
from features.views.fields import STANDS, mart_source, schema

open_order_day = mart_source("open_order_day", owner="procurement")
supplier_receipts = mart_source("supplier_lead_time", owner="procurement")
supplier_item_term = mart_source("supplier_item_term", owner="procurement")
lane_freight_rate = mart_source("lane_freight_rate", owner="logistics")

open_orders = FeatureView(
    name="open_orders",
    entities=ITEM_LOCATION,
    ttl=STANDS,
    source=open_order_day,
    schema=schema(
        "open_order_day",
        ("item_id", "location_id"),
        {"on_order_units": Float64, "open_order_lines": Int64},
    ),
    description="What is on order of an item for a location that buys, in units: with the stock, its inventory position.",
    owner="procurement",
    tags={"layer": "marts", "grain": "item x purchasing location x day of change"},
)

supplier_lead_time = FeatureView(
    name="supplier_lead_time",
    entities=[supplier],
    ttl=timedelta(days=180),
    source=supplier_receipts,
    schema=schema(
        "supplier_lead_time",
        ("supplier_id",),
        {
            "lead_time_mean_days": Float64,
            "lead_time_std_days": Float64,
            "lead_time_p90_days": Float64,
            "on_time_share": Float64,
            "late_mean_days": Float64,
            "receipts": Int64,
        },
    ),
    description="Realised lead time of a supplier over its last 180 days, in days, and its reliability, as a share.",
    owner="procurement",
    tags={"layer": "marts", "grain": "supplier x day with a receipt"},
)

supplier_terms = FeatureView(
    name="supplier_terms",
    entities=SUPPLIER_ITEM,
    ttl=STANDS,
    source=supplier_item_term,
    schema=schema(
        "supplier_item_term",
        ("supplier_id", "item_id"),
        {
            "quoted_lead_time_days": Int64,
            "minimum_order_units": Int64,
            "pack_size_units": Int64,
            "unit_cost": Float64,
            "unit_cost_change_share": Float64,
            "is_preferred": Bool,
        },
    ),
    description="What a supplier asks for an item: cost (company currency), order sizes (units), stated lead time (days).",
    owner="procurement",
    tags={"layer": "marts", "grain": "supplier x item x day of change"},
)

freight_cost = FeatureView(
    name="freight_cost",
    entities=[supplier, location],
    ttl=STANDS,
    source=lane_freight_rate,
    schema=schema(
        "lane_freight_rate",
        ("supplier_id", "location_id"),
        {
            "freight_rate_per_kg": Float64,
            "minimum_freight_charge": Float64,
            "fuel_surcharge_share": Float64,
            "freight_modes": Int64,
        },
    ),
    description="Cheapest freight from a supplier to a location, company currency per kg, fuel included.",
    owner="logistics",
    tags={"layer": "marts", "grain": "supplier x location x day of change"},
)
