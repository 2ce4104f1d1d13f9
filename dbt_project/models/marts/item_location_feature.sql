{{ config(materialized='slices', slice=['item_id', 'location_id', 'day']) }}
{%- set windows = [7, 28, 91] %}
{%- set plan = build_plan(['price', 'inventory_snapshot']) %}
{%- set weight %}
select count(*) > {{ var('most_work_of_a_part', 0.5) }} * 0.1 * (select count(*) from {{ this }})
from affected
{%- endset %}
{%- set affected = slices_to_build(plan, changed_closings(plan), weight) %}
-- Units are whole, so sums are exact: the same input gives the same bits, all closings at once or a few of them.
with

span as (
    select * from {{ ref('business_span') }}
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

{{ some_closings(plan, windows) if affected else all_closings(windows) }},

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
