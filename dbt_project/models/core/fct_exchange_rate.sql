-- A rate holds until the next one, and no longer than the company lets it (exchange_rate_days): weekends, not months.
with

newest as (
    select
        upper(trim(currency)) as currency,
        valid_on,
        rate,
        coalesce(published_at, _known_at, valid_on::timestamp) as known_at
    from {{ ref('stg_exchange_rate') }}
    {{ newest_version(['upper(trim(currency))', 'valid_on']) }}
),

final as (
    select
        currency,
        valid_on,
        least(
            coalesce(lead(valid_on) over (partition by currency order by valid_on), date '9999-12-31'),
            valid_on + {{ var('exchange_rate_days') }}
        ) as valid_to,
        rate,
        known_at
    from newest
    where rate > 0
)

select * from final
