{{ config(materialized='differences') }}
with

final as (
    select
        promotion_id,
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        starts_on,
        ends_on,
        coalesce(discount_share, 0) as discount_share,
        coalesce(_known_at, starts_on::timestamp) as known_at
    from {{ ref('stg_promotion') }}
    {{ newest_version(['promotion_id', conformed_item('item_id'), 'location_id']) }}
)

select * from final
