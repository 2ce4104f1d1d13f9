with

versions as (
    select
        supplier_id,
        {{ conformed_item('item_id') }} as item_id,
        coalesce(valid_from, _known_at::date, date '1900-01-01') as valid_from,
        {{ counts_on('coalesce(_known_at, valid_from::timestamp)', "coalesce(valid_from, _known_at::date)") }}
            as counts_on,
        _known_at as known_at,
        lead_time_days,
        coalesce(minimum_order_units, 1) as minimum_order_units,
        coalesce(pack_size_units, 1) as pack_size_units,
        unit_price,
        coalesce(is_preferred, false) as is_preferred,
        _file,
        _line
    from (
        {{ every_version('supplier_item') | indent(8) }}
    ) as lines
),

begun as (
    select versions.* replace (coalesce(versions.counts_on, span.first_date) as counts_on)
    from versions
    cross join {{ ref('business_span') }} as span
    where coalesce(versions.counts_on, span.first_date) <= span.as_of
),

changes as (
    {{ changes_as_known('begun', ['supplier_id', 'item_id']) | indent(4) }}
),

final as (
    select
        supplier_id,
        item_id,
        counts_on as day,
        {{ closing('counts_on') }},
        lead_time_days as quoted_lead_time_days,
        minimum_order_units,
        pack_size_units,
        unit_price as unit_cost,
        unit_price::double / nullif(
            lag(unit_price) over (partition by supplier_id, item_id order by counts_on), 0
        ) - 1 as unit_cost_change_share,
        is_preferred
    from changes
)

select * from final
