with

{{ newest_lines('goods_receipt') }},

{{ converted_lines('goods_receipt') }},

final as (
    select
        receipt_id,
        receipt_line,
        purchase_order_id,
        purchase_order_line,
        received_on,
        received_units,
        rejected_units,
        stocked_units,
        original_quantity,
        original_unit,
        greatest(coalesce(_known_at, received_on + interval 1 day), conversion_known_at) as known_at,
        _file,
        _line
    from lines
)

select * from final
