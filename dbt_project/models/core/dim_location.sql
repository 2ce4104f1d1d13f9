{%- set assumed = var('assumptions').get('location') %}
{%- set calendar = var('calendar') %}
-- A location buys where its chain of replenished_from ends. A chain that runs in a circle or into an unknown location
-- ends where it is still known: the location then buys for itself. Its working days are its own, its country's or the
-- company's, as company.yaml has them.
with recursive

master as (
    select
        location_id,
        location_name,
        location_type,
        region,
        replenished_from,
        upper(trim(country)) as country,
        time_zone,
        false as is_assumed
    from {{ ref('stg_location') }}
    {{ newest_version(['location_id'], own_row_first=true) }}
),

assumed as (
    select
        {{ text_literal(assumed.location_id if assumed else none) }} as location_id,
        {{ text_literal(assumed.location_name if assumed else none) }} as location_name,
        'warehouse' as location_type,
        cast(null as varchar) as region,
        cast(null as varchar) as replenished_from,
        cast(null as varchar) as country,
        cast(null as varchar) as time_zone,
        true as is_assumed
    where {{ 'true' if assumed else 'false' }}
),

described as (
    select * from master
    union all
    select * from assumed
    where not exists (select 1 from master where master.location_id = assumed.location_id)
),

from_sales as (
    select distinct
        location_id,
        location_id as location_name,
        cast(null as varchar) as location_type,
        cast(null as varchar) as region,
        cast(null as varchar) as replenished_from,
        cast(null as varchar) as country,
        cast(null as varchar) as time_zone,
        false as is_assumed
    from {{ ref('stg_sales_order_line') }}
    where location_id not in (select described.location_id from described)
),

locations as (
    select * from described
    union all
    select * from from_sales
),

chains as (
    select
        location_id,
        location_id as reached,
        replenished_from as next_up,
        [location_id] as path
    from locations
    union all
    select
        chains.location_id,
        locations.location_id as reached,
        locations.replenished_from as next_up,
        list_append(chains.path, locations.location_id) as path
    from chains
    inner join locations on chains.next_up = locations.location_id
    where not list_contains(chains.path, locations.location_id)
),

tops as (
    select
        location_id,
        reached as purchasing_location_id
    from chains
    where next_up is null
),

final as (
    select
        locations.location_id,
        locations.location_name,
        locations.location_type,
        locations.region,
        locations.replenished_from,
        coalesce(tops.purchasing_location_id, locations.location_id) as purchasing_location_id,
        locations.country,
        coalesce(zones.name, {{ text_literal(var('timezone')) }}) as time_zone,
        case when zones.name is null then locations.time_zone end as unknown_time_zone,
        case
            when locations.location_id in ({{ quoted_list([''] + calendar.get('locations', {}) | list) }})
                then 'location ' || locations.location_id
            when locations.country in ({{ quoted_list([''] + calendar.get('countries', {}) | list) }})
                then locations.country
            else 'company'
        end as working_calendar,
        locations.is_assumed
    from locations
    left join tops on locations.location_id = tops.location_id
    left join pg_timezone_names() as zones on locations.time_zone = zones.name
)

select * from final
