{{ config(materialized='slices', slice=['item_id', 'location_id', 'demand_date']) }}
{%- set lines = ref('fct_sales_order_line') %}
{%- set returns = ref('fct_return_match') %}
{%- set plan = build_plan() %}
{%- set affected = slices_to_build(
    plan,
    'select item_id, location_id, sold_on as demand_date from ' ~ changed_rows(lines, plan)
    ~ ' union select item_id, location_id, netted_on from ' ~ changed_rows(returns, plan)
) %}
with

{#- What nets a day was sold on it or later. #}
lines as (
    select * from {{ lines }}
    where
        counts_as_demand
        {%- if affected %}
        and sold_on >= {{ date_literal(first_affected('demand_date')) }}
        {%- endif %}
),

returns as (
    select * from {{ returns }}
),

dated as (
    select
        lines.item_id,
        lines.location_id,
        coalesce(returns.netted_on, lines.sold_on) as demand_date,
        case when lines.line_class = 'sale' then lines.quantity_units else 0 end as sold_units,
        case when lines.line_class = 'sale' then 0 else abs(lines.quantity_units) end as returned_units,
        lines.revenue,
        lines.known_at
    from lines
    left join returns on lines.order_id = returns.order_id and lines.order_line = returns.order_line
),

final as (
    select
        item_id,
        location_id,
        demand_date,
        greatest(sum(sold_units) - sum(returned_units), 0)::bigint as demand_units,
        sum(sold_units)::bigint as sold_units,
        sum(returned_units)::bigint as returned_units,
        sum(revenue)::decimal(18, 4) as revenue,
        count(*) as line_count,
        max(known_at) as known_at
    from dated
    {%- if affected %}
    where {{ is_affected(['item_id', 'location_id', 'demand_date'], 'dated') }}
    {%- endif %}
    group by item_id, location_id, demand_date
)

select * from final
