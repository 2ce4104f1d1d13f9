{{ config(materialized='slices', slice=['item_id', 'location_id', 'demand_date']) }}
{%- set lines = ref('fct_sales_order_line') %}
{%- set returns = ref('fct_return_match') %}
{%- set plan = build_plan() %}
{%- do slices_to_build(
    plan,
    'select item_id, location_id, sold_on as demand_date from ' ~ changed_rows(lines, plan)
    ~ ' union select item_id, location_id, netted_on from ' ~ changed_rows(returns, plan)
) %}
with

-- What nets a day was sold on it or later.
lines as not materialized (
    select * from {{ ref('fct_sales_order_line') }}
    where counts_as_demand and {{ is_not_before(plan, 'demand_date', 'sold_on') }}
),

returns as (
    select * from {{ ref('fct_return_match') }}
),

-- Only what came back may count for another day than its own.
dated as (
    select
        item_id,
        location_id,
        sold_on as demand_date,
        quantity_units as sold_units,
        0 as returned_units,
        revenue,
        known_at
    from lines
    where line_class = 'sale'
    union all
    select
        lines.item_id,
        lines.location_id,
        coalesce(returns.netted_on, lines.sold_on) as demand_date,
        0 as sold_units,
        abs(lines.quantity_units) as returned_units,
        lines.revenue,
        lines.known_at
    from lines
    left join returns on lines.order_id = returns.order_id and lines.order_line = returns.order_line
    where lines.line_class <> 'sale'
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
    where {{ is_affected(plan, ['item_id', 'location_id', 'demand_date'], 'dated') }}
    group by item_id, location_id, demand_date
)

select * from final
