{#
    The closings of marts.item_location_feature that a change can touch, and how they are made; all of them: all_closings.sql.
#}

{#
    The closings of marts.item_location_feature that may come out differently: of each series all from the first one that
    knows of something else. A line of no units says nothing, wherever it comes from.
#}
{% macro changed_closings(plan) -%}
{%- set built = '0001-01-01' -%}
{%- if plan.mode == 'part' -%}
    {%- set built = run_query('select max(day)::varchar from ' ~ this).columns[0][0] or built -%}
{%- endif -%}
with

span as (
    select greatest(as_of, date '{{ built }}') as last_day, as_of from {{ ref('business_span') }}
),

told as (
    select item_id, location_id, {{ counts_on('known_at', 'sold_on') }} as first_day
    from {{ changed_rows(ref('fct_sales_order_line'), plan) }}
    where quantity_units <> 0
    union all
    select item_id, location_id, {{ counts_on('known_at', 'sold_on') }}
    from {{ changed_rows(ref('superseded_sales_order_line'), plan) }}
    where quantity_units <> 0
    union all
    -- Known before the last build already, but not counted by then.
    select item_id, location_id, counts_on
    from (
        {{ postings("known_at > date '" ~ built ~ "'", "superseded_at > date '" ~ built ~ "'") | indent(8) }}
    ) as postings
    where counts_on > date '{{ built }}' and units <> 0
    union all
    select
        {{ conformed_item('item_id') }},
        location_id,
        {{ counts_on('coalesce(_known_at, snapshot_date + interval 1 day)', 'snapshot_date') }}
    from {{ changed_entity('inventory_snapshot', plan) }} as changed
    union all
    select series.item_id, series.location_id, changed.first_day
    from (
        select
            {{ conformed_item('item_id') }} as item_id,
            location_id,
            {{ counts_on('coalesce(_known_at, valid_from::timestamp)', 'valid_from') }} as first_day
        from {{ changed_entity('price', plan) }} as prices
        union all
        select
            {{ conformed_item('item_id') }} as item_id,
            location_id,
            {{ day_of('coalesce(_known_at, starts_on::timestamp)') }} as first_day
        from {{ changed_entity('promotion', plan) }} as promotions
    ) as changed
    inner join {{ ref('int_series_span') }} as series
        on
            changed.item_id = series.item_id
            and coalesce(changed.location_id, series.location_id) = series.location_id
    union all
    -- A series that had no row any more when it was built has none until something is told of it.
    select item_id, location_id, least(date '{{ built }}', (select span.as_of from span)) + 1
    from {{ this }}
    where day = date '{{ built }}' and date '{{ built }}' <> (select span.as_of from span)
)

select
    told.item_id,
    told.location_id,
    unnest(generate_series(min(told.first_day), any_value(span.last_day), interval 1 day))::date as day
from told
cross join span
where told.first_day <= span.last_day
group by told.item_id, told.location_id
{%- endmacro %}

{#
    The closings of `affected`, by definition: each looks at what had been posted by then. Of what lies more than 91 days before
    the first of them only the end counts (the last sale, the last prices, the newest reading), and stands in the row before;
    where there is none, or where it may not hold any more, all of the series is read.
#}
{% macro some_closings(plan, windows) -%}
{%- set first = "date '" ~ plan.bounds.day.first ~ "'" -%}
closings as (
    select
        affected.item_id,
        affected.location_id,
        affected.day,
        min(affected.day) over (partition by affected.item_id, affected.location_id) as from_day
    from affected
    inner join span on affected.day <= span.as_of
),

touched as (
    select distinct item_id, location_id, from_day from closings
),

standing as (
    select
        touched.item_id,
        touched.location_id,
        touched.from_day,
        min(built.day) as first_row,
        arg_min(built.lag_7 is null, built.day) as is_first_week,
        max(built.day) as last_row,
        any_value((built.day - built.days_since_last_sale)::date) filter (where built.day = touched.from_day - 1)
            as last_sale_day,
        any_value((built.day - built.on_hand_age_days)::date) filter (where built.day = touched.from_day - 1)
            as read_on,
        any_value(built.on_hand_units) filter (where built.day = touched.from_day - 1) as on_hand_units,
        any_value(built.unit_price) filter (where built.day = touched.from_day - 1) as unit_price
    from {{ this }} as built
    inner join touched
        on
            built.item_id = touched.item_id
            and built.location_id = touched.location_id
            and built.day between touched.from_day - 91 and touched.from_day - 1
    where built.day >= {{ first }} - 91
    group by touched.item_id, touched.location_id, touched.from_day
),

-- What is said late of a day that is not looked at, or takes a sale back that stood as the last one.
late_postings as (
    select
        item_id,
        location_id,
        day,
        counts_on,
        units
    from (
        {{ postings('known_at >= ' ~ first, 'superseded_at >= ' ~ first) | indent(8) }}
    ) as postings
    where counts_on > day and units <> 0
),

rewritten as (
    select distinct late_postings.item_id, late_postings.location_id
    from late_postings
    inner join touched
        on
            late_postings.item_id = touched.item_id
            and late_postings.location_id = touched.location_id
            and late_postings.counts_on >= touched.from_day
    where
        late_postings.day <= touched.from_day - 91
        or (late_postings.day < touched.from_day and late_postings.units < 0)
),

carried as (
    select * from standing
    where
        last_row = from_day - 1
        and (item_id, location_id) not in (select (rewritten.item_id, rewritten.location_id) from rewritten)
),

strangers as (
    select item_id, location_id from touched
    except
    select item_id, location_id from carried
),

postings as (
    select postings.*
    from (
        {{ postings('sold_on > ' ~ first ~ ' - 91 and quantity_units <> 0') | indent(8) }}
    ) as postings
    inner join carried
        on
            postings.item_id = carried.item_id
            and postings.location_id = carried.location_id
            and postings.day > carried.from_day - 91
    union all
    select postings.*
    from (
        {{ postings('quantity_units <> 0') | indent(8) }}
    ) as postings
    inner join strangers on postings.item_id = strangers.item_id and postings.location_id = strangers.location_id
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

-- Of a series that is older than the 91 days, or slept a year before it came back, any day before them will do.
series as (
    select
        item_id,
        location_id,
        case when is_first_week then first_row else from_day - 92 end as first_day
    from carried
    union all
    select
        posted.item_id,
        posted.location_id,
        min(posted.counts_on) filter (where posted.units > 0)
    from posted
    inner join strangers on posted.item_id = strangers.item_id and posted.location_id = strangers.location_id
    group by posted.item_id, posted.location_id
    having min(posted.counts_on) filter (where posted.units > 0) is not null
),

live as (
    select
        closings.item_id,
        closings.location_id,
        closings.day,
        closings.from_day,
        series.first_day,
        (closings.day - series.first_day)::integer + 1 as age_days
    from closings
    inner join series
        on
            closings.item_id = series.item_id
            and closings.location_id = series.location_id
            and closings.day >= series.first_day
),

days_then as (
    select
        live.item_id,
        live.location_id,
        live.day,
        posted.day as about,
        (live.day - posted.day)::integer as days_ago,
        greatest(sum(posted.units), 0)::bigint as units
    from live
    inner join posted
        on
            live.item_id = posted.item_id
            and live.location_id = posted.location_id
            and posted.day between live.first_day and live.day
            and posted.counts_on <= live.day
    group by live.item_id, live.location_id, live.day, posted.day
),

sums_then as (
    select
        item_id,
        location_id,
        day,
        coalesce(sum(units) filter (where days_ago = 0), 0) as units,
        {%- for days in windows %}
        coalesce(sum(units) filter (where days_ago < {{ days }}), 0) as units_{{ days }},
        {%- endfor %}
        {%- for days in [28, 91] %}
        coalesce(sum(units * units) filter (where days_ago < {{ days }}), 0) as squares_{{ days }},
        count(*) filter (where days_ago < {{ days }} and units > 0) as selling_days_{{ days }},
        {%- endfor %}
        {%- for days in [7, 14, 28] %}
        coalesce(sum(units) filter (where days_ago = {{ days }}), 0) as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        coalesce(sum(units) filter (where days_ago < 28 and isodow(about) = {{ weekday }}), 0)
            as units_dow_{{ weekday }},
        {%- endfor %}
        list_sort(list(units) filter (where days_ago < 28 and units > 0)) as sold_28,
        max(about) filter (where units > 0) as last_sale_day
    from days_then
    group by item_id, location_id, day
),

prices_then as (
    select
        live.item_id,
        live.location_id,
        live.day,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is not null)
            as local_price_in_force,
        arg_max(prices.unit_price, prices.counts_on) filter (where prices.location_id is null)
            as general_price_in_force
    from live
    inner join prices
        on
            live.item_id = prices.item_id
            and coalesce(prices.location_id, live.location_id) = live.location_id
            and prices.counts_on <= live.day
    group by live.item_id, live.location_id, live.day
),

realised_then as (
    select
        live.item_id,
        live.location_id,
        live.day,
        arg_max(realised.unit_price, realised.day) as last_realised_price
    from live
    inner join (
        select
            item_id,
            location_id,
            counts_on as day,
            sum(revenue) / sum(priced_units) as unit_price
        from posted
        where priced_units > 0 and revenue > 0
        group by item_id, location_id, counts_on
    ) as realised
        on
            live.item_id = realised.item_id
            and live.location_id = realised.location_id
            and realised.day between live.first_day and live.day
    left join carried on live.item_id = carried.item_id and live.location_id = carried.location_id
    where carried.item_id is null or realised.day >= carried.from_day
    group by live.item_id, live.location_id, live.day
),

promotions_then as (
    select
        live.item_id,
        live.location_id,
        live.day,
        max(promotion_days.discount_share) filter (where promotion_days.day = live.day) as discount_share,
        count(*) filter (where promotion_days.day = live.day) > 0 as is_promoted,
        count(distinct promotion_days.day) as promoted_days_28
    from live
    inner join promotion_days
        on
            live.item_id = promotion_days.item_id
            and coalesce(promotion_days.location_id, live.location_id) = live.location_id
            and promotion_days.day between greatest(live.day - 27, live.first_day) and live.day
    group by live.item_id, live.location_id, live.day
),

readings as (
    select
        item_id,
        location_id,
        from_day - 1 as counts_on,
        read_on,
        on_hand_units,
        null::timestamp as known_at,
        null::varchar as _file,
        null::bigint as _line
    from carried
    where read_on is not null
    union all
    select
        touched.item_id,
        touched.location_id,
        {{ counts_on('coalesce(stg._known_at, stg.snapshot_date + interval 1 day)', 'stg.snapshot_date') }} as counts_on,
        stg.snapshot_date,
        stg.on_hand_units,
        coalesce(stg._known_at, stg.snapshot_date + interval 1 day),
        stg._file,
        stg._line
    from (
        {{ every_version('inventory_snapshot') | indent(8) }}
    ) as stg
    inner join touched
        on {{ conformed_item('stg.item_id') }} = touched.item_id and stg.location_id = touched.location_id
    left join carried on touched.item_id = carried.item_id and touched.location_id = carried.location_id
    where
        carried.item_id is null
        or {{ counts_on('coalesce(stg._known_at, stg.snapshot_date + interval 1 day)', 'stg.snapshot_date') }}
        >= carried.from_day
),

-- What the row before said is the oldest that was said of its day.
readings_then as (
    select
        live.item_id,
        live.location_id,
        live.day,
        max(readings.read_on) as newest_read_on,
        arg_max(
            readings.on_hand_units,
            (
                readings.read_on, readings.known_at is not null,
                coalesce(readings.known_at, timestamp '0001-01-01'), coalesce(readings._file, ''), coalesce(readings._line, 0)
            )
        ) as on_hand_units
    from live
    inner join readings
        on
            live.item_id = readings.item_id
            and live.location_id = readings.location_id
            and readings.counts_on <= live.day
    group by live.item_id, live.location_id, live.day
),

as_known as (
    select
        live.item_id,
        live.location_id,
        live.day,
        {%- for days in windows %}
        least({{ days }}, live.age_days) as days_{{ days }},
        coalesce(sums.units_{{ days }}, 0) as units_{{ days }},
        {%- endfor %}
        coalesce(sums.units, 0) as units,
        {%- for days in [28, 91] %}
        coalesce(sums.squares_{{ days }}, 0) as squares_{{ days }},
        coalesce(sums.selling_days_{{ days }}, 0) as selling_days_{{ days }},
        {%- endfor %}
        {%- for days in [7, 14, 28] %}
        case when live.age_days > {{ days }} then coalesce(sums.lag_{{ days }}, 0) end as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        coalesce(sums.units_dow_{{ weekday }}, 0) as units_dow_{{ weekday }},
        {%- endfor %}
        [
            {%- for share in [0.5, 0.9] %}
            {{ quantile_of_padded('sums.sold_28', 'least(28, live.age_days)', share) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as quantiles,
        coalesce(sums.last_sale_day, carried.last_sale_day) as last_sale_day,
        prices_then.local_price_in_force,
        prices_then.general_price_in_force,
        coalesce(realised_then.last_realised_price, carried.unit_price) as last_realised_price,
        coalesce(promotions_then.discount_share, 0)::double as discount_share,
        coalesce(promotions_then.is_promoted, false) as is_promoted,
        coalesce(promotions_then.promoted_days_28, 0) as promoted_days_28,
        readings_then.newest_read_on,
        readings_then.on_hand_units
    from live
    left join carried on live.item_id = carried.item_id and live.location_id = carried.location_id
    {%- for name, relation in [
        ('sums', 'sums_then'), ('prices_then', 'prices_then'), ('realised_then', 'realised_then'),
        ('promotions_then', 'promotions_then'), ('readings_then', 'readings_then'),
    ] %}
    left join {{ relation }}{{ ' as sums' if name == 'sums' }}
        on
            live.item_id = {{ name }}.item_id
            and live.location_id = {{ name }}.location_id
            and live.day = {{ name }}.day
    {%- endfor %}
)
{%- endmacro %}

{# quantile_disc of `days` values, of which `sold` (sorted, none of them 0) are not 0. #}
{% macro quantile_of_padded(sold, days, share) -%}
coalesce(
    list_extract(
        {{ sold }},
        nullif(
            greatest(
                greatest({{ days }} - floor({{ days }} - {{ share }}::double * {{ days }})::bigint, 1)
                - ({{ days }} - coalesce(len({{ sold }}), 0)),
                0
            ),
            0
        )
    ),
    0
)
{%- endmacro %}
