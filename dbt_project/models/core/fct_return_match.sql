{{ config(materialized='slices', slice=['item_id', 'location_id']) }}
{%- set lines = ref('fct_sales_order_line') %}
{%- set plan = build_plan() %}
{%- do slices_to_build(
    plan,
    'select changed.item_id, changed.location_id from ' ~ changed_rows(lines, plan) ~ ' as changed'
    ~ " where changed.line_class in ('return', 'cancellation') union"
    ~ ' select changed.item_id, changed.location_id from ' ~ changed_rows(lines, plan) ~ ' as changed'
    ~ ' inner join ' ~ lines ~ ' as returns on changed.item_id is not distinct from returns.item_id'
    ~ ' and changed.location_id is not distinct from returns.location_id'
    ~ " where changed.line_class = 'sale' and returns.line_class in ('return', 'cancellation')"
    ~ ' and returns.sold_at >= changed.sold_at'
) %}
-- A return takes its units off the newest earlier sale of the same item at the same location that was large enough: in
-- the order that it names, else in its own order, else by the same customer. What was sold once comes back once: a
-- return that would take more units off a sale than it had finds no sale.
with

returns as (
    select
        order_id,
        order_line,
        item_id,
        location_id,
        customer_id,
        original_order_id,
        sold_at,
        sold_on,
        abs(quantity_units) as returned_units
    from {{ ref('fct_sales_order_line') }}
    where
        line_class in ('return', 'cancellation')
        and {{ is_affected(plan, ['item_id', 'location_id'], 'fct_sales_order_line') }}
),

-- Only of what was ever returned.
sales as (
    select
        order_id,
        order_line,
        item_id,
        location_id,
        customer_id,
        sold_at,
        sold_on,
        quantity_units
    from {{ ref('fct_sales_order_line') }} as lines
    where
        line_class = 'sale'
        and exists (
            select 1 from returns
            where returns.item_id = lines.item_id and returns.location_id = lines.location_id
        )
),

-- Three equi-joins, not one join with `or`: each is a hash join.
pairs as (
    {%- for rank, condition in [
        (1, 'returns.original_order_id = sales.order_id'),
        (2, 'returns.order_id = sales.order_id'),
        (3, 'returns.customer_id = sales.customer_id'),
    ] %}
    select
        returns.order_id,
        returns.order_line,
        returns.sold_at,
        returns.returned_units,
        sales.order_id as original_order_id,
        sales.order_line as original_order_line,
        sales.sold_at as original_sold_at,
        sales.sold_on as original_sold_on,
        sales.quantity_units as original_units,
        {{ rank }} as evidence_rank
    from returns
    inner join sales
        on
            {{ condition }}
            and returns.item_id = sales.item_id
            and returns.location_id = sales.location_id
            and returns.sold_at >= sales.sold_at
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

best as (
    select
        *,
        original_units >= returned_units as is_large_enough
    from pairs
    qualify row_number() over (
        partition by order_id, order_line
        order by
            original_units >= returned_units desc,
            evidence_rank,
            original_sold_at desc,
            original_order_id desc,
            original_order_line desc
    ) = 1
),

taken as (
    select
        *,
        sum(returned_units) over (
            partition by original_order_id, original_order_line
            order by sold_at, order_id, order_line
            rows between unbounded preceding and current row
        ) <= original_units as is_still_there
    from best
    where is_large_enough
),

judged as (
    select
        returns.order_id,
        returns.order_line,
        returns.item_id,
        returns.location_id,
        returns.sold_on,
        returns.returned_units,
        coalesce(taken.is_still_there, false) as is_matched,
        taken.original_order_id,
        taken.original_order_line,
        taken.original_sold_on,
        case
            when taken.is_still_there then null
            when taken.order_id is not null then 'already_returned'
            when best.order_id is not null then 'larger_than_any_sale'
            when coalesce(returns.original_order_id, returns.customer_id) is null then 'names_no_origin'
            else 'no_earlier_sale'
        end as unmatched_reason
    from returns
    left join best on returns.order_id = best.order_id and returns.order_line = best.order_line
    left join taken on returns.order_id = taken.order_id and returns.order_line = taken.order_line
),

final as (
    select
        order_id,
        order_line,
        item_id,
        location_id,
        returned_units,
        is_matched,
        case when is_matched then original_order_id end as original_order_id,
        case when is_matched then original_order_line end as original_order_line,
        case when is_matched then original_sold_on else sold_on end as netted_on,
        unmatched_reason
    from judged
)

select * from final
