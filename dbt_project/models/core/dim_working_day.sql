{%- set calendar = var('calendar') %}
{%- set scopes = {'company': calendar} %}
{%- for country, days in calendar.get('countries', {}).items() %}
    {%- do scopes.update({country: days}) %}
{%- endfor %}
{%- for location, days in calendar.get('locations', {}).items() %}
    {%- do scopes.update({'location ' ~ location: days}) %}
{%- endfor %}
-- The weekend of the narrowest scope that has one, and the holidays of all: of the location, its country, the company.
with

days as (
    select
        unnest(
            generate_series(first_date - interval 366 day, as_of + interval 120 day, interval 1 day)
        )::date as calendar_date
    from {{ ref('business_span') }}
),

said as (
    {%- for scope, said in scopes.items() %}
    select
        {{ text_literal(scope) }} as scope,
        {% if said.weekend is none %}null{% else %}[{{ said.weekend | join(', ') }}]{% endif %}::integer[] as weekend
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- Holidays come as a date (2026-12-26) or as a day of every year (12-25).
holidays as (
    select
        null::varchar as scope,
        null::varchar as day_key,
        null::varchar as holiday_name
    where false
    {%- for scope, said in scopes.items() %}
    {%- for day, name in said.holidays.items() %}
    union all
    select
        {{ text_literal(scope) }} as scope,
        {{ text_literal(day) }} as day_key,
        {{ text_literal(name) }} as holiday_name
    {%- endfor %}
    {%- endfor %}
),

-- Narrower scopes have a higher rank.
scopes as (
    select
        'company' as working_calendar,
        'company' as scope,
        1 as rank
    union
    select
        working_calendar,
        unnest(['company', country, working_calendar]) as scope,
        unnest([1, 2, 3]) as rank
    from {{ ref('dim_location') }}
),

weekends as (
    select
        scopes.working_calendar,
        arg_max(said.weekend, scopes.rank) filter (where said.weekend is not null) as weekend
    from scopes
    inner join said on scopes.scope = said.scope
    group by scopes.working_calendar
),

named as (
    select
        scopes.working_calendar,
        holidays.day_key,
        arg_max(holidays.holiday_name, scopes.rank) as holiday_name
    from scopes
    inner join holidays on scopes.scope = holidays.scope
    group by scopes.working_calendar, holidays.day_key
),

told as (
    select
        weekends.working_calendar,
        days.calendar_date,
        coalesce(dated.holiday_name, yearly.holiday_name) as holiday_name,
        not coalesce(list_contains(weekends.weekend, isodow(days.calendar_date)), false)
        and dated.holiday_name is null
        and yearly.holiday_name is null as is_working_day
    from weekends
    cross join days
    left join named as dated
        on
            weekends.working_calendar = dated.working_calendar
            and strftime(days.calendar_date, '%Y-%m-%d') = dated.day_key
    left join named as yearly
        on
            weekends.working_calendar = yearly.working_calendar
            and strftime(days.calendar_date, '%m-%d') = yearly.day_key
),

final as (
    select
        working_calendar,
        calendar_date,
        is_working_day,
        holiday_name,
        (count(*) filter (where is_working_day) over (
            partition by working_calendar
            order by calendar_date
        ))::integer as working_day_number,
        min(calendar_date) filter (where is_working_day) over (
            partition by working_calendar
            order by calendar_date
            rows between current row and unbounded following
        ) as next_working_day
    from told
)

select * from final
