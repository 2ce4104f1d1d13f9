{{ config(materialized='slices', slice=['item_id', 'location_id'], slice_from='day') }}
{%- set demand = ref('fct_demand') %}
{%- set spans = ref('int_series_span') %}
{%- set span = ref('business_span') %}
{%- set inventory = ref('fct_inventory') %}
{%- set prices = ref('fct_price') %}
{%- set promotions = ref('fct_promotion') %}
{%- set stockouts = ref('stockout_day') %}
{%- set plan = build_plan() %}
{#- Of each series the first day that may come out differently; from it on, all are computed again. #}
{%- set changed %}
with
built as (select max(day) as as_of from {{ this }}),
active as (
    select series.item_id, series.location_id, series.first_sold_on, span.as_of
    from {{ spans }} as series cross join {{ span }} as span
    where series.last_sold_on > span.as_of - interval 365 day
),
standing as (select item_id, location_id from {{ this }} where day = (select as_of from built)),
days as (
    select item_id, location_id, demand_date as day from {{ changed_rows(demand, plan) }}
    union all
    select item_id, location_id, snapshot_date from {{ changed_rows(inventory, plan) }}
    union all
    select item_id, location_id, day from {{ changed_rows(stockouts, plan) }}
    union all
    select active.item_id, active.location_id, changed.valid_from
    from {{ changed_rows(prices, plan) }} as changed
    inner join active on changed.item_id = active.item_id
    where coalesce(changed.location_id, active.location_id) = active.location_id
    union all
    select active.item_id, active.location_id, changed.starts_on
    from {{ changed_rows(promotions, plan) }} as changed
    inner join active on changed.item_id = active.item_id
    where coalesce(changed.location_id, active.location_id) = active.location_id
    union all
    select active.item_id, active.location_id, least(built.as_of, active.as_of) + 1
    from active cross join built where built.as_of <> active.as_of
    union all
    -- All days of a series that begins on another one, or has come in or dropped out.
    select item_id, location_id, {{ the_first_day() }} from {{ changed_rows(spans, plan) }}
    group by item_id, location_id having count(distinct first_sold_on) > 1
    union all
    select item_id, location_id, {{ the_first_day() }} from (
        (select item_id, location_id from active except select item_id, location_id from standing)
        union all
        (select item_id, location_id from standing except select item_id, location_id from active)
    )
)
select item_id, location_id, min(day) as day from days where day is not null group by item_id, location_id
{%- endset %}
{%- set weight %}
select coalesce(sum(days * (days + 91)), 0) > {{ var('most_work_of_a_part', 4) }} * (select count(*) from {{ this }})
from (
    select (span.as_of - greatest(affected.day, series.first_sold_on) + 1)::bigint as days
    from affected inner join {{ spans }} as series using (item_id, location_id) cross join {{ span }} as span
    where affected.day <= span.as_of
)
{%- endset %}
{%- set affected = slices_to_build(plan, changed, weight) %}
-- Demand is whole units, so every sum is exact: the same input gives the same bits, whatever the threads do and whether
-- a day is one of all days that windows run over, or one of few that gather what lies behind them.
with

demand as (
    select * from {{ demand }}
),

span as (
    select * from {{ span }}
),

series as (
    select * from {{ ref('int_active_series') }}
),

{%- if not affected %}

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
    from {{ prices }} as prices
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
    left join {{ inventory }} as inventory
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
    left join {{ stockouts }} as stockouts
        on
            days.item_id = stockouts.item_id
            and days.location_id = stockouts.location_id
            and days.day = stockouts.day
),

