{%- set windows = [7, 28, 91] %}
{%- set by_day = 'partition by item_id, location_id order by day' %}
{%- set sums = ['units_7', 'units_28', 'units_91', 'squares_28', 'squares_91', 'selling_days_28', 'selling_days_91'] %}
-- One pass over the dense panel. Units are whole, so sums are exact: the same input gives the same bits. They are over
-- the days as they are known in the end; for days whose value came late, the few closings in between are corrected by
-- the difference.
with

span as (
    select * from {{ ref('business_span') }}
),

{{ demand_as_known() }},

{{ corrections_of_late_days(windows) }},

realised_prices as (
    select
        item_id,
        location_id,
        counts_on as day,
        sum(revenue) / sum(priced_units) as unit_price
    from posted
    where priced_units > 0 and revenue > 0
    group by item_id, location_id, counts_on
),

price_versions as (
    select
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        valid_from,
        unit_price,
        {{ counts_on('coalesce(_known_at, valid_from::timestamp)', 'valid_from') }} as counts_on,
        coalesce(_known_at, valid_from::timestamp) as known_at,
        _file,
        _line
    from (
        {{ every_version('price') | indent(8) }}
    ) as versions
),

prices as (
    {{ changes_as_known('price_versions', ['item_id', 'location_id']) | indent(4) }}
),

-- What was in force, or read, when the series began counts from its first day.
price_changes as (
    select
        series.item_id,
        series.location_id,
        greatest(prices.counts_on, series.first_day) as day,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is not null) as local_price,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is null) as general_price
    from prices
    inner join series
        on
            prices.item_id = series.item_id
            and coalesce(prices.location_id, series.location_id) = series.location_id
    group by series.item_id, series.location_id, greatest(prices.counts_on, series.first_day)
),

promotion_versions as (
    select
        {{ conformed_item('item_id') }} as item_id,
        location_id,
        starts_on,
        ends_on,
        coalesce(discount_share, 0) as discount_share,
        {{ day_of('coalesce(_known_at, starts_on::timestamp)') }} as known_on,
        lead({{ day_of('coalesce(_known_at, starts_on::timestamp)') }}) over (
            partition by promotion_id, {{ conformed_item('item_id') }}, location_id
            order by _known_at nulls first, _file, _line
        ) as until
    from {{ ref('stg_promotion') }}
),

promotion_days as (
    select
        item_id,
        location_id,
        discount_share,
        unnest(
            generate_series(
                greatest(starts_on, known_on), least(ends_on, coalesce(until - 1, ends_on)), interval 1 day
            )
        )::date as day
    from promotion_versions
    where greatest(starts_on, known_on) <= least(ends_on, coalesce(until - 1, ends_on))
),

promotions as (
    select
        series.item_id,
        series.location_id,
        promotion_days.day,
        max(promotion_days.discount_share) as discount_share
    from promotion_days
    inner join series
        on
            promotion_days.item_id = series.item_id
            and coalesce(promotion_days.location_id, series.location_id) = series.location_id
    group by series.item_id, series.location_id, promotion_days.day
),

readings as (
    select
        series.item_id,
        series.location_id,
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
        {{ every_version('inventory_snapshot') | indent(8) }}
    ) as stg
    inner join series
        on {{ conformed_item('stg.item_id') }} = series.item_id and stg.location_id = series.location_id
    group by all
),

panel as (
    select
        days.item_id,
        days.location_id,
        days.day,
        (days.day - days.first_day)::integer as age_days,
        coalesce(demand.units, 0) as units,
        greatest(case when demand.units > 0 and demand.settled_on = days.day then days.day end, late_sales.sale_day)
            as sale_day,
        price_changes.local_price,
        price_changes.general_price,
        realised_prices.unit_price as realised_price,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        readings.read_on,
        readings.on_hand_units
    from days
    left join demand
        on days.item_id = demand.item_id and days.location_id = demand.location_id and days.day = demand.day
    {%- for name in ['late_sales', 'price_changes', 'realised_prices', 'promotions', 'readings'] %}
    left join {{ name }}
        on
            days.item_id = {{ name }}.item_id
            and days.location_id = {{ name }}.location_id
            and days.day = {{ name }}.day
    {%- endfor %}
),

