with

-- A later notice of a shipment says all of it anew, whatever its lines are numbered by.
standing as (
    select *
    from {{ ref('stg_shipment_line') }}
    qualify
        notice_id is null
        or notice_id is not distinct from first_value(notice_id) over (
            partition by shipment_id
            order by _known_at desc nulls last, _file desc, _line desc
        )
),

{{ newest_lines('shipment_line', rows='standing') }},

{{ converted_lines('shipment_line') }},

placed as (
    select
        lines.*,
        coalesce(lines.location_id, shipments.destination) as destination,
        shipments.delivered_at,
        shipments.known_at as shipment_known_at,
        min(lines.shipped_on) over (
            partition by lines.purchase_order_id, lines.conformed_item_id
        ) as first_shipped_on,
        coalesce(sum(lines.shipped_units) over (
            partition by lines.purchase_order_id, lines.conformed_item_id
            order by lines.shipped_on, lines.shipment_id, lines.shipment_line
            rows between unbounded preceding and 1 preceding
        ), 0) as shipped_before_units
    from lines
    left join {{ ref('fct_shipment') }} as shipments on lines.shipment_id = shipments.shipment_id
),

-- Receipts name orders, not shipments: what came of an order's item since its first notice is of the shipments
-- that left first.
announced as (
    select distinct
        purchase_order_id,
        conformed_item_id as item_id,
        first_shipped_on
    from placed
),

received as (
    select
        announced.purchase_order_id,
        announced.item_id,
        sum(receipts.received_units) as received_units,
        max(receipts.known_at) as known_at
    from announced
    inner join {{ ref('fct_purchase_order_line') }} as orders
        on announced.purchase_order_id = orders.purchase_order_id and announced.item_id = orders.item_id
    inner join {{ ref('fct_goods_receipt') }} as receipts
        on
            orders.purchase_order_id = receipts.purchase_order_id
            and orders.purchase_order_line = receipts.purchase_order_line
            and announced.first_shipped_on <= receipts.received_on
    group by announced.purchase_order_id, announced.item_id
),

counted as (
    select
        placed.*,
        greatest(
            least(placed.shipped_units, coalesce(received.received_units, 0) - placed.shipped_before_units), 0
        )::bigint as received_units,
        received.known_at as received_known_at
    from placed
    left join received
        on
            placed.purchase_order_id = received.purchase_order_id
            and placed.conformed_item_id = received.item_id
),

final as (
    select
        shipment_id,
        shipment_line,
        purchase_order_id,
        purchase_order_line,
        conformed_item_id as item_id,
        destination as location_id,
        shipped_on,
        expected_on,
        shipped_units,
        received_units,
        case when delivered_at is null then shipped_units - received_units else 0 end as expected_units,
        delivered_at,
        original_quantity,
        original_unit,
        greatest(
            coalesce(_known_at, shipped_on + interval 1 day), conversion_known_at, shipment_known_at, received_known_at
        ) as known_at,
        _file,
        _line
    from counted
)

select * from final
