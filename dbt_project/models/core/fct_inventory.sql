{%- set key = ['item_id', 'location_id', 'snapshot_date'] %}
{{ config(materialized='slices', slice=key) }}
{%- set assumed_days = var('assumptions').get('on_hand_days_of_demand') %}
{%- set plan = build_plan('inventory_snapshot') %}
{%- set changed %}
select {{ conformed_item('item_id') }} as item_id, location_id, snapshot_date
from {{ changed_entity('inventory_snapshot', plan) }}
{%- if assumed_days is not none %}
union
select item_id, location_id, snapshot_date from {{ this }} where is_assumed
union
select demand.item_id, demand.location_id, span.as_of
from {{ ref('fct_demand') }} as demand cross join {{ ref('business_span') }} as span
{%- endif %}
{%- endset %}
{%- do slices_to_build(plan, changed) %}
-- Where a company counts no stock, an assumption may stand in: so many days of the demand of the last 91 days, once, at
-- as_of. It never replaces a count.
with

versions as (
    select * replace ({{ conformed_item('item_id') }} as item_id)
    from {{ ref('stg_inventory_snapshot') }}
),

touched as (
    select * from versions
    where {{ is_affected(plan, key, 'versions') }}
),

{{ newest_lines('inventory_snapshot', rows='touched') }},

{{ converted_lines('inventory_snapshot') }},

counted as (
    select
        conformed_item_id as item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        in_transit_units,
        original_quantity,
        original_unit,
        greatest(coalesce(_known_at, snapshot_date + interval 1 day), conversion_known_at) as known_at,
        _delivery_id,
        _file,
        _line
    from lines
),

recent_demand as (
    select
        demand.item_id,
        demand.location_id,
        span.as_of,
        coalesce(
            sum(demand.demand_units) filter (
                where demand.demand_date between span.as_of - interval 90 day and span.as_of
            ),
            0
        ) as demand_units
    from {{ ref('fct_demand') }} as demand
    cross join {{ ref('business_span') }} as span
    where {{ 'true' if assumed_days is not none else 'false' }}
    group by demand.item_id, demand.location_id, span.as_of
),

assumed as (
    select
        recent_demand.item_id,
        recent_demand.location_id,
        recent_demand.as_of as snapshot_date,
        ceil(recent_demand.demand_units * {{ number_literal(assumed_days, 'double') }} / 91)::bigint as on_hand_units,
        recent_demand.as_of + interval 1 day as known_at
    from recent_demand
    where not exists (
        select 1 from {{ 'versions' if plan.mode == 'part' else 'counted' }} as counted
        where
            counted.item_id = recent_demand.item_id
            and counted.location_id = recent_demand.location_id
    )
),

final as (
    select
        item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        in_transit_units,
        original_quantity,
        original_unit,
        false as is_assumed,
        known_at,
        _delivery_id,
        _file,
        _line
    from counted
    union all
    select
        item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        cast(null as bigint) as in_transit_units,
        cast(null as decimal(18, 6)) as original_quantity,
        cast(null as varchar) as original_unit,
        true as is_assumed,
        known_at,
        null as _delivery_id,
        null as _file,
        null as _line
    from assumed
)

select * from final
