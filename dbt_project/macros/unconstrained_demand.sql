{#
    How marts.stockout_day estimates what was wanted, as CTEs one behind the other; docs/adr/0015 says why so. A sweep reads
    cells_<sweep> (units of an item, place, period and promotion) and, but for the last, makes cells_<sweep + 1>.
    What is taken for granted weighs 50 expected units of a day, and of an item's dispersions 10 of a period, 20 of a place.
#}

{# How much of everything was wanted on a day, against the same items' means: weekday, holidays, weather, all at once. #}
{% macro day_factors() -%}
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
        (units + 50 * weekday_factor) / (expected_units + 50) as day_factor
    from (
        select
            *,
            sum(units) over (partition by isodow(day))
            / nullif(sum(expected_units) over (partition by isodow(day)), 0) as weekday_factor
        from day_totals
    ) as weekdays
)
{%- endmacro %}

{# Rate, lift by promotions and dispersion of each item; factors of its periods and places. #}
{% macro rates_and_factors(sweep) -%}
item_rates_{{ sweep }} as (
    select
        item_id,
        sum(units) filter (where not is_promoted)
        / nullif(sum(exposure) filter (where not is_promoted), 0) as plain_rate,
        -- Only seen on days on which nobody buys anything: there is nothing to go by.
        coalesce(sum(units) / nullif(sum(exposure), 0), 0) as overall_rate
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
        (sum(lifted.units) + 10 * any_value(spreads.dispersion))
        / (sum(lifted.rate * lifted.exposure) + 10 * any_value(spreads.dispersion)) as factor
    from lifted_{{ sweep }} as lifted
    inner join spreads_{{ sweep }} as spreads on lifted.item_id = spreads.item_id
    group by lifted.item_id, lifted.period
),

places_{{ sweep }} as (
    select
        lifted.item_id,
        lifted.location_id,
        (sum(lifted.units) + 20 * any_value(spreads.dispersion))
        / (
            sum(lifted.rate * periods.factor * lifted.exposure)
            + 20 * any_value(spreads.dispersion)
        ) as factor
    from lifted_{{ sweep }} as lifted
    inner join spreads_{{ sweep }} as spreads on lifted.item_id = spreads.item_id
    inner join periods_{{ sweep }} as periods on lifted.item_id = periods.item_id and lifted.period = periods.period
    group by lifted.item_id, lifted.location_id
)
{%- endmacro %}

{# Days that are alike: items of like dispersion and, where more than one customer comes, like expected units. #}
{% macro alike_days(sweep) -%}
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
)
{%- endmacro %}

{# Of those who may still end at exactly these units (at_risk), how many did: what sold out counts up to what it sold. #}
{% macro product_limit(sweep) -%}
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
)
{%- endmacro %}

{# The cells once more, with what the days that sold out are now thought to have wanted. #}
{% macro cells_again(sweep) -%}
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
)
{%- endmacro %}
