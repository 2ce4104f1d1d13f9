-- What a reader of the evening knows: of all that was published before the day ended, the value about the newest day
-- that has begun, in its newest version. A row counts from the day on which it is published and its day has begun; of
-- those, only what is about no older a day than all before it moves the value.
with

begun as (
    select
        *,
        greatest(published_at::date, observed_for) as known_on
    from {{ ref('fct_signal') }}
),

moving as (
    select *
    from begun
    qualify
        observed_for >= coalesce(
            max(observed_for) over (
                partition by series, item_id, location_id, region
                order by known_on, published_at, observed_for
                rows between unbounded preceding and 1 preceding
            ),
            observed_for
        )
),

-- The last word of each day.
daily as (
    select *
    from moving
    qualify row_number() over (
        partition by series, item_id, location_id, region, known_on
        order by observed_for desc, published_at desc
    ) = 1
),

spans as (
    select
        daily.*,
        lead(daily.known_on) over (
            partition by daily.series, daily.item_id, daily.location_id, daily.region order by daily.known_on
        ) as next_on,
        span.first_date,
        span.as_of
    from daily
    cross join {{ ref('business_span') }} as span
),

final as (
    select
        series,
        item_id,
        location_id,
        region,
        unnest(
            generate_series(greatest(known_on, first_date), least(coalesce(next_on - 1, as_of), as_of), interval 1 day)
        )::date as day,
        value,
        unit,
        observed_for,
        published_at,
        is_forecast
    from spans
    where greatest(known_on, first_date) <= least(coalesce(next_on - 1, as_of), as_of)
)

select
    series,
    item_id,
    location_id,
    region,
    day,
    day + interval 1 day as as_of_ts,
    published_at as known_at,
    value,
    unit,
    observed_for,
    (day - observed_for)::integer as age_days,
    is_forecast
from final
