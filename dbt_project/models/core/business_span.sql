{{ config(materialized='differences') }}
-- Promotions, prices and rates reach into the future, orders may be typed ahead: only what was sold and what was
-- counted says which day it is; where nothing is sold (a plant that only buys), also what came in.
with

sales as (
    select {{ sold_day() }} as business_date
    from {{ ref('stg_sales_order_line') }}
    {{ join_places() }}
),

counts as (
    select snapshot_date as business_date
    from {{ ref('stg_inventory_snapshot') }}
),

receipts as (
    select received_on as business_date
    from {{ ref('stg_goods_receipt') }}
    where not exists (select 1 from sales)
),

days as (
    select business_date from sales
    union all
    select business_date from counts
    union all
    select business_date from receipts
),

final as (
    select
        min(business_date) as first_date,
        max(business_date) as as_of
    from days
    having count(*) > 0
)

select * from final
