with

span as (
    select * from {{ ref('business_span') }}
),

observed_lead_times as (
    select
        lead_times.supplier_id,
        lead_times.lead_time_mean_days,
        lead_times.lead_time_std_days
    from {{ ref('supplier_lead_time') }} as lead_times
    inner join span on lead_times.day <= span.as_of
    qualify row_number() over (partition by lead_times.supplier_id order by lead_times.day desc) = 1
),

rates_in_force as (
    select rates.*
    from {{ ref('fct_freight_rate') }} as rates
    inner join span on rates.valid_from <= span.as_of
    qualify row_number() over (
        partition by rates.origin, rates.destination, rates.mode
        order by rates.valid_from desc
    ) = 1
),

ways as (
    select
        positions.item_id,
        positions.location_id,
        terms.supplier_id,
        terms.lead_time_days,
        coalesce(observed_lead_times.lead_time_mean_days, terms.lead_time_days) as lead_time_mean_days,
        observed_lead_times.lead_time_std_days,
        terms.minimum_order_units,
        terms.pack_size_units,
        terms.unit_price,
        terms.is_preferred,
        terms.is_assumed,
        items.unit_weight_kg
    from {{ ref('inventory_position') }} as positions
    inner join {{ ref('dim_item') }} as items on positions.item_id = items.item_id
    inner join {{ ref('dim_supplier_item') }} as terms on positions.item_id = terms.item_id
    left join observed_lead_times on terms.supplier_id = observed_lead_times.supplier_id
),

freight as (
    select
        ways.item_id,
        ways.location_id,
        ways.supplier_id,
        rates.mode as freight_mode,
        rates.is_assumed,
        (
            coalesce(rates.rate_per_unit, ways.unit_weight_kg * rates.rate_per_kg)
            * (1 + rates.fuel_surcharge_share)
        )::double as freight_cost_per_unit
    from ways
    inner join rates_in_force as rates
        on ways.supplier_id = rates.origin and ways.location_id = rates.destination
),

cheapest_freight as (
    select *
    from freight
    where freight_cost_per_unit is not null
    qualify row_number() over (
        partition by item_id, location_id, supplier_id
        order by freight_cost_per_unit, freight_mode
    ) = 1
),

final as (
    select
        ways.item_id,
        ways.location_id,
        ways.supplier_id,
        ways.lead_time_days,
        ways.lead_time_mean_days,
        ways.lead_time_std_days,
        ways.minimum_order_units,
        ways.pack_size_units,
        ways.unit_price,
        cheapest_freight.freight_cost_per_unit::decimal(18, 4) as freight_cost_per_unit,
        cheapest_freight.freight_mode,
        ways.is_preferred,
        ways.is_assumed or coalesce(cheapest_freight.is_assumed, false) as is_assumed
    from ways
    left join cheapest_freight
        on
            ways.item_id = cheapest_freight.item_id
            and ways.location_id = cheapest_freight.location_id
            and ways.supplier_id = cheapest_freight.supplier_id
)

select * from final
