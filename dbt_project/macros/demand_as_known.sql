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

{# Units by day and by the closing from which they count; the series they make, their days, and what of them came late. #}
{% macro demand_as_known() -%}
postings as (
    {{ postings() | indent(4) }}
),

posted as (
    select
        postings.item_id,
        postings.location_id,
        postings.day,
        postings.counts_on,
        sum(postings.units)::bigint as units,
        sum(postings.revenue) filter (where postings.units > 0) as revenue,
        sum(postings.units) filter (where postings.units > 0 and postings.revenue is not null) as priced_units
    from postings
    inner join span on postings.counts_on <= span.as_of
    group by postings.item_id, postings.location_id, postings.day, postings.counts_on
),

-- A series begins on the first closing that knows of a sale; nothing of it is known before.
series as (
    select
        item_id,
        location_id,
        min(counts_on) filter (where units > 0) as first_day
    from posted
    group by item_id, location_id
    having min(counts_on) filter (where units > 0) is not null
),

days as (
    select
        series.item_id,
        series.location_id,
        series.first_day,
        unnest(generate_series(series.first_day, span.as_of, interval 1 day))::date as day
    from series
    cross join span
),

known as (
    select posted.*
    from posted
    inner join series
        on
            posted.item_id = series.item_id
            and posted.location_id = series.location_id
            and posted.day >= series.first_day
),

demand as (
    select
        item_id,
        location_id,
        day,
        greatest(sum(units), 0)::bigint as units,
        max(counts_on) as settled_on
    from known
    group by item_id, location_id, day
),

late_sales as (
    select
        item_id,
        location_id,
        settled_on as day,
        max(day) as sale_day
    from demand
    where settled_on > day and units > 0
    group by item_id, location_id, settled_on
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
            known.item_id,
            known.location_id,
            known.day,
            known.counts_on,
            known.units
        from known
        inner join demand
            on
                known.item_id = demand.item_id
                and known.location_id = demand.location_id
                and known.day = demand.day
                and demand.settled_on > demand.day
        union all
        select
            item_id,
            location_id,
            day,
            day as counts_on,
            0 as units
        from demand
        where settled_on > day
    ) as late
    window
        by_time as (partition by item_id, location_id, day order by counts_on, units),
        so_far as (partition by item_id, location_id, day order by counts_on),
        whole as (partition by item_id, location_id, day)
),

differences as (
    select
        item_id,
        location_id,
        day as about,
        unnest(generate_series(counts_on, until - interval 1 day, interval 1 day))::date as day,
        units_then,
        units_now
    from versions
    where until > counts_on
),

corrections as (
    select
        item_id,
        location_id,
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
    group by item_id, location_id, day
),

-- Quantiles have no sums: those of a closing that knew other values are made from its 28 days.
quantiles_then as (
    select
        closings.item_id,
        closings.location_id,
        closings.day,
        quantile_disc(coalesce(differences.units_then, demand.units, 0), [0.5, 0.9]) as quantiles
    from (
        select
            late.item_id,
            late.location_id,
            late.day,
            unnest(generate_series(late.day - interval 27 day, late.day, interval 1 day))::date as about
        from differences as late
        where late.day - late.about < 28
        group by late.item_id, late.location_id, late.day
    ) as closings
    inner join series
        on
            closings.item_id = series.item_id
            and closings.location_id = series.location_id
            and closings.about >= series.first_day
    left join demand
        on
            closings.item_id = demand.item_id
            and closings.location_id = demand.location_id
            and closings.about = demand.day
    left join differences
        on
            closings.item_id = differences.item_id
            and closings.location_id = differences.location_id
            and closings.day = differences.day
            and closings.about = differences.about
    group by closings.item_id, closings.location_id, closings.day
)
{%- endmacro %}
