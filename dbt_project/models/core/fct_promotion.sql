{%- set key = ['promotion_id', 'item_id', 'location_id'] %}
{{ config(materialized='slices', slice=key) }}
{%- set plan = build_plan() %}
{%- do slices_to_build(
    plan,
    'select promotion_id, ' ~ conformed_item('item_id') ~ ' as item_id, location_id from '
    ~ changed_entity('promotion', plan)
) %}
with

versions as (
    select * replace ({{ conformed_item('item_id') }} as item_id)
    from {{ ref('stg_promotion') }}
),

final as (
    select
        promotion_id,
        item_id,
        location_id,
        starts_on,
        ends_on,
        coalesce(discount_share, 0) as discount_share,
        coalesce(_known_at, starts_on::timestamp) as known_at
    from versions
    where {{ is_affected(plan, key, 'versions') }}
    {{ newest_version(key) }}
)

select * from final
