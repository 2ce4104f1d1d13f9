{{ stage_entity('supplier_invoice_line') }}
