{{ stage_entity('purchase_order') }}
