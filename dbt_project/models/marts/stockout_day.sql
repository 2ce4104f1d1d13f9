{{ config(materialized='differences') }}
{#- Weights of what is taken for granted, in units of an item's dispersion: about the spread of places and seasons. -#}
{%- set prior_of_place, prior_of_period, prior_of_day = 20, 10, 50 %}
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

-- How much of everything was wanted on a day, against the same items' means: weekday, holidays, weather, all at once.
item_days as (
    select
        item_id,
        day,
        sum(sold_units) as units,
        count(*) as places
    from evidence
    group by item_id, day
),

day_totals as (
    select
        day,
        sum(units) as units,
        sum(places * mean_units) as expected_units
    from (
        select
            day,
            units,
            places,
            sum(units) over (partition by item_id) / sum(places) over (partition by item_id) as mean_units
        from item_days
    ) as item_day_means
    group by day
),

day_factors as (
    select
        day,
        (units + {{ prior_of_day }} * weekday_factor) / (expected_units + {{ prior_of_day }}) as day_factor
    from (
        select
            *,
            sum(units) over (partition by isodow(day))
            / nullif(sum(expected_units) over (partition by isodow(day)), 0) as weekday_factor
        from day_totals
    ) as weekdays
),

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
{% for sweep in [1, 2, 3] %}
item_rates_{{ sweep }} as (
    select
        item_id,
        sum(units) filter (where not is_promoted) / sum(exposure) filter (where not is_promoted) as plain_rate,
        sum(units) / sum(exposure) as overall_rate
    from cells_{{ sweep }}
    group by item_id
),

based_{{ sweep }} as (
    select
        cells.*,
        coalesce(nullif(rates.plain_rate, 0), rates.overall_rate) as item_rate
    from cells_{{ sweep }} as cells
    inner join item_rates_{{ sweep }} as rates on cells.item_id = rates.item_id
),

-- An item's own lift by promotions, as far as it has been promoted; for the rest, that of all.
lifts_{{ sweep }} as (
    select
        item_id,
        (sum(units) filter (where is_promoted) + 30 * any_value(general_lift))
        / (sum(item_rate * exposure) filter (where is_promoted) + 30) as item_lift
    from (
        select
            *,
            sum(units) filter (where is_promoted) over ()
            / nullif(sum(item_rate * exposure) filter (where is_promoted) over (), 0) as general_lift
        from based_{{ sweep }}
    ) as lifted
    group by item_id
),

lifted_{{ sweep }} as (
    select
        based.*,
        based.item_rate * case when based.is_promoted then coalesce(lifts.item_lift, 1) else 1 end as rate
    from based_{{ sweep }} as based
    inner join lifts_{{ sweep }} as lifts on based.item_id = lifts.item_id
),

-- Variance over mean of a day's units, about 1 where customers come one by one and take one.
spreads_{{ sweep }} as (
    select
        item_id,
        (sum(squares - 2 * rate * units_x_factor + rate * rate * exposure_squares) + 20)
        / (sum(rate * exposure) + 10) as dispersion
    from lifted_{{ sweep }}
    group by item_id
),

periods_{{ sweep }} as (
    select
        lifted.item_id,
        lifted.period,
        (sum(lifted.units) + {{ prior_of_period }} * any_value(spreads.dispersion))
        / (sum(lifted.rate * lifted.exposure) + {{ prior_of_period }} * any_value(spreads.dispersion)) as factor
    from lifted_{{ sweep }} as lifted
    inner join spreads_{{ sweep }} as spreads on lifted.item_id = spreads.item_id
    group by lifted.item_id, lifted.period
),

places_{{ sweep }} as (
    select
        lifted.item_id,
        lifted.location_id,
        (sum(lifted.units) + {{ prior_of_place }} * any_value(spreads.dispersion))
        / (
            sum(lifted.rate * periods.factor * lifted.exposure)
            + {{ prior_of_place }} * any_value(spreads.dispersion)
        ) as factor
    from lifted_{{ sweep }} as lifted
    inner join spreads_{{ sweep }} as spreads on lifted.item_id = spreads.item_id
    inner join periods_{{ sweep }} as periods on lifted.item_id = periods.item_id and lifted.period = periods.period
    group by lifted.item_id, lifted.location_id
),
{% if not loop.last %}
rated_cells_{{ sweep }} as (
    select
        lifted.*,
        lifted.rate * periods.factor * places.factor as daily_rate
    from lifted_{{ sweep }} as lifted
    inner join periods_{{ sweep }} as periods
        on lifted.item_id = periods.item_id and lifted.period = periods.period
    inner join places_{{ sweep }} as places
        on lifted.item_id = places.item_id and lifted.location_id = places.location_id
),

dispersions_{{ sweep }} as (
    select
        item_id,
        (sum(squares - 2 * daily_rate * units_x_factor + daily_rate * daily_rate * exposure_squares) + 20)
        / (sum(daily_rate * exposure) + 10) as dispersion
    from rated_cells_{{ sweep }}
    group by item_id
),

-- Days that are alike: items of like dispersion and, where more than one customer comes, like expected units.
alike_{{ sweep }} as (
    select
        evidence.item_id,
        evidence.location_id,
        evidence.day,
        evidence.is_out,
        evidence.sold_units,
        floor(ln(greatest(dispersions.dispersion, 0.5)) / ln(1.4))::integer as spread_band,
        floor(
            ln(greatest(cells.daily_rate * day_factors.day_factor / dispersions.dispersion, 0.5)) / ln(1.5)
        )::integer as rate_band
    from evidence
    inner join day_factors on evidence.day = day_factors.day
    inner join dispersions_{{ sweep }} as dispersions on evidence.item_id = dispersions.item_id
    inner join rated_cells_{{ sweep }} as cells
        on
            evidence.item_id = cells.item_id
            and evidence.location_id = cells.location_id
            and evidence.period = cells.period
            and evidence.is_promoted = cells.is_promoted
),

-- Of those who may still end at exactly these units (at_risk), how many did: what sold out counts up to what it sold.
counted_{{ sweep }} as (
    select
        spread_band,
        rate_band,
        sold_units,
        count(*) filter (where not is_out) as ended,
        count(*) filter (where is_out) as sold_out
    from alike_{{ sweep }}
    group by spread_band, rate_band, sold_units
),

risks_{{ sweep }} as (
    select
        *,
        sum(ended) over upwards + sum(sold_out) over upwards - sold_out as at_risk,
        sum((ended + sold_out) * sold_units) over upwards as units_upwards,
        sum(ended + sold_out) over upwards as days_upwards,
        sum(ended) over upwards as ended_upwards,
        lead(sold_units) over (partition by spread_band, rate_band order by sold_units) as next_units
    from counted_{{ sweep }}
    window upwards as (partition by spread_band, rate_band order by sold_units desc)
),

-- Where fewer than 5 days are left, the excess is taken as exponential: that of all beyond half of the last sure units.
tails_{{ sweep }} as (
    select
        spread_band,
        rate_band,
        coalesce(max(sold_units) filter (where at_risk >= 5), 0) as last_units
    from risks_{{ sweep }}
    group by spread_band, rate_band
),

tail_means_{{ sweep }} as (
    select
        tails.spread_band,
        tails.rate_band,
        tails.last_units,
        arg_min(
            (risks.units_upwards - risks.days_upwards * risks.sold_units) / greatest(risks.ended_upwards, 1),
            risks.sold_units
        ) as excess_units
    from tails_{{ sweep }} as tails
    inner join risks_{{ sweep }} as risks
        on
            tails.spread_band = risks.spread_band
            and tails.rate_band = risks.rate_band
            and tails.last_units // 2 <= risks.sold_units
    group by tails.spread_band, tails.rate_band, tails.last_units
),

survival_{{ sweep }} as (
    select
        risks.spread_band,
        risks.rate_band,
        risks.sold_units,
        tail_means.last_units,
        tail_means.excess_units,
        coalesce(least(risks.next_units, tail_means.last_units + 1), tail_means.last_units + 1) - risks.sold_units
            as width,
        exp(coalesce(sum(ln(greatest(1 - risks.ended / risks.at_risk, 1e-9))) over before, 0)) as reached,
        exp(sum(ln(greatest(1 - risks.ended / risks.at_risk, 1e-9))) over through) as passed
    from risks_{{ sweep }} as risks
    inner join tail_means_{{ sweep }} as tail_means
        on risks.spread_band = tail_means.spread_band and risks.rate_band = tail_means.rate_band
    where risks.sold_units <= tail_means.last_units and risks.at_risk > 0
    window
        before as (
            partition by risks.spread_band, risks.rate_band
            order by risks.sold_units rows between unbounded preceding and 1 preceding
        ),
        through as (partition by risks.spread_band, risks.rate_band order by risks.sold_units)
),

excesses_{{ sweep }} as (
    select
        spread_band,
        rate_band,
        sold_units,
        (sum(passed * width) over upwards + last_value(passed) over whole * excess_units) / reached as excess_units
    from survival_{{ sweep }}
    window
        upwards as (partition by spread_band, rate_band order by sold_units desc),
        whole as (
            partition by spread_band, rate_band
            order by sold_units rows between unbounded preceding and unbounded following
        )
),

sold_out_days_{{ sweep }} as (
    select
        alike.item_id,
        alike.location_id,
        alike.day,
        alike.sold_units + coalesce(excesses.excess_units, tail_means.excess_units) as wanted_units
    from alike_{{ sweep }} as alike
    inner join tail_means_{{ sweep }} as tail_means
        on alike.spread_band = tail_means.spread_band and alike.rate_band = tail_means.rate_band
    left join excesses_{{ sweep }} as excesses
        on
            alike.spread_band = excesses.spread_band
            and alike.rate_band = excesses.rate_band
            and alike.sold_units = excesses.sold_units
    where alike.is_out
),

more_{{ sweep }} as (
    select
        readings.item_id,
        readings.location_id,
        readings.period,
        readings.is_promoted,
        sum(sold_out_days.wanted_units - readings.sold_units) as units,
        sum(sold_out_days.wanted_units * sold_out_days.wanted_units - readings.sold_units * readings.sold_units)
            as squares,
        sum((sold_out_days.wanted_units - readings.sold_units) * day_factors.day_factor) as units_x_factor
    from sold_out_days_{{ sweep }} as sold_out_days
    inner join readings
        on
            sold_out_days.item_id = readings.item_id
            and sold_out_days.location_id = readings.location_id
            and sold_out_days.day = readings.day
    inner join day_factors on readings.day = day_factors.day
    group by readings.item_id, readings.location_id, readings.period, readings.is_promoted
),

-- Once more, with what the days that sold out are now thought to have wanted.
cells_{{ sweep + 1 }} as (
    select
        cells.item_id,
        cells.location_id,
        cells.period,
        cells.is_promoted,
        cells.units + coalesce(more.units, 0) as units,
        cells.squares + coalesce(more.squares, 0) as squares,
        cells.units_x_factor + coalesce(more.units_x_factor, 0) as units_x_factor,
        cells.exposure,
        cells.exposure_squares
    from cells_1 as cells
    left join more_{{ sweep }} as more
        on
            cells.item_id = more.item_id
            and cells.location_id = more.location_id
            and cells.period = more.period
            and cells.is_promoted = more.is_promoted
),
{% endif -%}
{% endfor %}
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
