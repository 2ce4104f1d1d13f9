with

events as (
    select * from {{ ref('stg_shipment_event') }}
    {{ newest_version(['shipment_id', 'event_type', 'event_at']) }}
),

-- What an event leaves open (a delivery often names no weight) comes from the newest event that says it.
shipments as (
    select
        shipment_id,
        arg_max(purchase_order_id, event_at) as purchase_order_id,
        arg_max(origin, event_at) as origin,
        arg_max(destination, event_at) as destination,
        arg_max(carrier, event_at) as carrier,
        arg_max(mode, event_at) as mode,
        arg_max(weight_kg, event_at) as weight_kg,
        min(ordered_on) as ordered_on,
        min(event_at) filter (where event_type = 'booked') as booked_at,
        min(event_at) filter (where event_type = 'departed') as departed_at,
        min(event_at) filter (where event_type = 'delivered') as delivered_at,
        bool_or(event_type in ('hub_arrived', 'hub_departed', 'arrived', 'delivered')) as is_beyond_origin,
        max(coalesce(_known_at, event_at)) as known_at
    from events
    group by shipment_id
),

final as (
    select
        * exclude (is_beyond_origin, known_at),
        nullif(
            concat_ws(
                ', ',
                case when booked_at is null then 'booked' end,
                case when departed_at is null and is_beyond_origin then 'departed' end
            ),
            ''
        ) as missing_events,
        known_at
    from shipments
)

select * from final
