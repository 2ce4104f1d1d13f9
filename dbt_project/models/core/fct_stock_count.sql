with

{{ newest_lines('stock_count') }},

{{ converted_lines('stock_count') }},

final as (
    select
        conformed_item_id as item_id,
        location_id,
        counted_on,
        counted_units,
        original_quantity,
        original_unit,
        greatest(coalesce(_known_at, counted_on + interval 1 day), conversion_known_at) as known_at
    from lines
)

select * from final
