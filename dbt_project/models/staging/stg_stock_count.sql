{{ stage_entity('stock_count') }}
