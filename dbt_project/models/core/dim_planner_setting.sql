with

final as (
    select
        {{ conformed_item('item_id') }} as item_id,
        cycle_service_level,
        note,
        _known_at as known_at,
        _file,
        _line
    from {{ ref('stg_planner_setting') }}
    {{ newest_version([conformed_item('item_id')]) }}
)

select * from final
