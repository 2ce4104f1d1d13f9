{{ config(materialized='differences') }}
-- Promotions, prices and rates reach into the future, orders may be typed ahead: only what was sold and what was
-- counted says which day it is.
with

sales as (
    select sold_at::date as business_date
    from {{ ref('stg_sales_order_line') }}
),

counts as (
    select snapshot_date as business_date
    from {{ ref('stg_inventory_snapshot') }}
),

days as (
    select business_date from sales
    union all
    select business_date from counts
),

final as (
    select
        min(business_date) as first_date,
        max(business_date) as as_of
    from days
    having count(*) > 0
)

select * from final
