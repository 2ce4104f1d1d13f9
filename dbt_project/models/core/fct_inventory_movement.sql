with

final as (
    select
        movement_id,
        movement_type,
        moved_on,
        moved_at,
        location_id,
        {{ conformed_item('item_id') }} as item_id,
        moved_units,
        reference_id,
        reference_line,
        coalesce(_known_at, moved_on + interval 1 day) as known_at,
        _file,
        _line
    from {{ ref('stg_inventory_movement') }}
    {{ newest_version(['movement_id']) }}
)

select * from final
