with

{{ newest_lines('price') }},

{{ converted_lines('price') }},

final as (
    select
        conformed_item_id as item_id,
        location_id,
        valid_from,
        unit_price,
        original_unit,
        original_unit_price,
        original_currency,
        greatest(coalesce(_known_at, valid_from::timestamp), conversion_known_at) as known_at
    from lines
)

select * from final
