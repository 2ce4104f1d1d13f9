with

span as (
    select * from {{ ref('business_span') }}
),

locations as (
    select
        location_id,
        purchasing_location_id
    from {{ ref('dim_location') }}
),

-- What is on hand is what the last count up to as_of found; a missing day does not empty a shelf.
newest_counts as (
    select inventory.*
    from {{ ref('fct_inventory') }} as inventory
    inner join span on inventory.snapshot_date <= span.as_of
    qualify row_number() over (
        partition by inventory.item_id, inventory.location_id
        order by inventory.snapshot_date desc
    ) = 1
),

on_hand as (
    select
        newest_counts.item_id,
        locations.purchasing_location_id as location_id,
        sum(greatest(newest_counts.on_hand_units, 0))::bigint as on_hand_units,
        -- A location that buys gets its goods by purchase order: those count once, below.
        sum(greatest(newest_counts.in_transit_units, 0)) filter (
            where newest_counts.location_id <> locations.purchasing_location_id
        )::bigint as between_locations_units,
        bool_or(newest_counts.is_assumed) as is_assumed,
        arg_max(
            {
                'delivery_id': newest_counts._delivery_id,
                'file': newest_counts._file,
                'line': newest_counts._line
            },
            (newest_counts.snapshot_date, newest_counts.known_at, newest_counts.location_id)
        ) as newest
    from newest_counts
    inner join locations on newest_counts.location_id = locations.location_id
    group by newest_counts.item_id, locations.purchasing_location_id
),

moving_orders as (
    select distinct shipments.purchase_order_id
    from {{ ref('fct_shipment') }} as shipments
    where
        shipments.purchase_order_id is not null
        and shipments.departed_at is not null
        and shipments.delivered_at is null
),

open_orders as (
    select
        orders.item_id,
        locations.purchasing_location_id as location_id,
        sum(case when moving_orders.purchase_order_id is null then orders.open_units else 0 end)::bigint
            as on_order_units,
        sum(case when moving_orders.purchase_order_id is null then 0 else orders.open_units end)::bigint
            as in_transit_units
    from {{ ref('fct_purchase_order_line') }} as orders
    inner join locations on orders.location_id = locations.location_id
    left join moving_orders on orders.purchase_order_id = moving_orders.purchase_order_id
    where orders.open_units > 0
    group by orders.item_id, locations.purchasing_location_id
),

demanded as (
    select distinct
        demand.item_id,
        locations.purchasing_location_id as location_id
    from {{ ref('int_series_span') }} as demand
    inner join locations on demand.location_id = locations.location_id
),

positions as (
    select
        item_id,
        location_id
    from on_hand
    union distinct
    select
        item_id,
        location_id
    from open_orders
    union distinct
    select
        item_id,
        location_id
    from demanded
),

final as (
    select
        positions.item_id,
        positions.location_id,
        span.as_of,
        coalesce(on_hand.on_hand_units, 0) as on_hand_units,
        coalesce(open_orders.in_transit_units, 0) + coalesce(on_hand.between_locations_units, 0) as in_transit_units,
        coalesce(open_orders.on_order_units, 0) as on_order_units,
        on_hand.newest.delivery_id as newest_delivery_id,
        on_hand.newest.file as newest_file,
        on_hand.newest.line as newest_line,
        coalesce(on_hand.is_assumed, false) as is_assumed
    from positions
    cross join span
    left join on_hand
        on
            positions.item_id = on_hand.item_id
            and positions.location_id = on_hand.location_id
    left join open_orders
        on
            positions.item_id = open_orders.item_id
            and positions.location_id = open_orders.location_id
)

select * from final
