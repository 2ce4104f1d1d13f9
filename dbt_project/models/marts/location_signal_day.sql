{%- set known = ['weather_index', 'search_interest', 'social_interest', 'fuel_price', 'cpi'] %}
-- What was known of a place when the day closed: what is told of the location itself, else of its region, else of all.
with

locations as (
    select
        location_id,
        region
    from {{ ref('dim_location') }}
),

places as (
    select
        locations.location_id,
        signals.day,
        signals.series,
        signals.value,
        signals.age_days,
        case
            when signals.location_id is not null then 1
            when signals.region is not null then 2
            else 3
        end as distance
    from {{ ref('signal_day') }} as signals
    inner join locations
        on
            coalesce(signals.location_id, locations.location_id) = locations.location_id
            and (signals.region is null or signals.region = locations.region)
    where signals.item_id is null
),

-- Forecasts as issued: of each of the seven days ahead, the newest that was published before the day closed.
issued as (
    select
        location_id,
        region,
        observed_for,
        value,
        unnest(
            generate_series(
                greatest({{ day_of('published_at') }}, observed_for - interval 7 day),
                least(
                    observed_for - interval 1 day,
                    coalesce({{ day_of('superseded_at') }} - interval 1 day, observed_for - interval 1 day)
                ),
                interval 1 day
            )
        )::date as day
    from {{ ref('fct_signal') }}
    where series = 'weather_index' and item_id is null and {{ day_of('published_at') }} < observed_for
),

ahead as (
    select
        locations.location_id,
        issued.day,
        avg(issued.value::double) filter (where issued.observed_for = issued.day + 1) as weather_index_ahead_1,
        avg(issued.value::double) as weather_index_ahead_7
    from issued
    inner join locations
        on
            coalesce(issued.location_id, locations.location_id) = locations.location_id
            and (issued.region is null or issued.region = locations.region)
    group by locations.location_id, issued.day
),

told as (
    select
        {%- for series in known %}
        arg_min(value, distance) filter (where series = '{{ series }}')::double as {{ series }},
        arg_min(age_days, distance) filter (where series = '{{ series }}') as {{ series }}_age_days,
        {%- endfor %}
        location_id,
        day
    from places
    group by location_id, day
),

final as (
    select
        coalesce(told.location_id, ahead.location_id) as location_id,
        coalesce(told.day, ahead.day) as day,
        {{ closing('coalesce(told.day, ahead.day)') }},
        told.weather_index,
        ahead.weather_index_ahead_1,
        ahead.weather_index_ahead_7,
        told.search_interest,
        told.social_interest,
        told.fuel_price,
        told.fuel_price_age_days,
        told.cpi,
        told.cpi_age_days
    from told
    full join ahead on told.location_id = ahead.location_id and told.day = ahead.day
    inner join {{ ref('business_span') }} as span
        on coalesce(told.day, ahead.day) between span.first_date and span.as_of
)

select * from final
