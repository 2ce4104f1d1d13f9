{{ config(materialized='slices', slice=['item_id', 'location_id']) }}
{%- set demand = ref('fct_demand') %}
{%- set plan = build_plan() %}
{%- set affected = slices_to_build(plan, 'select distinct item_id, location_id from ' ~ changed_rows(demand, plan)) %}
-- A day more moves the ends of nearly all series, and asks nobody to read their past again: only where a day is gone,
-- or no longer sold anything where a series began or ended, is the series read anew.
with

{%- if affected %}

touched as (
    select distinct
        item_id,
        location_id,
        demand_date
    from {{ changed_rows(demand, plan) }}
),

standing as (
    select
        touched.item_id,
        touched.location_id,
        touched.demand_date,
        demand.demand_date is not null as is_there,
        coalesce(demand.sold_units > 0, false) as is_sold
    from touched
    left join {{ demand }} as demand
        on
            touched.item_id = demand.item_id
            and touched.location_id = demand.location_id
            and touched.demand_date = demand.demand_date
            and demand.demand_date >= (select min(earliest.demand_date) from touched as earliest)
),

merged as (
    select
        standing.item_id,
        standing.location_id,
        least(any_value(before.first_sold_on), min(standing.demand_date) filter (where standing.is_sold))
            as first_sold_on,
        greatest(any_value(before.last_sold_on), max(standing.demand_date) filter (where standing.is_sold))
            as last_sold_on,
        bool_or(
            not standing.is_there
            or (not standing.is_sold and standing.demand_date in (before.first_sold_on, before.last_sold_on))
        ) is true as is_to_read
    from standing
    left join {{ this }} as before
        on standing.item_id = before.item_id and standing.location_id = before.location_id
    group by standing.item_id, standing.location_id
),

final as (
    select
        item_id,
        location_id,
        first_sold_on,
        last_sold_on
    from merged
    where not is_to_read
    union all
    select
        demand.item_id,
        demand.location_id,
        min(demand.demand_date) filter (where demand.sold_units > 0) as first_sold_on,
        max(demand.demand_date) filter (where demand.sold_units > 0) as last_sold_on
    from {{ demand }} as demand
    inner join merged
        on
            merged.is_to_read
            and demand.item_id = merged.item_id
            and demand.location_id = merged.location_id
    group by demand.item_id, demand.location_id
)
{%- else %}

final as (
    select
        item_id,
        location_id,
        min(demand_date) filter (where sold_units > 0) as first_sold_on,
        max(demand_date) filter (where sold_units > 0) as last_sold_on
    from {{ demand }}
    group by item_id, location_id
)
{%- endif %}

select * from final
