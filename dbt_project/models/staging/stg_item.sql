{{ stage_entity('item') }}
