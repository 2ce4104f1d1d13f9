"""What a feature can be about. One entity per thing; a view names the entities that together key its rows."""

from feast import Entity, ValueType

item = Entity(
    name="item",
    join_keys=["item_id"],
    value_type=ValueType.STRING,
    description="A thing that is bought, stocked and sold, by its conformed code (core.dim_item).",
    owner="master data",
)

location = Entity(
    name="location",
    join_keys=["location_id"],
    value_type=ValueType.STRING,
    description="A place that holds stock: distribution centre, warehouse or store (core.dim_location).",
    owner="master data",
)

supplier = Entity(
    name="supplier",
    join_keys=["supplier_id"],
    value_type=ValueType.STRING,
    description="A company that purchase orders go to (core.dim_supplier).",
    owner="procurement",
)

ITEM_LOCATION = [item, location]
"""An item at a location; Feast keys a pair by both entities together."""

SUPPLIER_ITEM = [supplier, item]
"""An item as a supplier sells it."""
