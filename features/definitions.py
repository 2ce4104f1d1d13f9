"""Everything that the registry holds, imported once.

The one module that Feast's own commands read: they import every file of a repository under a name of its own, and
a view seen under two names would be two views (`.feastignore` hides the others).
"""

from features.entities import item, location, supplier
from features.services import (
    demand_forecast_v1,
    demand_forecast_v2,
    replenishment_v1,
    stock_cover_v1,
    supplier_choice_v1,
)
from features.views.demand import demand_history, inventory, item_location_feature, price_promotion
from features.views.on_demand import stock_cover
from features.views.supply import (
    freight_cost,
    lane_freight_rate,
    open_order_day,
    open_orders,
    supplier_item_term,
    supplier_lead_time,
    supplier_receipts,
    supplier_terms,
)
from features.views.surroundings import (
    calendar,
    competition,
    item_signal_day,
    location_calendar_day,
    location_signal_day,
    signals,
)

ENTITIES = [item, location, supplier]
SOURCES = [
    item_location_feature,
    open_order_day,
    supplier_receipts,
    supplier_item_term,
    lane_freight_rate,
    location_calendar_day,
    location_signal_day,
    item_signal_day,
]
VIEWS = [
    demand_history,
    price_promotion,
    inventory,
    open_orders,
    supplier_lead_time,
    supplier_terms,
    freight_cost,
    calendar,
    signals,
    competition,
]
ON_DEMAND_VIEWS = [stock_cover]
SERVICES = [demand_forecast_v1, demand_forecast_v2, replenishment_v1, supplier_choice_v1, stock_cover_v1]

OBJECTS = [*ENTITIES, *SOURCES, *VIEWS, *ON_DEMAND_VIEWS, *SERVICES]
