{{ stage_entity('supplier_item') }}
