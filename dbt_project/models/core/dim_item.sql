-- Items that were sold but stand in no master are taken from the sales lines, under the name most often used.
with

master as (
    select
        {{ conformed_item('item_id') }} as item_id,
        item_name,
        category,
        unit_weight_kg,
        list_price,
        introduced_on,
        coalesce(is_discontinued, false) as is_discontinued
    from {{ ref('stg_item') }}
    {{ newest_version([conformed_item('item_id')], own_row_first=true) }}
),

sales_lines as (
    select
        {{ conformed_item('item_id') }} as item_id,
        item_text,
        sold_at
    from {{ ref('stg_sales_order_line') }}
),

spellings as (
    select
        sales_lines.item_id,
        sales_lines.item_text,
        count(*) as line_count,
        min(sales_lines.sold_at) as first_sold_at
    from sales_lines
    where
        not exists (select 1 from master where master.item_id = sales_lines.item_id)
        and not {{ is_non_product('sales_lines.item_id') }}
    group by sales_lines.item_id, sales_lines.item_text
),

from_sales as (
    select
        item_id,
        arg_max(item_text, (line_count, item_text)) as item_name,
        min(first_sold_at)::date as introduced_on
    from spellings
    group by item_id
),

final as (
    select
        item_id,
        item_name,
        category,
        unit_weight_kg,
        list_price,
        introduced_on,
        is_discontinued,
        false as is_assumed
    from master
    union all
    select
        item_id,
        item_name,
        null as category,
        null as unit_weight_kg,
        null as list_price,
        introduced_on,
        false as is_discontinued,
        false as is_assumed
    from from_sales
)

select * from final
