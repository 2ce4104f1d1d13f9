with

newest as (
    select
        {{ conformed_item('item_id') }} as item_id,
        upper(trim(from_unit)) as from_unit,
        upper(trim(to_unit)) as to_unit,
        factor,
        coalesce(valid_from, date '0001-01-01') as valid_from,
        _known_at as known_at
    from {{ ref('stg_unit_conversion') }}
    {{ newest_version([
        conformed_item('item_id'), 'upper(trim(from_unit))', 'upper(trim(to_unit))',
        "coalesce(valid_from, date '0001-01-01')"
    ]) }}
),

final as (
    select
        item_id,
        from_unit,
        to_unit,
        factor,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by item_id, from_unit, to_unit order by valid_from), date '9999-12-31'
        ) as valid_to,
        known_at
    from newest
    where factor > 0
)

select * from final
