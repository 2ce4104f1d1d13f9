with

final as (
    select
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        counted_on,
        counted_units,
        coalesce(_known_at, counted_on + interval 1 day) as known_at
    from {{ ref('stg_stock_count') }}
    {{ newest_version([conformed_item('item_id'), 'location_id', 'counted_on']) }}
)

select * from final
