-- One pass over the dense panel. Demand is whole units, so every mean comes from differences of running sums that are
-- exact: the same input gives the same bits, whatever the threads do, and no window is scanned again for each row.
with

demand as (
    select * from {{ ref('fct_demand') }}
),

span as (
    select * from {{ ref('business_span') }}
),

series as (
    select * from {{ ref('int_active_series') }}
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
        coalesce(stockouts.unconstrained_demand_units, demand.demand_units, 0)::double as unconstrained_demand_units,
        coalesce(stockouts.method, 'observed') as demand_method,
        demand.known_at as demand_known_at,
        case when demand.demand_units > 0 then days.day end as sale_day,
        case when demand.demand_units > 0 and demand.revenue > 0 then demand.revenue / demand.demand_units end
            as realised_price,
        inventory.on_hand_units,
        inventory.known_at as inventory_known_at,
        price_changes.local_price,
        price_changes.local_known_at,
        price_changes.general_price,
        price_changes.general_known_at,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        promotions.known_at as promotion_known_at
    from days
    left join demand
        on
            days.item_id = demand.item_id
            and days.location_id = demand.location_id
            and days.day = demand.demand_date
    left join {{ ref('fct_inventory') }} as inventory
        on
            days.item_id = inventory.item_id
            and days.location_id = inventory.location_id
            and days.day = inventory.snapshot_date
    left join price_changes
        on
            days.item_id = price_changes.item_id
            and days.location_id = price_changes.location_id
            and days.day = price_changes.day
    left join {{ ref('int_series_promotion_day') }} as promotions
        on
            days.item_id = promotions.item_id
            and days.location_id = promotions.location_id
            and days.day = promotions.day
    left join {{ ref('stockout_day') }} as stockouts
        on
            days.item_id = stockouts.item_id
            and days.location_id = stockouts.location_id
            and days.day = stockouts.day
),

running as (
    select
        *,
        sum(demand_units) over so_far as sum_units,
        sum(demand_units * demand_units) over so_far as sum_squares,
        count(sale_day) over so_far as selling_days,
        {%- for weekday in range(1, 8) %}
        sum(case when isodow(day) = {{ weekday }} then demand_units else 0 end) over so_far as sum_dow_{{ weekday }},
        {%- endfor %}
        max(sale_day) over so_far as last_sale_day,
        last_value(local_price ignore nulls) over so_far as local_price_in_force,
        last_value(local_known_at ignore nulls) over so_far as local_price_known_at,
        last_value(general_price ignore nulls) over so_far as general_price_in_force,
        last_value(general_known_at ignore nulls) over so_far as general_price_known_at,
        last_value(realised_price ignore nulls) over so_far as last_realised_price,
        max(demand_known_at) over (
            partition by item_id, location_id order by day rows between 90 preceding and current row
        ) as demand_known_at_91
    from panel
    window so_far as (
        partition by item_id, location_id order by day rows between unbounded preceding and current row
    )
),

lagged as (
    select
        *,
        {%- for days in [7, 28, 91] %}
        least({{ days }}, age_days + 1) as days_{{ days }},
        sum_units - coalesce(lag(sum_units, {{ days }}) over by_day, 0) as units_{{ days }},
        {%- endfor %}
        {%- for days in [7, 14, 28] %}
        lag(demand_units, {{ days }}) over by_day as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        sum_dow_{{ weekday }} - coalesce(lag(sum_dow_{{ weekday }}, 28) over by_day, 0) as units_dow_{{ weekday }},
        {%- endfor %}
        sum_squares - coalesce(lag(sum_squares, 28) over by_day, 0) as squares_28,
        selling_days - coalesce(lag(selling_days, 28) over by_day, 0) as selling_days_28
    from running
    window by_day as (partition by item_id, location_id order by day)
),

final as (
    select
        item_id,
        location_id,
        day,
        day + interval 1 day as as_of_ts,
        greatest(
            day + interval 1 day,
            demand_known_at_91,
            inventory_known_at,
            promotion_known_at,
            case when local_price_in_force is not null then local_price_known_at else general_price_known_at end
        ) as known_at,
        demand_units,
        lag_7,
        lag_14,
        lag_28,
        units_7 / days_7 as mean_7,
        units_28 / days_28 as mean_28,
        units_91 / days_91 as mean_91,
        case
            when days_28 > 1
                then sqrt((days_28 * squares_28 - units_28 * units_28)::double / (days_28 * (days_28 - 1)))
        end as std_28,
        {%- for weekday in range(1, 8) %}
        -- Days of the weekday among the last days_28; none yet in a series' first week: null.
        units_dow_{{ weekday }}
        / nullif((days_28 + 6 - ((isodow(day) - {{ weekday }} + 7) % 7)) // 7, 0) as dow_mean_{{ weekday }},
        {%- endfor %}
        (days_28 - selling_days_28) / days_28 as zero_share_28,
        (day - last_sale_day)::integer as days_since_last_sale,
        on_hand_units,
        on_hand_units <= 0 as is_stockout,
        coalesce(local_price_in_force, general_price_in_force, last_realised_price)::decimal(18, 4) as unit_price,
        discount_share,
        is_promoted,
        unconstrained_demand_units,
        demand_method
    from lagged
)

select * from final
