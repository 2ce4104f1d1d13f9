-- Raw to marts of the company of `benchmarks.truth` in one script, as an analyst writes it by hand: the same tables, for this
-- company only (no returns, prices, promotions or counts), all of it anew each time. `by_hand` is a lake of its own.
create or replace table by_hand.main.fct_sales_order_line as
select
    closing as order_id,
    line::varchar as order_line,
    sold_on::timestamp as sold_at,
    sold_on,
    store as location_id,
    trim(item) as item_id,
    units as quantity_units,
    null::decimal(18, 4) as unit_price,
    null::decimal(18, 4) as revenue,
    null::varchar as customer_id,
    null::varchar as original_order_id,
    case when units < 0 then 'return' else 'sale' end as line_class,
    case when units < 0 then 'negative_quantity' else 'plain_sale' end as business_rule,
    true as counts_as_demand,
    null::decimal(18, 6) as original_quantity,
    null::varchar as original_unit,
    null::decimal(18, 4) as original_unit_price,
    null::varchar as original_currency,
    _known_at as known_at,
    _file,
    _line
from lake.raw.till_line
qualify row_number() over (partition by closing, line order by _known_at desc nulls last, _file desc, _line desc) = 1;

create or replace table by_hand.main.fct_demand as
select
    item_id,
    location_id,
    sold_on as demand_date,
    greatest(sum(quantity_units), 0)::bigint as demand_units,
    sum(quantity_units)::bigint as sold_units,
    0::bigint as returned_units,
    sum(revenue)::decimal(18, 4) as revenue,
    count(*) as line_count,
    max(known_at) as known_at
from by_hand.main.fct_sales_order_line
group by all;

create or replace table by_hand.main.item_location_day as
with
span as (select max(sold_on) as as_of from lake.raw.till_line),
series as (
    select item_id, location_id, min(demand_date) as first_day
    from by_hand.main.fct_demand cross join span
    where sold_units > 0
    group by all
    having max(demand_date) > any_value(as_of) - interval 365 day
),
days as (
    select item_id, location_id, unnest(generate_series(first_day, as_of, interval 1 day))::date as day
    from series cross join span
)
select
    days.item_id, days.location_id, days.day, days.day + interval 1 day as as_of_ts,
    greatest(days.day + interval 1 day, demand.known_at) as known_at, coalesce(demand.demand_units, 0) as demand_units,
    null::bigint as on_hand_units, null::boolean as is_stockout, null::decimal(18, 4) as unit_price, 0.0::double as discount_share,
    false as is_promoted, coalesce(demand.demand_units, 0)::double as unconstrained_demand_units, 'observed' as demand_method
from days left join by_hand.main.fct_demand as demand
    on days.item_id = demand.item_id and days.location_id = demand.location_id and days.day = demand.demand_date;

create or replace table by_hand.main.item_location_feature as
with
span as (select max(sold_on) as as_of from lake.raw.till_line),
series as (
    select item_id, location_id, min(demand_date) as first_day
    from by_hand.main.fct_demand
    where sold_units > 0
    group by all
),
days as (
    select item_id, location_id, first_day, unnest(generate_series(first_day, as_of, interval 1 day))::date as day
    from series cross join span
),
panel as (
    select
        days.*,
        (days.day - days.first_day) + 1 as age,
        coalesce(demand.demand_units, 0) as units,
        case when demand.demand_units > 0 then days.day end as sale_day
    from days left join by_hand.main.fct_demand as demand
        on days.item_id = demand.item_id and days.location_id = demand.location_id and days.day = demand.demand_date
),
windowed as (
    select
        *,
        lag(units, 7) over days as lag_7,
        lag(units, 14) over days as lag_14,
        lag(units, 28) over days as lag_28,
        avg(units) over last_7 as mean_7,
        avg(units) over last_28 as mean_28,
        avg(units) over last_91 as mean_91,
        stddev_samp(units) over last_28 as std_28,
        quantile_disc(units, [0.5, 0.9]) over last_28 as quantiles,
        avg(units) filter (isodow(day) = 1) over last_28 as dow_mean_1,
        avg(units) filter (isodow(day) = 2) over last_28 as dow_mean_2,
        avg(units) filter (isodow(day) = 3) over last_28 as dow_mean_3,
        avg(units) filter (isodow(day) = 4) over last_28 as dow_mean_4,
        avg(units) filter (isodow(day) = 5) over last_28 as dow_mean_5,
        avg(units) filter (isodow(day) = 6) over last_28 as dow_mean_6,
        avg(units) filter (isodow(day) = 7) over last_28 as dow_mean_7,
        count(*) filter (sale_day is null) over last_28 as zero_days,
        count(sale_day) over last_91 as selling_days,
        sum(units) over last_91 as units_91,
        sum(units * units) over last_91 as squares_91,
        max(sale_day) over days as last_sale_day
    from panel
    window
        days as (partition by item_id, location_id order by day),
        last_7 as (partition by item_id, location_id order by day rows 6 preceding),
        last_28 as (partition by item_id, location_id order by day rows 27 preceding),
        last_91 as (partition by item_id, location_id order by day rows 90 preceding)
)
select
    item_id, location_id, day, day + interval 1 day as as_of_ts, day + interval 1 day as known_at,
    units as demand_units, lag_7, lag_14, lag_28, mean_7, mean_28, mean_91, std_28, quantiles[1] as median_28, quantiles[2] as p90_28,
    dow_mean_1, dow_mean_2, dow_mean_3, dow_mean_4, dow_mean_5, dow_mean_6, dow_mean_7,
    zero_days / least(28, age) as zero_share_28, least(91, age) / nullif(selling_days, 0) as demand_interval_91,
    case when selling_days > 1 then squares_91 * selling_days / (units_91 * units_91)::double - 1 end as size_cv2_91,
    (day - last_sale_day)::integer as days_since_last_sale, null::decimal(18, 4) as unit_price, 0.0::double as discount_share,
    false as is_promoted, 0.0::double as promoted_share_28, null::bigint as on_hand_units, null::integer as on_hand_age_days,
    null::boolean as is_stockout
