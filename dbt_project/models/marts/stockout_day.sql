{{ config(materialized='differences') }}
-- What was wanted on the days that ended without stock. The evidence is the days that did not, and those on which the
-- last unit was sold: the demand of such a day was at least what was sold.
--   expected_units = rate of the item x day x promotion x period of 28 days x place, each from the days in stock
--   a day without a sale: expected_units
--   a day that sold out:  E[D | D >= sold], by the product-limit estimator (Kaplan and Meier 1958) over the days of
--                         items that vary alike and expect alike
with

demand as (
    select
        item_id,
        location_id,
        demand_date,
        sold_units,
        returned_units
    from {{ ref('fct_demand') }}
    where {{ may_be_asked_of(ref('fct_inventory'), 'on_hand_units <= 0 and not is_assumed') }}
),

last_sales as (
    select
        item_id,
        max(demand_date) as last_day
    from demand
    where sold_units > 0
    group by item_id
),

-- A discontinued item is wanted until it was sold for the last time anywhere.
series as (
    select
        active.item_id,
        active.location_id,
        active.first_day,
        case
            when items.is_discontinued then last_sales.last_day
            else date '9999-12-31'
        end as last_day
    from {{ ref('int_active_series') }} as active
    inner join {{ ref('dim_item') }} as items on active.item_id = items.item_id
    inner join last_sales on active.item_id = last_sales.item_id
),

-- The day of the first sale was chosen for its sale: it is no evidence of how often there is one.
readings as (
    select
        inventory.item_id,
        inventory.location_id,
        inventory.snapshot_date as day,
        (inventory.snapshot_date - date '2000-01-03') // 28 as period,
        inventory.on_hand_units <= 0 as is_out,
        coalesce(demand.sold_units, 0) as sold_units,
        coalesce(demand.returned_units, 0) as returned_units,
        promotions.day is not null as is_promoted
    from {{ ref('fct_inventory') }} as inventory
    inner join series
        on
            inventory.item_id = series.item_id
            and inventory.location_id = series.location_id
            and inventory.snapshot_date > series.first_day
            and inventory.snapshot_date <= series.last_day
    left join demand
        on
            inventory.item_id = demand.item_id
            and inventory.location_id = demand.location_id
            and inventory.snapshot_date = demand.demand_date
    left join {{ ref('int_series_promotion_day') }} as promotions
        on
            inventory.item_id = promotions.item_id
            and inventory.location_id = promotions.location_id
            and inventory.snapshot_date = promotions.day
    where
        not inventory.is_assumed
        and exists (
            select 1 from {{ ref('fct_inventory') }} as empty_shelves
            where empty_shelves.on_hand_units <= 0 and not empty_shelves.is_assumed
        )
),

-- An item that has been away from a place for 13 weeks is not offered there any more.
out_days as (
    select
        *,
        day - min(day) over (partition by item_id, location_id, run) as days_out
    from (
        select
            *,
            day - row_number() over (partition by item_id, location_id order by day)::integer as run
        from readings
        where is_out
    ) as runs
),

evidence as (
    select * from readings
    where not is_out or sold_units > 0
),

{{ day_factors() }},

-- From here on the days of an item, place, period and promotion are one cell: everything else is the same for them.
cells_1 as (
    select
        evidence.item_id,
        evidence.location_id,
        evidence.period,
        evidence.is_promoted,
        sum(evidence.sold_units) as units,
        sum(evidence.sold_units * evidence.sold_units) as squares,
        sum(evidence.sold_units * day_factors.day_factor) as units_x_factor,
        sum(day_factors.day_factor) as exposure,
        sum(day_factors.day_factor * day_factors.day_factor) as exposure_squares
    from evidence
    inner join day_factors on evidence.day = day_factors.day
    group by evidence.item_id, evidence.location_id, evidence.period, evidence.is_promoted
),
{%- for sweep in [1, 2, 3] %}

{{ rates_and_factors(sweep) }},
{%- if not loop.last %}

{{ alike_days(sweep) }},

{{ product_limit(sweep) }},

{{ cells_again(sweep) }},
{%- endif %}
{%- endfor %}

expected as (
    select
        out_days.*,
        rates.overall_rate,
        coalesce(nullif(rates.plain_rate, 0), rates.overall_rate)
        * coalesce(day_factors.day_factor, 1)
        * case when out_days.is_promoted then coalesce(lifts.item_lift, 1) else 1 end
        * coalesce(periods.factor, 1)
        * coalesce(places.factor, 1) as expected_units
    from out_days
    left join item_rates_3 as rates on out_days.item_id = rates.item_id
    left join lifts_3 as lifts on out_days.item_id = lifts.item_id
    left join day_factors on out_days.day = day_factors.day
    left join periods_3 as periods on out_days.item_id = periods.item_id and out_days.period = periods.period
    left join places_3 as places
        on out_days.item_id = places.item_id and out_days.location_id = places.location_id
    where out_days.days_out < 91
),

final as (
    select
        expected.item_id,
        expected.location_id,
        expected.day,
        expected.sold_units > 0 as is_partial,
        expected.sold_units,
        expected.expected_units::decimal(18, 4) as expected_units,
        greatest(
            coalesce(sold_out_days.wanted_units, expected.expected_units, 0) - expected.returned_units,
            expected.sold_units - expected.returned_units,
            0
        )::decimal(18, 4) as unconstrained_demand_units,
        case
            when sold_out_days.day is not null then 'product_limit'
            when expected.expected_units is not null then 'expected'
            else 'observed'
        end as method
    from expected
    left join sold_out_days_2 as sold_out_days
        on
            expected.item_id = sold_out_days.item_id
            and expected.location_id = sold_out_days.location_id
            and expected.day = sold_out_days.day
)

select * from final
