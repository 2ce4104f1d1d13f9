{{ stage_entity('signal') }}
