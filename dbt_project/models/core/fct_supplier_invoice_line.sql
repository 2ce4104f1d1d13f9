with

final as (
    select
        invoice_id,
        invoice_line,
        supplier_id,
        invoiced_on,
        purchase_order_id,
        purchase_order_line,
        {{ conformed_item('item_id') }} as item_id,
        invoiced_units,
        unit_price,
        coalesce(amount, invoiced_units * unit_price)::decimal(18, 4) as amount,
        coalesce(_known_at, invoiced_on + interval 1 day) as known_at,
        _file,
        _line
    from {{ ref('stg_supplier_invoice_line') }}
    {{ newest_version(['supplier_id', 'invoice_id', 'invoice_line']) }}
)

select * from final
