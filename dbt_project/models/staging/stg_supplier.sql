{{ stage_entity('supplier') }}
