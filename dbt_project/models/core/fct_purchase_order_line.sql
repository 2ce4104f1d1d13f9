-- depends_on: {{ ref('dim_unit_conversion') }}, {{ ref('fct_exchange_rate') }}
with

{{ newest_lines('purchase_order_line') }},

{{ converted_lines('purchase_order_line') }},

received as (
    select
        purchase_order_id,
        purchase_order_line,
        sum(received_units)::bigint as received_units,
        min(received_on) filter (where received_units > 0) as first_received_on,
        max(known_at) as known_at
    from {{ ref('fct_goods_receipt') }}
    group by purchase_order_id, purchase_order_line
),

final as (
    select
        lines.purchase_order_id,
        lines.purchase_order_line,
        lines.supplier_id,
        lines.conformed_item_id as item_id,
        lines.location_id,
        lines.ordered_on,
        lines.expected_on,
        lines.ordered_units,
        coalesce(received.received_units, 0) as received_units,
        greatest(lines.ordered_units - coalesce(received.received_units, 0), 0) as open_units,
        received.first_received_on,
        received.first_received_on - lines.ordered_on as lead_time_days,
        lines.unit_price,
        lines.line_amount,
        lines.original_quantity,
        lines.original_unit,
        lines.original_unit_price,
        lines.original_currency,
        greatest(
            coalesce(lines._known_at, lines.ordered_on + interval 1 day), received.known_at, lines.conversion_known_at
        ) as known_at,
        lines._file,
        lines._line
    from lines
    left join received
        on
            lines.purchase_order_id = received.purchase_order_id
            and lines.purchase_order_line = received.purchase_order_line
)

select * from final
