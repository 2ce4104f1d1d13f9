{{ stage_entity('price') }}
