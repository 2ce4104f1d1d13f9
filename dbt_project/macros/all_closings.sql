{#
    All closings of marts.item_location_feature, in one pass over the dense panel; few of them: closings.sql. Both end in a CTE
    `as_known` with the same columns and the same values, and read `span`, `prices` and `promotion_days`.

    One window over narrow rows: sums of 28 days are added up from 28 looks back, which cost a seventh of a sum over a frame
    each, and give the weekdays' sums beside.
#}
{% macro all_closings(windows) -%}
{%- set corrected = [
    'units_7', 'units_28', 'units_91', 'squares_28', 'squares_91', 'selling_days_28', 'selling_days_91',
    'lag_7', 'lag_14', 'lag_28',
] + ['units_dow_1', 'units_dow_2', 'units_dow_3', 'units_dow_4', 'units_dow_5', 'units_dow_6', 'units_dow_7'] -%}
{%- set is_late = 'true' in [
    may_be_asked_of(ref('fct_sales_order_line'), 'counts_as_demand and ' ~ counts_on('known_at', 'sold_on') ~ ' > sold_on'),
    may_be_asked_of(ref('superseded_sales_order_line'), 'counts_as_demand'),
] -%}
{%- set has_prices = is_told('price', 'unit_price') -%}
{%- set has_revenue = is_told('sales_order_line', 'unit_price') -%}
{%- set has_readings = is_told('inventory_snapshot', 'on_hand_units') -%}
{%- set has_promotions = is_told('promotion', 'starts_on') -%}
{%- set by_day = 'partition by series order by day' -%}
{{ demand_as_known() }},

-- What was in force, or read, when the series began counts from its first day.
price_changes as (
    select
        series.series,
        greatest(prices.counts_on, series.first_day) as day,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is not null) as local_price,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is null) as general_price
    from prices
    inner join series
        on
            prices.item_id = series.item_id
            and coalesce(prices.location_id, series.location_id) = series.location_id
    group by series.series, greatest(prices.counts_on, series.first_day)
),

promotions as (
    select
        series.series,
        promotion_days.day,
        max(promotion_days.discount_share) as discount_share
    from promotion_days
    inner join series
        on
            promotion_days.item_id = series.item_id
            and coalesce(promotion_days.location_id, series.location_id) = series.location_id
    group by series.series, promotion_days.day
),

-- A reading that came late about a day before the newest that was known moves nothing.
readings as (
    select *
    from (
        select
            series.series,
            greatest(
                {{ counts_on('coalesce(stg._known_at, stg.snapshot_date + interval 1 day)', 'stg.snapshot_date') }},
                series.first_day
            ) as day,
            max(stg.snapshot_date) as read_on,
            arg_max(
                stg.on_hand_units,
                (stg.snapshot_date, coalesce(stg._known_at, stg.snapshot_date + interval 1 day), stg._file, stg._line)
            ) as on_hand_units
        from (
            {{ every_version('inventory_snapshot') | indent(12) }}
        ) as stg
        inner join series
            on {{ conformed_item('stg.item_id') }} = series.item_id and stg.location_id = series.location_id
        group by all
    ) as arrived
    qualify read_on >= max(read_on) over (partition by series order by day)
),

panel as (
    select
        days.series,
        days.day,
        isodow(days.day) as weekday,
        (days.day - days.first_day)::integer as age_days,
        coalesce(demand.units, 0) as units,
        greatest(case when demand.units > 0 and demand.settled_on = days.day then days.day end, late_sales.sale_day)
            as sale_day,
        price_changes.local_price,
        price_changes.general_price,
        case
            when late_prices.revenue is null then demand.revenue / demand.priced_units
            else
                (coalesce(demand.revenue, 0) + late_prices.revenue)
                / (coalesce(demand.priced_units, 0) + late_prices.priced_units)
        end as realised_price,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        readings.read_on,
        readings.on_hand_units
    from days
    left join demand on days.series = demand.series and days.day = demand.day
    {%- for name in ['late_sales', 'late_prices', 'price_changes', 'promotions', 'readings'] %}
    left join {{ name }} on days.series = {{ name }}.series and days.day = {{ name }}.day
    {%- endfor %}
),

