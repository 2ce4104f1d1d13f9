{%- set key = ['item_id', 'location_id', 'valid_from'] %}
{{ config(materialized='slices', slice=key) }}
{%- set plan = build_plan('price') %}
{%- do slices_to_build(
    plan,
    'select ' ~ conformed_item('item_id') ~ ' as item_id, location_id, valid_from from ' ~ changed_entity('price', plan)
) %}
with

versions as (
    select * replace ({{ conformed_item('item_id') }} as item_id)
    from {{ ref('stg_price') }}
),

touched as (
    select * from versions
    where {{ is_affected(plan, key, 'versions') }}
),

{{ newest_lines('price', rows='touched') }},

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
