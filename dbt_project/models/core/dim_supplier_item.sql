{%- set assumptions = var('assumptions') %}
{%- set assumed = assumptions.get('supplier') and assumptions.get('lead_time_days') is not none %}
-- Of several terms the newest that holds at as_of; terms that begin later wait. Where nobody quoted an item, an
-- assumption of the company may stand in for it.
with

span as (
    select * from {{ ref('business_span') }}
),

{{ newest_lines('supplier_item') }},

{{ converted_lines('supplier_item') }},

typical_price as (
    select
        item_id,
        quantile_disc(unit_price, 0.5) as unit_price
    from {{ ref('fct_sales_order_line') }}
    where line_class = 'sale' and unit_price > 0
    group by item_id
),

assumed as (
    select
        {{ text_literal(assumptions.supplier.supplier_id if assumed else none) }} as supplier_id,
        items.item_id,
        {{ number_literal(assumptions.lead_time_days if assumed else none, 'integer') }} as lead_time_days,
        {{ number_literal(assumptions.get('minimum_order_units'), 'integer') }} as minimum_order_units,
        {{ number_literal(assumptions.get('pack_size_units'), 'integer') }} as pack_size_units,
        (
            coalesce(typical_price.unit_price, items.list_price)
            * {{ number_literal(assumptions.get('unit_cost_share_of_price', 1), 'decimal(9, 6)') }}
        )::decimal(18, 4) as unit_price,
        span.first_date as valid_from
    from {{ ref('dim_item') }} as items
    cross join span
    left join typical_price on items.item_id = typical_price.item_id
    where
        {{ 'true' if assumed else 'false' }}
        and not exists (select 1 from lines where lines.conformed_item_id = items.item_id)
),

final as (
    select
        supplier_id,
        conformed_item_id as item_id,
        lead_time_days,
        coalesce(minimum_order_units, 1) as minimum_order_units,
        coalesce(pack_size_units, 1) as pack_size_units,
        unit_price,
        coalesce(is_preferred, false) as is_preferred,
        valid_from,
        original_unit,
        original_unit_price,
        original_currency,
        false as is_assumed
    from lines
    union all
    select
        supplier_id,
        item_id,
        lead_time_days,
        coalesce(minimum_order_units, 1) as minimum_order_units,
        coalesce(pack_size_units, 1) as pack_size_units,
        unit_price,
        true as is_preferred,
        valid_from,
        cast(null as varchar) as original_unit,
        cast(null as decimal(18, 4)) as original_unit_price,
        cast(null as varchar) as original_currency,
        true as is_assumed
    from assumed
    where unit_price is not null
)

select * from final