from windowed
where day - last_sale_day < 365;

create or replace table by_hand.main.item_location_future as
select
    item_id, location_id, unnest(generate_series(day + interval 1 day, day + interval 28 day, interval 1 day))::date as day,
    null::decimal(18, 4) as unit_price, 0.0::double as discount_share, false as is_promoted, day + interval 1 day as known_at
from by_hand.main.item_location_day
where day = (select max(day) from by_hand.main.item_location_day);

create or replace table by_hand.main.business_rule_count as
select business_rule, count(*) as line_count, sum(quantity_units)::bigint as units, sum(revenue)::decimal(18, 4) as revenue
from by_hand.main.fct_sales_order_line
group by business_rule;

-- CHECKS: what the build's tests and its reconciliation ask, each row a finding.
create or replace table by_hand.main.finding as
select 'a line twice' as finding, count(*) as row_count
from (select order_id, order_line from by_hand.main.fct_sales_order_line group by all having count(*) > 1)
union all
select 'a day of demand twice', count(*)
from (select item_id, location_id, demand_date from by_hand.main.fct_demand group by all having count(*) > 1)
union all
select 'a day of a series twice', count(*)
from (select item_id, location_id, day from by_hand.main.item_location_day group by all having count(*) > 1)
union all
select 'a row of features twice', count(*)
from (select item_id, location_id, day from by_hand.main.item_location_feature group by all having count(*) > 1)
union all
select 'a coming day of a series twice', count(*)
from (select item_id, location_id, day from by_hand.main.item_location_future group by all having count(*) > 1)
union all
select 'an empty field of a line', count(*) from by_hand.main.fct_sales_order_line
where
    order_id is null or order_line is null or sold_on is null or known_at is null or quantity_units is null
    or location_id is null or item_id is null
union all
select 'a class that is none', count(*) from by_hand.main.fct_sales_order_line
where line_class not in ('sale', 'return', 'cancellation', 'adjustment', 'non_product')
union all
select 'an item that nobody knows', count(*) from by_hand.main.fct_sales_order_line
where counts_as_demand and item_id not in (select item from lake.raw.item_master)
union all
select 'a store that nobody knows', count(*) from by_hand.main.fct_sales_order_line
where location_id not in (select store from lake.raw.store_master)
union all
select 'rows lost between raw and core', raw.row_count - older.row_count - core.row_count
from (select count(*) as row_count from lake.raw.till_line) as raw
cross join (
    select coalesce(sum(versions - 1), 0) as row_count
    from (select count(*) as versions from lake.raw.till_line group by closing, line having count(*) > 1)
) as older
cross join (select count(*) as row_count from by_hand.main.fct_sales_order_line) as core
union all
select 'units lost between core and demand', core.units - demand.units
from (select sum(quantity_units) as units from by_hand.main.fct_sales_order_line) as core
cross join (select sum(demand_units) as units from by_hand.main.fct_demand) as demand;
