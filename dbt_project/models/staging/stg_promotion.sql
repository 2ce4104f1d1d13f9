{{ stage_entity('promotion') }}
