{#
    Demand as it was known, closing by closing, for marts.item_location_feature. Sums are taken over the days as they are known in
    the end; for days whose value came late, the few closings in between are corrected by the difference.
#}

{#
    Units that are sold less units that come back, each on its own day and counting from when it was known. `lines` and
    `superseded`: conditions on the rows of core.fct_sales_order_line and core.superseded_sales_order_line.
#}
{% macro postings(lines='true', superseded=none) -%}
select
    item_id,
    location_id,
    sold_on as day,
    {{ counts_on('known_at', 'sold_on') }} as counts_on,
    case when line_class = 'sale' then quantity_units else -abs(quantity_units) end as units,
    case when line_class = 'sale' then revenue end as revenue
from {{ ref('fct_sales_order_line') }}
where counts_as_demand and {{ lines }}
union all
select
    item_id,
    location_id,
    sold_on as day,
    unnest([{{ counts_on('known_at', 'sold_on') }}, {{ counts_on('superseded_at', 'sold_on') }}]) as counts_on,
    unnest([1, -1]) * case when line_class = 'sale' then quantity_units else -abs(quantity_units) end as units,
    unnest([case when line_class = 'sale' then revenue end, null]) as revenue
from {{ ref('superseded_sales_order_line') }}
where
    counts_as_demand
    and {{ counts_on('known_at', 'sold_on') }} < {{ counts_on('superseded_at', 'sold_on') }}
    and {{ superseded or lines }}
{%- endmacro %}

{#
    Units by day, the series they make, their days, and what of them came late. Series are numbered: a number is joined, grouped
    and sorted in half the time of two texts.
#}
{% macro demand_as_known() -%}
postings as (
    {{ postings() | indent(4) }}
),

pairs as materialized (
    select
        item_id,
        location_id,
        (row_number() over (order by item_id, location_id))::integer as series
    from (select distinct item_id, location_id from postings) as known
),

numbered as (
    select
        pairs.series,
        postings.day,
        postings.counts_on,
        postings.units,
        postings.revenue
    from postings
    inner join pairs on postings.item_id = pairs.item_id and postings.location_id = pairs.location_id
    inner join span on postings.counts_on <= span.as_of
),

daily as (
    select
        series,
        day,
        sum(units)::bigint as units,
        max(counts_on) as settled_on,
        sum(revenue) filter (where units > 0) as revenue,
        sum(units) filter (where units > 0 and revenue is not null) as priced_units
    from numbered
    group by series, day
),

-- Days of which something was told after they had closed, by the closings that learned of it.
told as (
    select
        numbered.series,
        numbered.day,
        numbered.counts_on,
        sum(numbered.units)::bigint as units,
        sum(numbered.revenue) filter (where numbered.units > 0) as revenue,
        sum(numbered.units) filter (where numbered.units > 0 and numbered.revenue is not null) as priced_units
    from numbered
    inner join daily on numbered.series = daily.series and numbered.day = daily.day and daily.settled_on > daily.day
    group by numbered.series, numbered.day, numbered.counts_on
),

-- A series begins on the first closing that knows of a sale; nothing of it is known before.
series as (
    select
        pairs.item_id,
        pairs.location_id,
        pairs.series,
        min(sales.counts_on) as first_day
    from (
        select
            series,
            day as counts_on
        from daily
        where settled_on = day and units > 0
        union all
        select
            series,
            counts_on
        from told
        where units > 0
    ) as sales
    inner join pairs on sales.series = pairs.series
    group by pairs.item_id, pairs.location_id, pairs.series
),

days as (
    select
        series.series,
        series.first_day,
        unnest(generate_series(series.first_day, span.as_of, interval 1 day))::date as day
    from series
    cross join span
),

-- Money of a day that was told late counts on the closings that learned of it: late_prices.
demand as (
    select
        daily.series,
        daily.day,
        daily.settled_on,
        greatest(daily.units, 0) as units,
        case when daily.settled_on = daily.day and daily.revenue > 0 then daily.revenue end as revenue,
        case when daily.settled_on = daily.day and daily.revenue > 0 then daily.priced_units end as priced_units
    from daily
    inner join series on daily.series = series.series and daily.day >= series.first_day
),

late_sales as (
    select
        series,
        settled_on as day,
        max(day) as sale_day
    from demand
    where settled_on > day and units > 0
    group by series, settled_on
),

late_prices as (
    select
        series,
        counts_on as day,
        sum(revenue) as revenue,
        sum(priced_units) as priced_units
    from told
    where priced_units > 0 and revenue > 0
    group by series, counts_on
)
{%- endmacro %}

{# What the sums of a closing lack or have too much, because it knew other values of some of its days. #}
{% macro corrections_of_late_days(windows) -%}
-- Days that were not as they are now, on the closings until they were: what was known of them then.
versions as (
    select
        *,
        greatest(sum(units) over so_far, 0)::bigint as units_then,
        greatest(sum(units) over whole, 0)::bigint as units_now,
        lead(counts_on) over by_time as until
    from (
        select
            told.series,
            told.day,
            told.counts_on,
            told.units
        from told
        inner join series on told.series = series.series and told.day >= series.first_day
        union all
        select
            series,
            day,
            day as counts_on,
            0 as units
        from demand
        where settled_on > day
    ) as late
    window
        by_time as (partition by series, day order by counts_on, units),
        so_far as (partition by series, day order by counts_on),
        whole as (partition by series, day)
),

differences as (
    select
        series,
        day as about,
        unnest(generate_series(counts_on, until - interval 1 day, interval 1 day))::date as day,
        units_then,
        units_now
    from versions
    where until > counts_on
),

corrections as (
    select
        series,
        day,
        {%- for days in windows %}
        coalesce(sum(units_then - units_now) filter (where day - about < {{ days }}), 0) as units_{{ days }},
        {%- endfor %}
        {%- for days in [28, 91] %}
        coalesce(
            sum(units_then * units_then - units_now * units_now) filter (where day - about < {{ days }}), 0
        ) as squares_{{ days }},
        coalesce(
            sum((units_then > 0)::integer - (units_now > 0)::integer) filter (where day - about < {{ days }}), 0
        ) as selling_days_{{ days }},
        {%- endfor %}
        {%- for days in [0, 7, 14, 28] %}
        coalesce(sum(units_then - units_now) filter (where day - about = {{ days }}), 0) as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        coalesce(
            sum(units_then - units_now) filter (where day - about < 28 and isodow(about) = {{ weekday }}), 0
        ) as units_dow_{{ weekday }},
        {%- endfor %}
        max(about) filter (where units_then > 0) as last_sale_day
    from differences
    group by series, day
),

-- Quantiles have no sums: those of a closing that knew other values are made from its 28 days.
quantiles_then as (
    select
        closings.series,
        closings.day,
        quantile_disc(coalesce(differences.units_then, demand.units, 0), [0.5, 0.9]) as quantiles
    from (
        select
            late.series,
            late.day,
            unnest(generate_series(late.day - interval 27 day, late.day, interval 1 day))::date as about
        from differences as late
        where late.day - late.about < 28
        group by late.series, late.day
    ) as closings
    inner join series
        on
            closings.series = series.series
            and closings.about >= series.first_day
    left join demand
        on
            closings.series = demand.series
            and closings.about = demand.day
    left join differences
        on
            closings.series = differences.series
            and closings.day = differences.day
            and closings.about = differences.about
    group by closings.series, closings.day
)
{%- endmacro %}