gathered as (
    select
        *,
        {%- for days in [7, 28, 91] %}
        least({{ days }}, age_days + 1) as days_{{ days }},
        sum(demand_units) over last_{{ days }} as units_{{ days }},
        {%- endfor %}
        {%- for days in [7, 14, 28] %}
        lag(demand_units, {{ days }}) over so_far as lag_{{ days }},
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        sum(case when isodow(day) = {{ weekday }} then demand_units else 0 end) over last_28 as units_dow_{{ weekday }},
        {%- endfor %}
        sum(demand_units * demand_units) over last_28 as squares_28,
        count(sale_day) over last_28 as selling_days_28,
        max(sale_day) over so_far as last_sale_day,
        last_value(local_price ignore nulls) over so_far as local_price_in_force,
        last_value(local_known_at ignore nulls) over so_far as local_price_known_at,
        last_value(general_price ignore nulls) over so_far as general_price_in_force,
        last_value(general_known_at ignore nulls) over so_far as general_price_known_at,
        last_value(realised_price ignore nulls) over so_far as last_realised_price,
        max(demand_known_at) over last_91 as demand_known_at_91
    from panel
    window
        so_far as (
            partition by item_id, location_id order by day rows between unbounded preceding and current row
        ),
        {%- for days in [7, 28, 91] %}
        last_{{ days }} as (
            partition by item_id, location_id order by day rows between {{ days - 1 }} preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}
),
{%- else %}

days as (
    select
        series.item_id,
        series.location_id,
        series.first_day,
        unnest(
            generate_series(greatest(affected.day, series.first_day), span.as_of, interval 1 day)
        )::date as day
    from series
    inner join affected on series.item_id = affected.item_id and series.location_id = affected.location_id
    cross join span
),

recent as (
    select * from demand
    where demand_date >= {{ date_literal(first_affected('day')) }} - 91
),

behind as (
    select
        days.item_id,
        days.location_id,
        days.day,
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
    group by days.item_id, days.location_id, days.day, days.first_day
),

-- What lies further back stands in the last row that stays: when it last sold, and the price where none is in force.
carried as (
    select
        built.item_id,
        built.location_id,
        built.day - built.days_since_last_sale as last_sale_day,
        built.unit_price
    from {{ this }} as built
    inner join affected
        on
            built.item_id = affected.item_id
            and built.location_id = affected.location_id
            and built.day = affected.day - 1
    where built.day >= {{ date_literal(first_affected('day', after=the_first_day())) }} - 1
),

priced as (
    select
        days.item_id,
        days.location_id,
        days.day,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is not null) as local_price_in_force,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is not null) as local_price_known_at,
        arg_max(prices.unit_price, prices.valid_from) filter (where prices.location_id is null) as general_price_in_force,
        arg_max(prices.known_at, prices.valid_from) filter (where prices.location_id is null) as general_price_known_at
    from days
    inner join {{ prices }} as prices
        on
            days.item_id = prices.item_id
            and coalesce(prices.location_id, days.location_id) = days.location_id
            and days.day >= prices.valid_from
    group by days.item_id, days.location_id, days.day
),

gathered as (
    select
        behind.* exclude (last_sale_day, last_realised_price, back_0),
        behind.back_0 as demand_units,
        coalesce(stockouts.unconstrained_demand_units, behind.back_0)::double as unconstrained_demand_units,
        coalesce(stockouts.method, 'observed') as demand_method,
        {%- for days in [7, 28, 91] %}
        least({{ days }}, behind.age_days + 1) as days_{{ days }},
        {%- endfor %}
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
        priced.general_price_known_at,
        inventory.on_hand_units,
        inventory.known_at as inventory_known_at,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        promotions.known_at as promotion_known_at
    from behind
    left join carried on behind.item_id = carried.item_id and behind.location_id = carried.location_id
    left join priced
        on
            behind.item_id = priced.item_id
            and behind.location_id = priced.location_id
            and behind.day = priced.day
    left join {{ inventory }} as inventory
        on
            behind.item_id = inventory.item_id
            and behind.location_id = inventory.location_id
            and behind.day = inventory.snapshot_date
    left join {{ ref('int_series_promotion_day') }} as promotions
        on
            behind.item_id = promotions.item_id
            and behind.location_id = promotions.location_id
            and behind.day = promotions.day
    left join {{ stockouts }} as stockouts
        on
            behind.item_id = stockouts.item_id
            and behind.location_id = stockouts.location_id
            and behind.day = stockouts.day
    window so_far as (
        partition by behind.item_id, behind.location_id
        order by behind.day rows between unbounded preceding and current row
    )
),
{%- endif %}

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
    from gathered
)

select * from final
