"""What each model reads: one feature service per model and version. A change of inputs is a new version."""

from feast import FeatureService

from features.views.demand import DOW_MEANS, LEVELS, demand_history, inventory, price_promotion
from features.views.on_demand import stock_cover
from features.views.supply import freight_cost, open_orders, supplier_lead_time, supplier_terms
from features.views.surroundings import calendar, competition, signals

demand_forecast_v1 = FeatureService(
    name="demand_forecast_v1",
    features=[
        demand_history[[*LEVELS, *DOW_MEANS, "zero_share_28", "days_since_last_sale"]],
        price_promotion[["unit_price", "discount_share", "is_promoted"]],
        inventory[["on_hand_units", "is_stockout"]],
    ],
    description="Inputs of the 28-day demand forecast, one row per item x location.",
    owner="demand planning",
    tags={"model": "demand_forecast", "version": "1"},
)

demand_forecast_v2 = FeatureService(
    name="demand_forecast_v2",
    features=[demand_history, price_promotion, inventory, calendar, signals, competition],
    description="Inputs of a demand forecast that also reads quantiles, calendar and signals, one row per item x location.",
    owner="demand planning",
    tags={"model": "demand_forecast", "version": "2"},
)

replenishment_v1 = FeatureService(
    name="replenishment_v1",
    features=[
        inventory,
        open_orders,
        demand_history[["demand_units", "mean_28", "std_28", "zero_share_28"]],
        price_promotion[["unit_price"]],
        supplier_lead_time,
    ],
    description="Inputs of the replenishment plan, one row per item x location x supplier.",
    owner="replenishment",
    tags={"model": "replenishment", "version": "1"},
)

supplier_choice_v1 = FeatureService(
    name="supplier_choice_v1",
    features=[supplier_lead_time, supplier_terms, freight_cost],
    description="What speaks for a supplier of an item at a location: lead time, reliability, cost and freight.",
    owner="procurement",
    tags={"model": "supplier_choice", "version": "1"},
)

stock_cover_v1 = FeatureService(
    name="stock_cover_v1",
    features=[inventory[["on_hand_units"]], demand_history[["mean_28"]], stock_cover],
    description="How long the stock of an item at a location lasts, with what that is computed from.",
    owner="inventory control",
    tags={"model": "stock_cover", "version": "1"},
)
