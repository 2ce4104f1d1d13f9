{{ stage_entity('inventory_snapshot') }}
