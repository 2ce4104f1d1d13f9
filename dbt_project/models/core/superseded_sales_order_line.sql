{%- set key = ['order_id', 'order_line'] %}
{{ config(materialized='slices', slice=key) }}
{%- set plan = build_plan('sales_order_line') %}
{%- do slices_to_build(plan, 'select order_id, order_line from ' ~ changed_entity('sales_order_line', plan)) %}
with

corrected as (
    select
        order_id,
        order_line
    from {{ ref('stg_sales_order_line') }}
    where {{ is_affected(plan, key, 'stg_sales_order_line') }}
    group by order_id, order_line
    having count(*) > 1
),

versions as (
    select
        stg.*,
        {{ conformed_item('stg.item_id') }} as conformed_item_id,
        lead(stg._known_at) over by_time as superseded_at,
        row_number() over by_time as version,
        count(*) over (partition by stg.order_id, stg.order_line) as versions
    from {{ ref('stg_sales_order_line') }} as stg
    inner join corrected
        on stg.order_id = corrected.order_id and stg.order_line = corrected.order_line
    where {{ is_affected(plan, key, 'stg') }}
    window by_time as (
        partition by stg.order_id, stg.order_line
        order by stg._known_at nulls first, stg._file, stg._line
    )
),

newest as (
    select * exclude (version, versions)
    from versions
    where version < versions
),

{{ classed_lines() }},

final as (
    select
        order_id,
        order_line,
        {{ sold_day() }} as sold_on,
        location_id,
        conformed_item_id as item_id,
        quantity_units,
        unit_price,
        line_value as revenue,
        line_class,
        line_class in ('sale', 'return', 'cancellation') as counts_as_demand,
        greatest(coalesce(_known_at, {{ sold_day() }} + interval 1 day), conversion_known_at) as known_at,
        coalesce(superseded_at, {{ sold_day() }} + interval 1 day) as superseded_at,
        _file,
        _line
    from classed
    {{ join_places() }}
)

select * from final
