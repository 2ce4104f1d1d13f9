-- What names an order line counts and costs by the factor and rate of its day: a rate that moved since is no claim.
with

{{ newest_lines('supplier_invoice_line') }},

{{ converted_lines('supplier_invoice_line') }},

final as (
    select
        invoice_id,
        invoice_line,
        supplier_id,
        invoiced_on,
        purchase_order_id,
        purchase_order_line,
        conformed_item_id as item_id,
        invoiced_units,
        unit_price,
        amount,
        line_value as computed_amount,
        original_quantity,
        original_unit,
        original_unit_price,
        original_currency,
        original_amount,
        greatest(coalesce(_known_at, invoiced_on + interval 1 day), conversion_known_at) as known_at,
        _file,
        _line
    from lines
)

select * from final
