{#
    The two ways to the days of marts.item_location_day: all of them, or few. Both end in a CTE `gathered` with the same columns
    and the same values: demand is whole units, so every sum is exact, whatever the threads do.
#}

{# Units so many days ago; a series sold nothing before it began. #}
{% macro units_ago(days) -%}
    {{ 'demand_units' if days == 0 else 'back_' ~ days }}
{%- endmacro %}

{# All days, in one pass over the dense panel. #}
{% macro all_days() -%}
days as (
    select
        series.item_id,
        series.location_id,
        series.first_day,
        unnest(generate_series(series.first_day, span.as_of, interval 1 day))::date as day
    from series
    cross join span
),

-- A price begins on the first day of its series at the latest; of several by then, the newest.
price_changes as (
    select
        series.item_id,
        series.location_id,
        greatest(prices.valid_from, series.first_day) as day,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is not null) as local_price,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is not null) as local_known_at,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is null) as general_price,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is null) as general_known_at
    from {{ ref('fct_price') }} as prices
    inner join series
        on
            prices.item_id = series.item_id
            and coalesce(prices.location_id, series.location_id) = series.location_id
    group by series.item_id, series.location_id, greatest(prices.valid_from, series.first_day)
),

panel as (
    select
        days.item_id,
        days.location_id,
        days.day,
        (days.day - days.first_day)::integer as age_days,
        coalesce(demand.demand_units, 0) as demand_units,
        demand.known_at as demand_known_at,
        case when demand.demand_units > 0 then days.day end as sale_day,
        case when demand.demand_units > 0 and demand.revenue > 0 then demand.revenue / demand.demand_units end
            as realised_price,
        price_changes.local_price,
        price_changes.local_known_at,
        price_changes.general_price,
        price_changes.general_known_at
    from days
    left join demand
        on
            days.item_id = demand.item_id
            and days.location_id = demand.location_id
            and days.day = demand.demand_date
    left join price_changes
        on
            days.item_id = price_changes.item_id
            and days.location_id = price_changes.location_id
            and days.day = price_changes.day
),

-- A row with the units of the 28 days behind it: a lag costs a sixth of a sum over a window.
spread as (
    select
        *,
        {%- for days in range(1, 29) %}
        lag(demand_units, {{ days }}, 0) over so_far as back_{{ days }},
        {%- endfor %}
        sum(demand_units) over last_91 as units_91,
        max(demand_known_at) over last_91 as demand_known_at_91,
        last_value(sale_day ignore nulls) over so_far as last_sale_day,
        last_value(local_price ignore nulls) over so_far as local_price_in_force,
        last_value(local_known_at ignore nulls) over so_far as local_price_known_at,
        last_value(general_price ignore nulls) over so_far as general_price_in_force,
        last_value(general_known_at ignore nulls) over so_far as general_price_known_at,
        last_value(realised_price ignore nulls) over so_far as last_realised_price
    from panel
    window
        so_far as (
            partition by item_id, location_id order by day rows between unbounded preceding and current row
        ),
        last_91 as (partition by item_id, location_id order by day rows between 90 preceding and current row)
),

-- Units of each 7th day of the last 28, from 0 to 6 days ago on: weekdays, whichever they are.
summed as (
    select
        *,
        {%- for ago in range(7) %}
        {{ units_ago(ago) }} + {{ units_ago(ago + 7) }} + {{ units_ago(ago + 14) }} + {{ units_ago(ago + 21) }} as every_7th_{{ ago }},
        {%- endfor %}
        {% for ago in range(7) %}{{ units_ago(ago) }}{{ ' + ' if not loop.last }}{% endfor %} as units_7,
        {% for ago in range(28) %}{{ units_ago(ago) }} * {{ units_ago(ago) }}{{ ' + ' if not loop.last }}{% endfor %} as squares_28,
        {% for ago in range(28) %}({{ units_ago(ago) }} > 0)::integer{{ ' + ' if not loop.last }}{% endfor %} as selling_days_28
    from spread
),

gathered as (
    select
        * exclude ({% for days in range(1, 29) %}back_{{ days }}{{ ', ' if not loop.last }}{% endfor %}),
        {% for ago in range(7) %}every_7th_{{ ago }}{{ ' + ' if not loop.last }}{% endfor %} as units_28,
        {%- for days in [7, 14, 28] %}
        case when age_days >= {{ days }} then back_{{ days }} end as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        case (isodow(day) - {{ weekday }} + 7) % 7
            {%- for ago in range(7) %} when {{ ago }} then every_7th_{{ ago }}{% endfor %}
        end as units_dow_{{ weekday }}{{ ',' if not loop.last }}
        {%- endfor %}
    from summed
)
{%- endmacro %}