running as (
    select
        *,
        {%- for days in windows %}
        least({{ days }}, age_days + 1) as days_{{ days }},
        sum(units) over last_{{ days }} as units_{{ days }},
        {%- endfor %}
        {%- for days in [28, 91] %}
        sum(units * units) over last_{{ days }} as squares_{{ days }},
        sum((units > 0)::integer) over last_{{ days }} as selling_days_{{ days }},
        {%- endfor %}
        {%- for days in [7, 14, 28] %}
        lag(units, {{ days }}) over by_day as lag_{{ days }},
        {%- endfor %}
        -- Of the day's own weekday, four weeks of it; the other weekdays look back to their newest day, below.
        units + lag(units, 7, 0) over by_day + lag(units, 14, 0) over by_day + lag(units, 21, 0) over by_day
            as units_weekday,
        quantile_disc(units, [0.5, 0.9]) over last_28 as quantiles,
        sum(is_promoted::integer) over last_28 as promoted_days_28,
        max(sale_day) over so_far as last_sale_day,
        last_value(local_price ignore nulls) over so_far as local_price_in_force,
        last_value(general_price ignore nulls) over so_far as general_price_in_force,
        last_value(realised_price ignore nulls) over so_far as last_realised_price,
        max(read_on) over so_far as newest_read_on
    from panel
    window
        by_day as ({{ by_day }}),
        {%- for days in windows %}
        last_{{ days }} as ({{ by_day }} rows between {{ days - 1 }} preceding and current row),
        {%- endfor %}
        so_far as ({{ by_day }} rows between unbounded preceding and current row)
),

lagged as (
    select
        running.* exclude (on_hand_units),
        {%- for weekday in range(1, 8) %}
        lag(units_weekday, (isodow(day) - {{ weekday }} + 7) % 7, 0) over by_day as units_dow_{{ weekday }},
        {%- endfor %}
        -- A reading that came late about a day before the newest that was known moves nothing.
        last_value(case when read_on = newest_read_on then on_hand_units end ignore nulls) over (
            {{ by_day }} rows between unbounded preceding and current row
        ) as on_hand_units
    from running
    window by_day as ({{ by_day }})
),

as_known as (
    select
        lagged.* replace (
            lagged.units + coalesce(corrections.lag_0, 0) as units,
            {%- for name in sums + ['lag_7', 'lag_14', 'lag_28'] %}
            lagged.{{ name }} + coalesce(corrections.{{ name }}, 0) as {{ name }},
            {%- endfor %}
            {%- for weekday in range(1, 8) %}
            lagged.units_dow_{{ weekday }} + coalesce(corrections.units_dow_{{ weekday }}, 0)
                as units_dow_{{ weekday }},
            {%- endfor %}
            greatest(lagged.last_sale_day, corrections.last_sale_day) as last_sale_day,
            coalesce(quantiles_then.quantiles, lagged.quantiles) as quantiles
        )
    from lagged
    {%- for name in ['corrections', 'quantiles_then'] %}
    left join {{ name }}
        on
            lagged.item_id = {{ name }}.item_id
            and lagged.location_id = {{ name }}.location_id
            and lagged.day = {{ name }}.day
    {%- endfor %}
),

final as (
    select
        item_id,
        location_id,
        day,
        {{ closing('day') }},
        units::bigint as demand_units,
        lag_7::bigint as lag_7,
        lag_14::bigint as lag_14,
        lag_28::bigint as lag_28,
        units_7 / days_7 as mean_7,
        units_28 / days_28 as mean_28,
        units_91 / days_91 as mean_91,
        case
            when days_28 > 1
                then sqrt((days_28 * squares_28 - units_28 * units_28)::double / (days_28 * (days_28 - 1)))
        end as std_28,
        quantiles[1] as median_28,
        quantiles[2] as p90_28,
        {%- for weekday in range(1, 8) %}
        -- Days of the weekday among the last days_28; none yet in a series' first week: null.
        units_dow_{{ weekday }}
        / nullif((days_28 + 6 - ((isodow(day) - {{ weekday }} + 7) % 7)) // 7, 0) as dow_mean_{{ weekday }},
        {%- endfor %}
        (days_28 - selling_days_28) / days_28 as zero_share_28,
        days_91 / nullif(selling_days_91, 0) as demand_interval_91,
        case
            when selling_days_91 > 1 and units_91 > 0
                then (squares_91 * selling_days_91 / (units_91 * units_91)::double) - 1
        end as size_cv2_91,
        (day - last_sale_day)::integer as days_since_last_sale,
        coalesce(local_price_in_force, general_price_in_force, last_realised_price)::decimal(18, 4) as unit_price,
        discount_share,
        is_promoted,
        promoted_days_28 / days_28 as promoted_share_28,
        on_hand_units,
        (day - newest_read_on)::integer as on_hand_age_days,
        on_hand_units <= 0 as is_stockout
    from as_known
    where coalesce(day - last_sale_day < 365, true)
)

select * from final
