{{ version_history(
    'supplier',
    key={'supplier_id': 'supplier_id'},
    said=['supplier_name', 'country'],
    begins='_known_at'
) }}
