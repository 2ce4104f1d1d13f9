-- Between two events that follow each other lies one leg; what kind, the first of them says. A scan that nobody made
-- joins two legs into one, which then names the event that is missing.
with

events as (
    select
        shipment_id,
        event_type,
        place,
        min(event_at) as event_at,
        max(coalesce(_known_at, event_at)) as known_at,
        case event_type
            when 'booked' then 1
            when 'departed' then 2
            when 'hub_arrived' then 3
            when 'hub_departed' then 3
            when 'arrived' then 4
            when 'delivered' then 5
        end as step
    from {{ ref('stg_shipment_event') }}
    where event_type in ('booked', 'departed', 'hub_arrived', 'hub_departed', 'arrived', 'delivered')
    group by shipment_id, event_type, place
),

in_order as (
    select
        *,
        lead(event_type) over of_shipment as next_event,
        lead(place) over of_shipment as next_place,
        lead(event_at) over of_shipment as next_at,
        lead(step) over of_shipment as next_step,
        lead(known_at) over of_shipment as next_known_at,
        row_number() over of_shipment as leg_number
    from events
    window of_shipment as (partition by shipment_id order by event_at, step, event_type, place)
),

final as (
    select
        legs.shipment_id,
        legs.leg_number,
        case legs.event_type
            when 'booked' then 'waiting'
            when 'hub_arrived' then 'dwell'
            when 'arrived' then 'unloading'
            else 'transit'
        end as leg_type,
        case
            when legs.event_type in ('booked', 'departed') then shipments.origin
            when legs.event_type = 'arrived' then shipments.destination
            else legs.place
        end as from_place,
        case
            when legs.event_type = 'booked' then shipments.origin
            when legs.event_type = 'hub_arrived' then legs.place
            else coalesce(legs.next_place, shipments.destination)
        end as to_place,
        legs.event_at as started_at,
        legs.next_at as ended_at,
        date_diff('second', legs.event_at, legs.next_at) / 3600.0 as leg_hours,
        case
            when legs.next_event is null then null
            when legs.event_type = 'booked' and legs.next_event <> 'departed' then 'departed'
            when legs.event_type in ('departed', 'hub_departed') and legs.next_event = 'hub_departed' then 'hub_arrived'
            when legs.event_type = 'hub_arrived' and legs.next_event <> 'hub_departed' then 'hub_departed'
        end as missing_event,
        coalesce(legs.next_step < legs.step, false) as is_out_of_order,
        greatest(legs.known_at, legs.next_known_at) as known_at
    from in_order as legs
    inner join {{ ref('fct_shipment') }} as shipments on legs.shipment_id = shipments.shipment_id
    where legs.event_type <> 'delivered'
)

select * from final
