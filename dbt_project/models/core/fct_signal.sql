-- Two times: the day a value is about, and when the world could read it. A revision is a later publication about the
-- same day; a forecast is a publication about a day that is not over.
with

published as (
    select
        series,
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        region,
        observed_for,
        coalesce(published_at, _known_at, observed_for + interval 1 day) as published_at,
        value,
        unit,
        source,
        _known_at,
        _file,
        _line
    from {{ ref('stg_signal') }}
),

newest as (
    select * from published
    {{ newest_version(['series', 'item_id', 'location_id', 'region', 'observed_for', 'published_at']) }}
),

final as (
    select
        series,
        item_id,
        location_id,
        region,
        observed_for,
        published_at,
        lead(published_at) over (
            partition by series, item_id, location_id, region, observed_for order by published_at
        ) as superseded_at,
        published_at < observed_for + interval 1 day as is_forecast,
        greatest(observed_for - published_at::date, 0)::integer as horizon_days,
        value,
        unit,
        source,
        published_at as known_at,
        _file,
        _line
    from newest
)

select * from final