{#
    The days of `affected`: each gathers the 91 days behind it. What lies further back (the last sale, the price of the last
    sale) stands in the row before the first day of a run of such days, which is as it was.
#}
{% macro some_days(plan) -%}
days as (
    select
        affected.item_id,
        affected.location_id,
        affected.day,
        series.first_day,
        affected.day - row_number() over (
            partition by affected.item_id, affected.location_id order by affected.day
        )::integer as run
    from affected
    inner join series on affected.item_id = series.item_id and affected.location_id = series.location_id
    cross join span
    where not affected.is_estimate and affected.day between series.first_day and span.as_of
),

recent as (
    select * from demand
    where demand_date between date {{ quoted_list([plan.bounds.day.first]) }} - 90 and {{ quoted_list([plan.bounds.day.last]) }}
),

behind as (
    select
        days.item_id,
        days.location_id,
        days.day,
        days.run,
        (days.day - days.first_day)::integer as age_days,
        {%- for days in [7, 28, 91] %}
        coalesce(sum(recent.demand_units) filter (where recent.demand_date > days.day - {{ days }}), 0) as units_{{ days }},
        {%- endfor %}
        {%- for days in [0, 7, 14, 28] %}
        coalesce(max(recent.demand_units) filter (where recent.demand_date = days.day - {{ days }}), 0) as back_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        coalesce(
            sum(recent.demand_units) filter (
                where recent.demand_date > days.day - 28 and isodow(recent.demand_date) = {{ weekday }}
            ),
            0
        ) as units_dow_{{ weekday }},
        {%- endfor %}
        coalesce(
            sum(recent.demand_units * recent.demand_units) filter (where recent.demand_date > days.day - 28), 0
        ) as squares_28,
        count(*) filter (where recent.demand_units > 0 and recent.demand_date > days.day - 28) as selling_days_28,
        max(recent.demand_date) filter (where recent.demand_units > 0) as last_sale_day,
        arg_max(recent.revenue / recent.demand_units, recent.demand_date) filter (
            where recent.demand_units > 0 and recent.revenue > 0
        ) as last_realised_price,
        max(recent.known_at) as demand_known_at_91
    from days
    left join recent
        on
            days.item_id = recent.item_id
            and days.location_id = recent.location_id
            and recent.demand_date between greatest(days.day - 90, days.first_day) and days.day
    group by days.item_id, days.location_id, days.day, days.run, days.first_day
),

runs as (
    select
        item_id,
        location_id,
        run,
        min(day) - 1 as day_before
    from days
    group by item_id, location_id, run
),

carried as (
    select
        runs.item_id,
        runs.location_id,
        runs.run,
        built.day - built.days_since_last_sale as last_sale_day,
        built.unit_price
    from {{ this }} as built
    inner join runs
        on
            built.item_id = runs.item_id
            and built.location_id = runs.location_id
            and built.day = runs.day_before
    where built.day between date {{ quoted_list([plan.bounds.day.first]) }} - 1 and {{ quoted_list([plan.bounds.day.last]) }}
),

priced as (
    select
        days.item_id,
        days.location_id,
        days.day,
        {%- for scope, condition in [('local', 'is not null'), ('general', 'is null')] %}
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id {{ condition }})
            as {{ scope }}_price_in_force,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id {{ condition }})
            as {{ scope }}_price_known_at{{ ',' if not loop.last }}
        {%- endfor %}
    from days
    inner join {{ ref('fct_price') }} as prices
        on
            days.item_id = prices.item_id
            and coalesce(prices.location_id, days.location_id) = days.location_id
            and days.day >= prices.valid_from
    group by days.item_id, days.location_id, days.day
),

gathered as (
    select
        behind.* exclude (last_sale_day, last_realised_price, back_0, back_7, back_14, back_28),
        behind.back_0 as demand_units,
        {%- for days in [7, 14, 28] %}
        case when behind.age_days >= {{ days }} then behind.back_{{ days }} end as lag_{{ days }},
        {%- endfor %}
        coalesce(max(behind.last_sale_day) over so_far, carried.last_sale_day) as last_sale_day,
        coalesce(
            last_value(behind.last_realised_price ignore nulls) over so_far, carried.unit_price
        ) as last_realised_price,
        priced.local_price_in_force,
        priced.local_price_known_at,
        priced.general_price_in_force,
        priced.general_price_known_at
    from behind
    left join carried
        on behind.item_id = carried.item_id and behind.location_id = carried.location_id and behind.run = carried.run
    left join priced
        on
            behind.item_id = priced.item_id
            and behind.location_id = priced.location_id
            and behind.day = priced.day
    window so_far as (
        partition by behind.item_id, behind.location_id, behind.run
        order by behind.day rows between unbounded preceding and current row
    )
)
{%- endmacro %}

