-- A difference stands in the balance on the day on which it arises and on no day after: what is compared is what a day
-- changed. One that a later day takes back, unit for unit, is the same break, settled on that day.
with

breaks as (
    select
        item_id,
        location_id,
        day,
        break_units,
        opening_units,
        closing_units
    from {{ ref('stock_balance') }}
    where break_units <> 0
),

numbered as (
    select
        *,
        -- In a run of equal size whose sign turns each time, every second one takes the one before it back.
        sum(turns_not) over (
            partition by item_id, location_id, abs(break_units) order by day rows unbounded preceding
        ) as run
    from (
        select
            *,
            case
                when sign(break_units) = -lag(sign(break_units)) over (
                    partition by item_id, location_id, abs(break_units) order by day
                ) then 0
                else 1
            end as turns_not
        from breaks
    ) as signed
),

paired as (
    select
        *,
        row_number() over in_run as place,
        lead(day) over in_run as next_day
    from numbered
    window in_run as (partition by item_id, location_id, abs(break_units), run order by day)
),

costs as (
    select
        item_id,
        min(unit_price) filter (where is_preferred) as preferred_price,
        min(unit_price) as lowest_price
    from {{ ref('dim_supplier_item') }}
    group by item_id
),

final as (
    select
        paired.item_id,
        paired.location_id,
        paired.day as first_seen_on,
        paired.opening_units,
        paired.closing_units,
        paired.break_units,
        coalesce(costs.preferred_price, costs.lowest_price, items.list_price) as unit_value,
        (
            paired.break_units * coalesce(costs.preferred_price, costs.lowest_price, items.list_price)
        )::decimal(18, 4) as break_value,
        paired.next_day as settled_on,
        (coalesce(paired.next_day, span.as_of) - paired.day)::integer as age_days
    from paired
    cross join {{ ref('business_span') }} as span
    left join costs on paired.item_id = costs.item_id
    left join {{ ref('dim_item') }} as items on paired.item_id = items.item_id
    where paired.place % 2 = 1
)

select * from final
