with

newest as (
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_purchase_order_line') }}
    {{ newest_version(['purchase_order_id', 'purchase_order_line']) }}
),

-- Where an ERP keeps the supplier and the day with the order, the line takes them from there.
orders as (
    select * from {{ ref('stg_purchase_order') }}
    {{ newest_version(['purchase_order_id']) }}
),

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
        newest.purchase_order_id,
        newest.purchase_order_line,
        coalesce(newest.supplier_id, orders.supplier_id) as supplier_id,
        newest.conformed_item_id as item_id,
        coalesce(newest.location_id, orders.location_id) as location_id,
        coalesce(newest.ordered_on, orders.ordered_on) as ordered_on,
        newest.expected_on,
        newest.ordered_units,
        coalesce(received.received_units, 0) as received_units,
        greatest(newest.ordered_units - coalesce(received.received_units, 0), 0) as open_units,
        received.first_received_on,
        received.first_received_on - coalesce(newest.ordered_on, orders.ordered_on) as lead_time_days,
        newest.unit_price,
        newest.line_amount,
        greatest(
            coalesce(newest._known_at, coalesce(newest.ordered_on, orders.ordered_on) + interval 1 day),
            received.known_at
        ) as known_at,
        newest._file,
        newest._line
    from newest
    left join orders on newest.purchase_order_id = orders.purchase_order_id
    left join received
        on
            newest.purchase_order_id = received.purchase_order_id
            and newest.purchase_order_line = received.purchase_order_line
)

select * from final
