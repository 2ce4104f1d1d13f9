with

today as (
    select
        panel.item_id,
        panel.location_id,
        panel.day as as_of,
        panel.unit_price as realised_price
    from {{ ref('item_location_day') }} as panel
    inner join {{ ref('business_span') }} as span on panel.day = span.as_of
),

days as (
    select
        *,
        unnest(generate_series(as_of + interval 1 day, as_of + interval 28 day, interval 1 day))::date as day
    from today
),

-- Of each price only what is in force on one of these days.
prices as (
    select
        item_id,
        location_id,
        unit_price,
        known_at,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by item_id, location_id order by valid_from), date '9999-12-31'
        ) as valid_to
    from {{ ref('fct_price') }}
    qualify valid_to > (select max(span.as_of) from {{ ref('business_span') }} as span)
),

priced as (
    select
        days.item_id,
        days.location_id,
        days.as_of,
        days.day,
        coalesce(local_prices.unit_price, general_prices.unit_price, days.realised_price) as unit_price,
        coalesce(local_prices.known_at, general_prices.known_at) as price_known_at
    from days
    left join prices as local_prices
        on
            days.item_id = local_prices.item_id
            and days.location_id = local_prices.location_id
            and days.day >= local_prices.valid_from
            and days.day < local_prices.valid_to
    left join prices as general_prices
        on
            general_prices.location_id is null
            and days.item_id = general_prices.item_id
            and days.day >= general_prices.valid_from
            and days.day < general_prices.valid_to
),

final as (
    select
        priced.item_id,
        priced.location_id,
        priced.day,
        priced.unit_price,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        greatest(priced.as_of + interval 1 day, priced.price_known_at, promotions.known_at) as known_at
    from priced
    left join {{ ref('int_series_promotion_day') }} as promotions
        on
            priced.item_id = promotions.item_id
            and priced.location_id = promotions.location_id
            and priced.day = promotions.day
)

select * from final
