{%- set calendar = var('calendar') %}
with

days as (
    select unnest(generate_series(first_date, as_of + interval 120 day, interval 1 day))::date as calendar_date
    from {{ ref('business_span') }}
),

-- Holidays come as a date (2026-12-26) or as a day of every year (12-25).
holidays as (
    select
        null::varchar as day_key,
        null::varchar as holiday_name
    where false
    {%- for day, name in calendar.holidays.items() %}
    union all
    select
        {{ text_literal(day) }} as day_key,
        {{ text_literal(name) }} as holiday_name
    {%- endfor %}
),

named as (
    select
        days.calendar_date,
        coalesce(dated.holiday_name, yearly.holiday_name) as holiday_name
    from days
    left join holidays as dated on strftime(days.calendar_date, '%Y-%m-%d') = dated.day_key
    left join holidays as yearly on strftime(days.calendar_date, '%m-%d') = yearly.day_key
),

final as (
    select
        calendar_date,
        isodow(calendar_date)::integer as day_of_week,
        date_trunc('week', calendar_date)::date as week_start,
        month(calendar_date)::integer as month,
        isodow(calendar_date) in ({{ calendar.weekend | join(', ') or 0 }}) as is_weekend,
        holiday_name,
        holiday_name is not null as is_holiday
    from named
)

select * from final
