with

{{ newest_lines('inventory_movement') }},

{{ converted_lines('inventory_movement') }},

final as (
    select
        movement_id,
        movement_type,
        moved_on,
        moved_at,
        location_id,
        conformed_item_id as item_id,
        moved_units,
        reference_id,
        reference_line,
        original_quantity,
        original_unit,
        greatest(coalesce(_known_at, moved_on + interval 1 day), conversion_known_at) as known_at,
        _file,
        _line
    from lines
)

select * from final
