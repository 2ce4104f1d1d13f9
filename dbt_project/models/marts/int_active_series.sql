{{ config(materialized='ephemeral') }}
-- What sold nothing for a whole year, season and all, is not planned from its past: its days would be zeros
-- without end.
with

final as (
    select
        demand.item_id,
        demand.location_id,
        min(demand.demand_date) as first_day
    from {{ ref('fct_demand') }} as demand
    cross join {{ ref('business_span') }} as span
    where demand.sold_units > 0
    group by demand.item_id, demand.location_id, span.as_of
    having max(demand.demand_date) > span.as_of - interval 365 day
)

select * from final
