with

calendar as (
    select
        *,
        min(case when is_holiday then calendar_date end) over (
            order by calendar_date rows between 1 following and unbounded following
        ) as next_holiday,
        lead(is_holiday) over (order by calendar_date) as is_holiday_tomorrow,
        count(*) filter (where is_weekend or is_holiday) over (
            order by calendar_date rows between 1 following and 7 following
        ) as days_off_ahead_7
    from {{ ref('dim_calendar') }}
),

final as (
    select
        locations.location_id,
        calendar.calendar_date as day,
        {{ closing('calendar.calendar_date') }},
        calendar.day_of_week,
        calendar.month,
        calendar.is_weekend,
        calendar.is_holiday,
        calendar.is_holiday_tomorrow,
        -- The calendar reaches 120 days ahead; what is further away is not told, so that a row stays what it was.
        case
            when calendar.next_holiday - calendar.calendar_date <= 60
                then (calendar.next_holiday - calendar.calendar_date)::integer
        end as days_to_holiday,
        calendar.days_off_ahead_7
    from calendar
    cross join {{ ref('dim_location') }} as locations
    inner join {{ ref('business_span') }} as span on calendar.calendar_date <= span.as_of
)

select * from final
