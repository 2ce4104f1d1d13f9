"""Everything that the registry holds, imported once.

The one module that Feast's own commands read: they import every file of a repository under a name of its own, and
a view seen under two names would be two views (`.feastignore` hides the others).
"""

from features.entities import item, location, supplier
from features.services import demand_forecast_v1, replenishment_v1
from features.views import (
    demand_history,
    inventory,
    item_location_day,
    price_promotion,
    supplier_lead_time,
    supplier_receipts,
)

OBJECTS = [
    item,
    location,
    supplier,
    item_location_day,
    supplier_receipts,
    demand_history,
    price_promotion,
    inventory,
    supplier_lead_time,
    demand_forecast_v1,
    replenishment_v1,
]