{# Days of which only the estimate of demand may be another one: the rest of the row stands. #}
{% macro restated_days(plan) -%}
{%- if plan.mode == 'part' -%}
union all by name
select built.* replace (
    coalesce(stockouts.unconstrained_demand_units, built.demand_units)::double as unconstrained_demand_units,
    coalesce(stockouts.method, 'observed') as demand_method
)
from {{ this }} as built
inner join affected
    on
        affected.is_estimate
        and built.item_id = affected.item_id
        and built.location_id = affected.location_id
        and built.day = affected.day
left join {{ ref('stockout_day') }} as stockouts
    on
        built.item_id = stockouts.item_id
        and built.location_id = stockouts.location_id
        and built.day = stockouts.day
{%- endif -%}
{%- endmacro %}

{# The days of marts.item_location_day that may come out differently; of those with `is_estimate` only the estimate of demand. #}
{% macro changed_days(plan) -%}
with

built as (
    select max(day) as as_of from {{ this }}
),

active as (
    select
        series.item_id,
        series.location_id,
        series.first_sold_on as first_day,
        span.as_of
    from {{ ref('int_series_span') }} as series
    cross join {{ ref('business_span') }} as span
    where series.last_sold_on > span.as_of - interval 365 day
),

-- Series that came in, dropped out or begin on another day.
others as (
    select item_id, location_id
    from {{ changed_rows(ref('int_series_span'), plan) }}
    group by item_id, location_id
    having count(distinct first_sold_on) > 1
    union
    (
        select item_id, location_id from active
        except
        select item_id, location_id from {{ this }} where day = (select built.as_of from built)
    )
    union
    (
        select item_id, location_id from {{ this }} where day = (select built.as_of from built)
        except
        select item_id, location_id from active
    )
),

beginnings as (
    select item_id, location_id, first_sold_on
    from {{ changed_rows(ref('int_series_span'), plan) }}
    union all
    select item_id, location_id, first_sold_on
    from {{ ref('int_series_span') }}
),

ranges as (
    select item_id, location_id, min(beginnings.first_sold_on) as first_day, null::date as last_day
    from others
    inner join beginnings using (item_id, location_id)
    group by item_id, location_id
    union all
    select item_id, location_id, demand_date, null
    from {{ changed_rows(ref('fct_demand'), plan) }}
    union all
    select item_id, location_id, snapshot_date, snapshot_date
    from {{ changed_rows(ref('fct_inventory'), plan) }}
    union all
    select active.item_id, active.location_id, changed.valid_from, null
    from {{ changed_rows(ref('fct_price'), plan) }} as changed
    inner join active on changed.item_id = active.item_id
    where coalesce(changed.location_id, active.location_id) = active.location_id
    union all
    select active.item_id, active.location_id, changed.starts_on, changed.ends_on
    from {{ changed_rows(ref('fct_promotion'), plan) }} as changed
    inner join active on changed.item_id = active.item_id
    where coalesce(changed.location_id, active.location_id) = active.location_id
    union all
    select active.item_id, active.location_id, least(built.as_of, active.as_of) + 1, null
    from active
    cross join built
    where built.as_of <> active.as_of
),

-- A series begins no earlier than it stands or is to stand: what changed before is none of its days.
bounded as (
    select
        ranges.item_id,
        ranges.location_id,
        greatest(min(ranges.first_day), min(spans.first_day)) as first_day,
        least(coalesce(ranges.last_day, date '9999-12-31'), greatest(max(built.as_of), max(span.as_of))) as last_day
    from ranges
    inner join (
        select item_id, location_id, min(first_sold_on) as first_day from beginnings group by item_id, location_id
    ) as spans
        using (item_id, location_id)
    cross join built
    cross join {{ ref('business_span') }} as span
    where ranges.first_day is not null
    group by ranges.item_id, ranges.location_id, ranges.last_day, case when ranges.last_day is not null then ranges.first_day end
),

days as (
    select item_id, location_id, unnest(generate_series(first_day, last_day, interval 1 day))::date as day, false as is_estimate
    from bounded
    union all
    select item_id, location_id, day, true
    from {{ changed_rows(ref('stockout_day'), plan) }}
)

select item_id, location_id, day, bool_and(is_estimate) as is_estimate
from days
group by item_id, location_id, day
{%- endmacro %}
