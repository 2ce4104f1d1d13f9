{{ config(materialized='view') }}
-- What sold nothing for a whole year, season and all, is not planned from its past: its days would be zeros
-- without end.
with

final as (
    select
        series.item_id,
        series.location_id,
        series.first_sold_on as first_day
    from {{ ref('int_series_span') }} as series
    cross join {{ ref('business_span') }} as span
    where series.last_sold_on > span.as_of - interval 365 day
)

select * from final
