{{ stage_entity('location') }}
