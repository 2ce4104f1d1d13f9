{{ version_history(
    'item',
    key={'item_id': conformed_item('item_id')},
    said=['item_name', 'category', 'unit_weight_kg', 'unit_volume_m3', 'list_price', 'introduced_on', 'is_discontinued'],
    begins='_known_at'
) }}
