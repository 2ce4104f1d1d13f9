{%- set assumed = var('assumptions').get('freight') %}
with

{{ newest_lines('freight_rate') }},

{{ converted_lines('freight_rate') }},

quoted as (
    select
        origin,
        destination,
        mode,
        valid_from,
        rate_per_kg,
        cast(null as decimal(18, 6)) as rate_per_unit,
        minimum_charge,
        coalesce(fuel_surcharge_share, 0) as fuel_surcharge_share,
        original_rate_per_kg,
        original_minimum_charge,
        original_currency,
        false as is_assumed,
        greatest(coalesce(_known_at, cast(valid_from as timestamp)), conversion_known_at) as known_at
    from lines
),

-- An assumed rate holds from any supplier to any location that buys, unless a rate was quoted for the lane.
assumed as (
    select
        suppliers.supplier_id as origin,
        locations.location_id as destination,
        {{ text_literal(assumed.mode if assumed else none) }} as mode,
        span.first_date as valid_from,
        cast(null as decimal(18, 6)) as rate_per_kg,
        {{ number_literal(assumed.rate_per_unit if assumed else none, 'decimal(18, 6)') }} as rate_per_unit,
        cast(null as decimal(18, 4)) as minimum_charge,
        cast(0 as decimal(18, 6)) as fuel_surcharge_share,
        cast(null as decimal(18, 6)) as original_rate_per_kg,
        cast(null as decimal(18, 4)) as original_minimum_charge,
        cast(null as varchar) as original_currency,
        true as is_assumed,
        cast(span.first_date as timestamp) as known_at
    from {{ ref('dim_supplier') }} as suppliers
    cross join {{ ref('dim_location') }} as locations
    cross join {{ ref('business_span') }} as span
    where
        {{ 'true' if assumed else 'false' }}
        and locations.location_id = locations.purchasing_location_id
        and not exists (
            select 1 from quoted
            where quoted.origin = suppliers.supplier_id and quoted.destination = locations.location_id
        )
),

final as (
    select * from quoted
    union all
    select * from assumed
)

select * from final
