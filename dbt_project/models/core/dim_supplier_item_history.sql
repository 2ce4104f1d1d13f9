{{ version_history(
    'supplier_item',
    key={'supplier_id': 'supplier_id', 'item_id': conformed_item('item_id')},
    said=['lead_time_days', 'minimum_order_units', 'pack_size_units', 'unit_price', 'unit', 'currency', 'is_preferred'],
    begins='coalesce(valid_from::timestamp, _known_at)'
) }}
