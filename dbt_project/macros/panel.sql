{#
    The two ways to the days of marts.item_location_day: all of them, or few. Both end in a CTE `gathered` with the same columns
    and the same values.
#}

{# All days, in one pass over the dense panel. #}
{% macro all_days() -%}
{%- set has_prices = is_told('price', 'unit_price') -%}
{%- set has_revenue = is_told('sales_order_line', 'unit_price') -%}
-- A number is joined and sorted in half the time of two texts.
numbered as materialized (
    select
        *,
        (row_number() over (order by item_id, location_id))::integer as series
    from series
),

days as (
    select
        numbered.series,
        unnest(generate_series(numbered.first_day, span.as_of, interval 1 day))::date as day
    from numbered
    cross join span
),

sold as (
    select
        numbered.series,
        demand.demand_date as day,
        demand.demand_units,
        demand.known_at,
        {{ realised_price('demand') }} as realised_price
    from demand
    inner join numbered on demand.item_id = numbered.item_id and demand.location_id = numbered.location_id
),

-- A price begins on the first day of its series at the latest; of several by then, the newest.
price_changes as (
    select
        numbered.series,
        greatest(prices.valid_from, numbered.first_day) as day,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is not null) as local_price,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is not null) as local_known_at,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is null) as general_price,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is null) as general_known_at
    from {{ ref('fct_price') }} as prices
    inner join numbered
        on
            prices.item_id = numbered.item_id
            and coalesce(prices.location_id, numbered.location_id) = numbered.location_id
    group by numbered.series, greatest(prices.valid_from, numbered.first_day)
),

panel as (
    select
        days.series,
        days.day,
        coalesce(sold.demand_units, 0) as demand_units,
        sold.known_at as demand_known_at,
        sold.realised_price,
        price_changes.local_price,
        price_changes.local_known_at,
        price_changes.general_price,
        price_changes.general_known_at
    from days
    left join sold on days.series = sold.series and days.day = sold.day
    left join price_changes on days.series = price_changes.series and days.day = price_changes.day
),

carried as (
    select
        series,
        day,
        demand_units,
        demand_known_at,
        {{ newest_so_far('local_price', 'decimal(18, 4)', has_prices) }} as local_price_in_force,
        {{ newest_so_far('local_known_at', 'timestamp', has_prices) }} as local_price_known_at,
        {{ newest_so_far('general_price', 'decimal(18, 4)', has_prices) }} as general_price_in_force,
        {{ newest_so_far('general_known_at', 'timestamp', has_prices) }} as general_price_known_at,
        {{ newest_so_far('realised_price', 'double', has_revenue) }} as last_realised_price
    from panel
    window so_far as (partition by series order by day rows between unbounded preceding and current row)
),

gathered as (
    select
        numbered.item_id,
        numbered.location_id,
        carried.* exclude (series)
    from carried
    inner join numbered on carried.series = numbered.series
)
{%- endmacro %}

{# What a unit brought on a day on which something was sold. #}
{% macro realised_price(demand) -%}
case when {{ demand }}.demand_units > 0 and {{ demand }}.revenue > 0 then {{ demand }}.revenue / {{ demand }}.demand_units end
{%- endmacro %}

{#
    The days of `affected`. What lies further back, the price of the last sale, stands in the row before the first day of a run
    of such days, which is as it was.
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

sold as (
    select * from demand
    where demand_date between date {{ quoted_list([plan.bounds.day.first]) }} and {{ quoted_list([plan.bounds.day.last]) }}
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
        days.item_id,
        days.location_id,
        days.day,
        coalesce(sold.demand_units, 0) as demand_units,
        sold.known_at as demand_known_at,
        priced.local_price_in_force,
        priced.local_price_known_at,
        priced.general_price_in_force,
        priced.general_price_known_at,
        coalesce(
            last_value({{ realised_price('sold') }} ignore nulls) over so_far, carried.unit_price
        ) as last_realised_price
    from days
    left join sold
        on days.item_id = sold.item_id and days.location_id = sold.location_id and days.day = sold.demand_date
    left join carried
        on days.item_id = carried.item_id and days.location_id = carried.location_id and days.run = carried.run
    left join priced
        on days.item_id = priced.item_id and days.location_id = priced.location_id and days.day = priced.day
    window so_far as (
        partition by days.item_id, days.location_id, days.run
        order by days.day rows between unbounded preceding and current row
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
