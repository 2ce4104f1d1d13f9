-- What an order says of itself beside what its lines add up to; an order is tied where both agree to the cent.
with

newest as (
    select * from {{ ref('stg_purchase_order') }}
    {{ newest_version(['purchase_order_id']) }}
),

-- An order is compared as it was delivered: in its own units and currency.
as_delivered as (
    select
        purchase_order_id,
        coalesce(upper(trim(original_currency)), {{ text_literal(var('currency')) }}) as currency,
        coalesce(original_line_amount, line_amount) as line_amount,
        coalesce(original_quantity, ordered_units) * coalesce(original_unit_price, unit_price) as product
    from {{ ref('fct_purchase_order_line') }}
),

lines as (
    select
        purchase_order_id,
        count(*) as line_count,
        sum(coalesce(line_amount, product))::decimal(18, 4) as lines_amount,
        count_if(abs(line_amount - product) >= 0.005) as lines_off,
        count(distinct currency) as currencies,
        min(currency) as currency
    from as_delivered
    group by purchase_order_id
),

waiting as (
    select
        document_id,
        count(*) as line_count
    from {{ ref('unconverted_row') }}
    where entity = 'purchase_order_line'
    group by document_id
),

final as (
    select
        newest.purchase_order_id,
        newest.supplier_id,
        newest.location_id,
        newest.ordered_on,
        newest.shipped_on,
        newest.status,
        newest.goods_amount,
        newest.tax_amount,
        newest.freight_amount,
        newest.total_amount,
        coalesce(lines.line_count, 0) as line_count,
        coalesce(lines.lines_amount, 0)::decimal(18, 4) as lines_amount,
        coalesce(lines.lines_off, 0) as lines_off,
        coalesce(waiting.line_count, 0) as waiting_lines,
        lines.currency,
        coalesce(abs(newest.goods_amount - coalesce(lines.lines_amount, 0)) < 0.005, true)
        and coalesce(
            abs(newest.goods_amount + newest.tax_amount + newest.freight_amount - newest.total_amount) < 0.005, true
        )
        and coalesce(lines.lines_off, 0) = 0
        and waiting.document_id is null
        and coalesce(lines.currencies, 0) <= 1 as is_tied,
        coalesce(newest._known_at, newest.ordered_on + interval 1 day) as known_at,
        newest._file,
        newest._line
    from newest
    left join lines on newest.purchase_order_id = lines.purchase_order_id
    left join waiting on newest.purchase_order_id = waiting.document_id
)

select * from final
