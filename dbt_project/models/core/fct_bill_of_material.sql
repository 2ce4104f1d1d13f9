with

final as (
    select
        {{ conformed_item('assembly_item_id') }} as assembly_item_id,
        {{ conformed_item('component_item_id') }} as component_item_id,
        valid_from,
        valid_to,
        quantity_per_assembly,
        quantity_unit,
        level,
        coalesce(_known_at, valid_from + interval 1 day) as known_at,
        _file,
        _line
    from {{ ref('stg_bill_of_material') }}
    {{ newest_version([conformed_item('assembly_item_id'), conformed_item('component_item_id'), 'valid_from']) }}
)

select * from final
