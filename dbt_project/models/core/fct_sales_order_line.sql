{{ config(materialized='slices', slice=['order_id', 'order_line']) }}
{%- set plan = build_plan() %}
{%- set affected = slices_to_build(
    plan, 'select distinct order_id, order_line from ' ~ changed_entity('sales_order_line', plan)
) %}
{%- set key = ['order_id', 'order_line'] %}
-- Most lines have one version. A hash finds the few that may have more; only these are put in order.
with

{%- if affected %}

lines as (
    select * from {{ ref('stg_sales_order_line') }} as lines
    where {{ is_affected(key, 'lines') }}
),

newest as (
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from lines
    {{ newest_version(key) }}
),
{%- else %}

suspects as (
    select hash(order_id, order_line) as print
    from {{ ref('stg_sales_order_line') }}
    group by hash(order_id, order_line)
    having count(*) > 1
),

newest as (
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_sales_order_line') }}
    where hash(order_id, order_line) not in (select suspects.print from suspects)
    union all
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_sales_order_line') }}
    where hash(order_id, order_line) in (select suspects.print from suspects)
    {{ newest_version(key) }}
),
{%- endif %}

-- The first rule that applies decides; its name stays with the line.
ruled as (
    select
        *,
        case
            when {{ order_begins_with('adjustment_prefix') }} then 'adjustment_order'
            when line_type = 'adjustment' then 'line_type_adjustment'
            when {{ is_non_product('conformed_item_id') }} then 'non_product_item'
            when {{ order_begins_with('cancellation_prefix') }} then 'cancellation_order'
            when line_type = 'cancellation' then 'line_type_cancellation'
            when {{ is_priceless_adjustment() }} then 'zero_price'
            when line_type = 'return' then 'line_type_return'
            when quantity_units < 0 then 'negative_quantity'
            else 'plain_sale'
        end as business_rule
    from newest
),

classed as (
    select
        *,
        case business_rule
            when 'non_product_item' then 'non_product'
            when 'adjustment_order' then 'adjustment'
            when 'line_type_adjustment' then 'adjustment'
            when 'zero_price' then 'adjustment'
            when 'cancellation_order' then 'cancellation'
            when 'line_type_cancellation' then 'cancellation'
            when 'line_type_return' then 'return'
            when 'negative_quantity' then 'return'
            else 'sale'
        end as line_class
    from ruled
),

final as (
    select
        order_id,
        order_line,
        sold_at,
        sold_at::date as sold_on,
        location_id,
        conformed_item_id as item_id,
        quantity_units,
        unit_price,
        (quantity_units * unit_price)::decimal(18, 4) as revenue,
        customer_id,
        original_order_id,
        line_class,
        business_rule,
        line_class in ('sale', 'return', 'cancellation') as counts_as_demand,
        coalesce(_known_at, sold_at::date + interval 1 day) as known_at,
        _file,
        _line
    from classed
)

select * from final
