"""What each model reads: one feature service per model and version. A change of inputs is a new version."""

from feast import FeatureService

from features.views import demand_history, inventory, price_promotion, supplier_lead_time

demand_forecast_v1 = FeatureService(
    name="demand_forecast_v1",
    features=[demand_history, price_promotion, inventory],
    description="Inputs of the 28-day demand forecast, one row per item x location.",
    owner="demand planning",
    tags={"model": "demand_forecast", "version": "1"},
)

replenishment_v1 = FeatureService(
    name="replenishment_v1",
    features=[
        inventory,
        demand_history[["demand_units", "mean_28", "std_28", "zero_share_28"]],
        price_promotion[["unit_price"]],
        supplier_lead_time,
    ],
    description="Inputs of the replenishment plan, one row per item x location x supplier.",
    owner="replenishment",
    tags={"model": "replenishment", "version": "1"},
)
