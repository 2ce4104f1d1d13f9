{{ stage_entity('unit_conversion') }}
