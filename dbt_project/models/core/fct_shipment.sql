with

events as (
    select * from {{ ref('stg_shipment_event') }}
    {{ newest_version(['shipment_id', 'event_type', 'event_at']) }}
),

-- What an event leaves open (a delivery often names no weight) comes from the newest event that says it.
final as (
    select
        shipment_id,
        arg_max(purchase_order_id, event_at) as purchase_order_id,
        arg_max(origin, event_at) as origin,
        arg_max(destination, event_at) as destination,
        arg_max(carrier, event_at) as carrier,
        arg_max(mode, event_at) as mode,
        arg_max(weight_kg, event_at) as weight_kg,
        min(event_at) filter (where event_type = 'departed') as departed_at,
        min(event_at) filter (where event_type = 'delivered') as delivered_at,
        max(coalesce(_known_at, event_at)) as known_at
    from events
    group by shipment_id
)

select * from final
