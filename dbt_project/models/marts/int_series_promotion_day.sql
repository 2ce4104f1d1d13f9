{{ config(materialized='view') }}
-- Promotions of all locations (no location_id) count for each series of the item; of several on one day the deepest.
with

series as (
    select * from {{ ref('int_active_series') }}
),

days as (
    select
        series.item_id,
        series.location_id,
        unnest(generate_series(promotions.starts_on, promotions.ends_on, interval 1 day))::date as day,
        promotions.discount_share,
        promotions.known_at
    from {{ ref('fct_promotion') }} as promotions
    inner join series on promotions.item_id = series.item_id
    where promotions.location_id is null or promotions.location_id = series.location_id
),

final as (
    select
        item_id,
        location_id,
        day,
        max(discount_share) as discount_share,
        max(known_at) as known_at
    from days
    group by item_id, location_id, day
)

select * from final
