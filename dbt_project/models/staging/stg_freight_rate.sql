{{ stage_entity('freight_rate') }}
