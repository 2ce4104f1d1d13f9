-- Of all modes that a lane has, the cheapest rate as known when the day closed, fuel included.
with

versions as (
    select
        origin,
        destination,
        mode,
        valid_from,
        rate_per_kg,
        minimum_charge,
        coalesce(fuel_surcharge_share, 0) as fuel_surcharge_share,
        {{ counts_on('coalesce(_known_at, valid_from::timestamp)', 'valid_from') }} as counts_on,
        coalesce(_known_at, valid_from::timestamp) as known_at,
        _file,
        _line
    from (
        {{ every_version('freight_rate', has_item=false) | indent(8) }}
    ) as lines
),

changes as (
    {{ changes_as_known('versions', ['origin', 'destination', 'mode']) | indent(4) }}
),

lane_days as (
    select distinct
        changes.origin,
        changes.destination,
        changes.counts_on
    from changes
    inner join {{ ref('business_span') }} as span on changes.counts_on <= span.as_of
),

modes as (
    select distinct
        origin,
        destination,
        mode
    from changes
),

in_force as (
    select
        lane_days.origin,
        lane_days.destination,
        lane_days.counts_on as day,
        modes.mode,
        changes.rate_per_kg * (1 + changes.fuel_surcharge_share) as rate_per_kg,
        changes.fuel_surcharge_share,
        changes.minimum_charge
    from lane_days
    inner join modes on lane_days.origin = modes.origin and lane_days.destination = modes.destination
    asof inner join changes
        on
            lane_days.origin = changes.origin
            and lane_days.destination = changes.destination
            and modes.mode = changes.mode
            and lane_days.counts_on >= changes.counts_on
),

final as (
    select
        suppliers.supplier_id,
        in_force.destination as location_id,
        in_force.day,
        {{ closing('in_force.day') }},
        min(in_force.rate_per_kg)::double as freight_rate_per_kg,
        arg_min(in_force.minimum_charge, (in_force.rate_per_kg, in_force.mode))::double as minimum_freight_charge,
        arg_min(in_force.fuel_surcharge_share, (in_force.rate_per_kg, in_force.mode))::double as fuel_surcharge_share,
        count(*) as freight_modes
    from in_force
    inner join {{ ref('dim_supplier') }} as suppliers on in_force.origin = suppliers.supplier_id
    group by suppliers.supplier_id, in_force.destination, in_force.day
)

select * from final
