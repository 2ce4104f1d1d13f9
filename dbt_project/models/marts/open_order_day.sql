-- What was on order as each day closed: of every line what was ordered, by the version known, less what was known to
-- have come.
with

versions as (
    {{ every_order_line() | indent(4) }}
),

ordered as (
    select
        purchase_order_id,
        purchase_order_line,
        {{ counts_on('known_at', 'ordered_on') }} as day,
        arg_max(ordered_units, (known_at, _file, _line)) as ordered_units
    from versions
    where ordered_on is not null
    group by all
),

receipt_versions as (
    select
        purchase_order_id,
        purchase_order_line,
        received_on,
        received_units,
        coalesce(_known_at, received_on + interval 1 day) as known_at,
        lead(_known_at) over (
            partition by receipt_id, receipt_line
            order by _known_at nulls first, _file, _line
        ) as superseded_at
    from (
        {{ every_version('goods_receipt', has_item=false) | indent(8) }}
    ) as receipts
),

received as (
    select
        purchase_order_id,
        purchase_order_line,
        {{ counts_on('known_at', 'received_on') }} as day,
        received_units
    from receipt_versions
    union all
    select
        purchase_order_id,
        purchase_order_line,
        {{ counts_on('superseded_at', 'received_on') }} as day,
        -received_units as received_units
    from receipt_versions
    where superseded_at is not null
),

events as (
    select
        purchase_order_id,
        purchase_order_line,
        day,
        max(ordered_units) as ordered_units,
        sum(received_units) as received_units
    from (
        select
            *,
            0 as received_units
        from ordered
        union all
        select
            purchase_order_id,
            purchase_order_line,
            day,
            null as ordered_units,
            received_units
        from received
    ) as both_kinds
    group by purchase_order_id, purchase_order_line, day
),

open_lines as (
    select
        purchase_order_id,
        purchase_order_line,
        day,
        greatest(
            coalesce(last_value(ordered_units ignore nulls) over so_far, 0) - sum(received_units) over so_far, 0
        ) as open_units
    from events
    window so_far as (
        partition by purchase_order_id, purchase_order_line
        order by day rows between unbounded preceding and current row
    )
),

-- Item and place of a line are those of its newest version.
changes as (
    select
        lines.item_id,
        locations.purchasing_location_id as location_id,
        open_lines.day,
        open_lines.open_units - lag(open_lines.open_units, 1, 0) over by_day as units,
        (open_lines.open_units > 0)::integer - lag((open_lines.open_units > 0)::integer, 1, 0) over by_day as lines
    from open_lines
    inner join {{ ref('fct_purchase_order_line') }} as lines
        on
            open_lines.purchase_order_id = lines.purchase_order_id
            and open_lines.purchase_order_line = lines.purchase_order_line
    inner join {{ ref('dim_location') }} as locations on lines.location_id = locations.location_id
    inner join {{ ref('business_span') }} as span on open_lines.day <= span.as_of
    window by_day as (
        partition by open_lines.purchase_order_id, open_lines.purchase_order_line order by open_lines.day
    )
),

daily as (
    select
        item_id,
        location_id,
        day,
        sum(units) as units,
        sum(lines) as lines
    from changes
    group by item_id, location_id, day
),

final as (
    select
        item_id,
        location_id,
        day,
        {{ closing('day') }},
        (sum(units) over so_far)::bigint as on_order_units,
        (sum(lines) over so_far)::bigint as open_order_lines
    from daily
    window so_far as (
        partition by item_id, location_id order by day rows between unbounded preceding and current row
    )
)

select * from final
