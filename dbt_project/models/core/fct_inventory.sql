{{ config(materialized='slices', slice=['item_id', 'location_id', 'snapshot_date']) }}
{%- set assumed_days = var('assumptions').get('on_hand_days_of_demand') %}
{%- set demand = ref('fct_demand') %}
{%- set span = ref('business_span') %}
{%- set plan = build_plan() %}
{%- set changed %}
select {{ conformed_item('item_id') }} as item_id, location_id, snapshot_date
from {{ changed_entity('inventory_snapshot', plan) }}
{%- if assumed_days is not none %}
union
select item_id, location_id, snapshot_date from {{ this }} where is_assumed
union
select demand.item_id, demand.location_id, span.as_of from {{ demand }} as demand cross join {{ span }} as span
{%- endif %}
{%- endset %}
{%- set affected = slices_to_build(plan, changed) %}
-- Where a company counts no stock, an assumption may stand in: so many days of the demand of the last 91 days, once, at
-- as_of. It never replaces a count.
with

counts as (
    select
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        in_transit_units,
        _known_at,
        _delivery_id,
        _file,
        _line
    from {{ ref('stg_inventory_snapshot') }}
),

counted as (
    select
        item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        in_transit_units,
        coalesce(_known_at, snapshot_date + interval 1 day) as known_at,
        _delivery_id,
        _file,
        _line
    from counts
    {%- if affected %}
    where {{ is_affected(['item_id', 'location_id', 'snapshot_date'], 'counts') }}
    {%- endif %}
    {{ newest_version(['item_id', 'location_id', 'snapshot_date']) }}
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
    from {{ demand }} as demand
    cross join {{ span }} as span
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
        select 1 from counts
        where
            counts.item_id = recent_demand.item_id
            and counts.location_id = recent_demand.location_id
    )
),

final as (
    select
        item_id,
        location_id,
        snapshot_date,
        on_hand_units,
        in_transit_units,
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
        true as is_assumed,
        known_at,
        null as _delivery_id,
        null as _file,
        null as _line
    from assumed
)

select * from final