looked_back as (
    select
        series,
        day,
        weekday,
        age_days,
        discount_share,
        is_promoted,
        units as ago_0,
        {%- for days in range(1, 29) %}
        lag(units, {{ days }}, 0) over by_day as ago_{{ days }},
        {%- endfor %}
        sum(units) over last_91 as units_91,
        sum(units * units) over last_91 as squares_91,
        sum((units > 0)::integer) over last_91 as selling_days_91,
        quantile_disc(units, [0.5, 0.9]) over last_28 as quantiles,
        {{ 'sum(is_promoted::integer) over last_28' if has_promotions else '0' }} as promoted_days_28,
        max(sale_day) over so_far as last_sale_day,
        {{ newest_so_far('local_price', 'decimal(18, 4)', has_prices) }} as local_price_in_force,
        {{ newest_so_far('general_price', 'decimal(18, 4)', has_prices) }} as general_price_in_force,
        {{ newest_so_far('realised_price', 'double', has_revenue) }} as last_realised_price,
        {{ newest_so_far('read_on', 'date', has_readings) }} as newest_read_on,
        {{ newest_so_far('on_hand_units', 'bigint', has_readings) }} as on_hand_units
    from panel
    window
        by_day as ({{ by_day }}),
        last_28 as ({{ by_day }} rows between 27 preceding and current row),
        last_91 as ({{ by_day }} rows between 90 preceding and current row),
        so_far as ({{ by_day }} rows between unbounded preceding and current row)
),

running as (
    select
        *,
        {%- for days in windows %}
        least({{ days }}, age_days + 1) as days_{{ days }},
        {%- endfor %}
        ago_0 as units,
        {%- for days in [7, 14, 28] %}
        case when age_days >= {{ days }} then ago_{{ days }} end as lag_{{ days }},
        {%- endfor %}
        {%- for days in [7, 28] %}
        {% for ago in range(days) %}{{ '+ ' if not loop.first }}ago_{{ ago }} {% endfor %}as units_{{ days }},
        {%- endfor %}
        {% for ago in range(28) %}{{ '+ ' if not loop.first }}ago_{{ ago }} * ago_{{ ago }} {% endfor %}as squares_28,
        {% for ago in range(28) %}{{ '+ ' if not loop.first }}(ago_{{ ago }} > 0)::integer {% endfor %}as selling_days_28,
        -- Four weeks of the weekday on which the day lies, of the one before it, and so on.
        [
            {%- for ago in range(7) %}
            ago_{{ ago }} + ago_{{ ago + 7 }} + ago_{{ ago + 14 }} + ago_{{ ago + 21 }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as weekdays_back
    from looked_back
),

in_the_end as (
    select
        series.item_id,
        series.location_id,
        running.*,
        {%- for weekday in range(1, 8) %}
        running.weekdays_back[(running.weekday - {{ weekday }} + 7) % 7 + 1] as units_dow_{{ weekday }}{{ ',' if not loop.last }}
        {%- endfor %}
    from running
    inner join series on running.series = series.series
),

{% if is_late -%}
{{ corrections_of_late_days(windows) }},

as_known as (
    select
        in_the_end.* replace (
            in_the_end.units + coalesce(corrections.lag_0, 0) as units,
            {%- for name in corrected %}
            in_the_end.{{ name }} + coalesce(corrections.{{ name }}, 0) as {{ name }},
            {%- endfor %}
            greatest(in_the_end.last_sale_day, corrections.last_sale_day) as last_sale_day,
            coalesce(quantiles_then.quantiles, in_the_end.quantiles) as quantiles
        )
    from in_the_end
    {%- for name in ['corrections', 'quantiles_then'] %}
    left join {{ name }} on in_the_end.series = {{ name }}.series and in_the_end.day = {{ name }}.day
    {%- endfor %}
)
{%- else -%}
as_known as (
    select * from in_the_end
)
{%- endif %}
{%- endmacro %}
