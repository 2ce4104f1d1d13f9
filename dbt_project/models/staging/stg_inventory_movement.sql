{{ stage_entity('inventory_movement') }}
