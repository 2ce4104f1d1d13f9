{%- set key = ['order_id', 'order_line'] %}
{{ config(materialized='slices', slice=key) }}
{%- set plan = build_plan('sales_order_line') %}
{%- do slices_to_build(plan, 'select order_id, order_line from ' ~ changed_entity('sales_order_line', plan)) %}
-- Most lines have one version. A hash finds the few that may have more; only these are put in order.
with

versions as not materialized (
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_sales_order_line') }}
    where {{ is_affected(plan, key, 'stg_sales_order_line') }}
),

suspects as (
    select hash(order_id, order_line) as print
    from versions
    group by hash(order_id, order_line)
    having count(*) > 1
),

newest as (
    select * from versions
    where hash(order_id, order_line) not in (select suspects.print from suspects)
    union all
    select * from versions
    where hash(order_id, order_line) in (select suspects.print from suspects)
    {{ newest_version(key) }}
),

{{ classed_lines() }},

final as (
    select
        order_id,
        order_line,
        sold_at,
        {{ sold_day() }} as sold_on,
        location_id,
        conformed_item_id as item_id,
        quantity_units,
        unit_price,
        line_value as revenue,
        customer_id,
        original_order_id,
        line_class,
        business_rule,
        line_class in ('sale', 'return', 'cancellation') as counts_as_demand,
        original_quantity,
        original_unit,
        original_unit_price,
        original_currency,
        greatest(coalesce(_known_at, {{ sold_day() }} + interval 1 day), conversion_known_at) as known_at,
        _file,
        _line
    from classed
    {{ join_places() }}
)

select * from final
