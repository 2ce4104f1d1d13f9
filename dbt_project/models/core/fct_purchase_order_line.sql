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
        day_received.working_day_number - day_ordered.working_day_number as lead_time_working_days,
        lines.unit_price,
        lines.line_value as ordered_amount,
        lines.line_amount,
        lines.original_quantity,
        lines.original_unit,
        lines.original_unit_price,
        lines.original_currency,
        lines.original_line_amount,
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
    left join {{ ref('dim_location') }} as places on lines.location_id = places.location_id
    left join {{ ref('dim_working_day') }} as day_ordered
        on
            coalesce(places.working_calendar, 'company') = day_ordered.working_calendar
            and lines.ordered_on = day_ordered.calendar_date
    left join {{ ref('dim_working_day') }} as day_received
        on
            coalesce(places.working_calendar, 'company') = day_received.working_calendar
            and received.first_received_on = day_received.calendar_date
)

select * from final
