{{ config(materialized='differences') }}
with

final as (
    select
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        valid_from,
        unit_price,
        coalesce(_known_at, valid_from::timestamp) as known_at
    from {{ ref('stg_price') }}
    {{ newest_version([conformed_item('item_id'), 'location_id', 'valid_from']) }}
)

select * from final
