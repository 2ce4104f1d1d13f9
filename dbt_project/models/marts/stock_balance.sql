{{ config(materialized='view') }}
-- A view: two million rows of which a handful matter; stock_break keeps those.
-- Only locations that the ledger knows are balanced, from the day before its first movement there. An item that a
-- location does not list counts as 0 before its first and after its last day; between two readings nothing is supposed.
with

ledger as (
    select
        location_id,
        min(moved_on) as first_moved_on
    from {{ ref('fct_inventory_movement') }}
    group by location_id
),

readings as (
    select
        inventory.item_id,
        inventory.location_id,
        inventory.snapshot_date,
        inventory.on_hand_units
    from {{ ref('fct_inventory') }} as inventory
    inner join ledger on inventory.location_id = ledger.location_id
    where
        not inventory.is_assumed
        and inventory.snapshot_date >= ledger.first_moved_on - interval 1 day
),

movements as (
    select
        item_id,
        location_id,
        moved_on,
        {%- for name, kinds in [
            ('received_units', ['receipt']),
            ('transferred_in_units', ['transfer_in']),
            ('returned_units', ['return']),
            ('issued_units', ['sale', 'issue']),
            ('transferred_out_units', ['transfer_out']),
            ('scrapped_units', ['scrap']),
        ] %}
        sum(moved_units) filter (where movement_type in ({{ quoted_list(kinds) }})) as {{ name }},
        {%- endfor %}
        sum(moved_units) as moved_units
    from {{ ref('fct_inventory_movement') }}
    group by item_id, location_id, moved_on
),

reporting_days as (
    select distinct
        location_id,
        snapshot_date
    from readings
),

locations as (
    select
        location_id,
        min(snapshot_date) as first_day,
        max(snapshot_date) as last_day
    from reporting_days
    group by location_id
),

series as (
    select
        item_id,
        location_id,
        min(snapshot_date) as first_day,
        max(snapshot_date) as last_day
    from (
        select
            item_id,
            location_id,
            snapshot_date
        from readings
        union all
        select
            item_id,
            location_id,
            null as snapshot_date
        from movements
    ) as known
    group by item_id, location_id
),

unlisted as (
    select
        series.item_id,
        series.location_id,
        locations.first_day as snapshot_date
    from series
    inner join locations on series.location_id = locations.location_id
    where coalesce(series.first_day > locations.first_day, true)
    union
    select
        series.item_id,
        series.location_id,
        unnest([next_day.snapshot_date, locations.last_day]) as snapshot_date
    from series
    inner join locations on series.location_id = locations.location_id
    asof inner join reporting_days as next_day
        on
            series.location_id = next_day.location_id
            and coalesce(series.last_day, locations.first_day) < next_day.snapshot_date
    where coalesce(series.last_day < locations.last_day, true)
),

closings as (
    select
        item_id,
        location_id,
        snapshot_date as day,
        on_hand_units as closing_units,
        true as is_listed
    from readings
    union all
    select
        item_id,
        location_id,
        snapshot_date as day,
        0 as closing_units,
        false as is_listed
    from unlisted
),

opened as (
    select
        *,
        lag(closing_units) over (partition by item_id, location_id order by day) as opening_units
    from closings
),

-- Movements of days without a reading belong to the next one.
moved as (
    select
        movements.item_id,
        movements.location_id,
        closings.day,
        {%- for name in [
            'received_units', 'transferred_in_units', 'returned_units', 'issued_units', 'transferred_out_units',
            'scrapped_units',
        ] %}
        sum(movements.{{ name }})::bigint as {{ name }},
        {%- endfor %}
        sum(movements.moved_units)::bigint as moved_units
    from movements
    asof inner join closings
        on
            movements.item_id = closings.item_id
            and movements.location_id = closings.location_id
            and movements.moved_on <= closings.day
    group by movements.item_id, movements.location_id, closings.day
),

final as (
    select
        opened.item_id,
        opened.location_id,
        opened.day,
        opened.opening_units,
        {%- for name in [
            'received_units', 'transferred_in_units', 'returned_units', 'issued_units', 'transferred_out_units',
            'scrapped_units',
        ] %}
        coalesce(moved.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(moved.moved_units, 0)
        - coalesce(moved.received_units, 0)
        - coalesce(moved.transferred_in_units, 0)
        - coalesce(moved.returned_units, 0)
        - coalesce(moved.issued_units, 0)
        - coalesce(moved.transferred_out_units, 0)
        - coalesce(moved.scrapped_units, 0) as adjusted_units,
        opened.closing_units,
        opened.closing_units - opened.opening_units - coalesce(moved.moved_units, 0) as break_units,
        opened.is_listed
    from opened
    left join moved
        on
            opened.item_id = moved.item_id
            and opened.location_id = moved.location_id
            and opened.day = moved.day
    where opened.opening_units is not null
)

select * from final
