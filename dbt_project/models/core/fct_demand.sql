with

lines as (
    select * from {{ ref('fct_sales_order_line') }}
    where counts_as_demand
),

returns as (
    select * from {{ ref('fct_return_match') }}
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
    group by item_id, location_id, demand_date
)

select * from final
