with

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
        coalesce(_known_at, received_on + interval 1 day) as known_at,
        _file,
        _line
    from {{ ref('stg_goods_receipt') }}
    {{ newest_version(['receipt_id', 'receipt_line']) }}
)

select * from final
