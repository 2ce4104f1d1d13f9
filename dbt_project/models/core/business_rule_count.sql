with

final as (
    select
        business_rule,
        count(*) as line_count,
        sum(quantity_units)::bigint as units,
        sum(revenue)::decimal(18, 4) as revenue
    from {{ ref('fct_sales_order_line') }}
    group by business_rule
)

select * from final
