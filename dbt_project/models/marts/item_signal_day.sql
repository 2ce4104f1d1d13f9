with

final as (
    select
        signals.item_id,
        signals.day,
        {{ closing('signals.day') }},
        signals.value::double as competitor_price,
        signals.age_days as competitor_price_age_days
    from {{ ref('signal_day') }} as signals
    where
        signals.series = 'competitor_price'
        and signals.item_id is not null
        and signals.location_id is null
        and signals.region is null
)

select * from final
