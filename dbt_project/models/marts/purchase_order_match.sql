{%- set rules = var('business_rules') %}
{%- set price_tolerance = rules.get('invoice_price_tolerance_share', 0) %}
{%- set units_tolerance = rules.get('invoice_units_tolerance_share', 0) %}
-- Ordered, received and charged side by side. A line that is charged again like before is a doubled invoice only where
-- more is charged than came: two halves of an order are charged alike and are both right. Who names the order of
-- another supplier has none.
with

order_lines as (
    select
        *,
        received_units * (1 + {{ number_literal(units_tolerance, 'decimal(9, 6)') }}) as payable_units
    from {{ ref('fct_purchase_order_line') }}
),

invoice_lines as (
    select * from {{ ref('fct_supplier_invoice_line') }}
),

of_orders as (
    select
        invoices.*,
        orders.payable_units,
        orders.unit_price as order_price,
        sum(invoices.invoiced_units) over by_day as units_so_far,
        row_number() over (
            partition by
                invoices.purchase_order_id,
                invoices.purchase_order_line,
                invoices.invoiced_units,
                invoices.unit_price
            order by invoices.invoiced_on, invoices.known_at, invoices.invoice_id, invoices.invoice_line
        ) > 1 as is_repeated
    from invoice_lines as invoices
    inner join order_lines as orders
        on
            invoices.purchase_order_id = orders.purchase_order_id
            and invoices.purchase_order_line = orders.purchase_order_line
            and invoices.supplier_id is not distinct from orders.supplier_id
    window by_day as (
        partition by invoices.purchase_order_id, invoices.purchase_order_line
        order by invoices.invoiced_on, invoices.known_at, invoices.invoice_id, invoices.invoice_line
    )
),

judged as (
    select
        *,
        is_repeated and units_so_far > payable_units as is_doubled,
        abs(unit_price - order_price)
        > order_price * {{ number_literal(price_tolerance, 'decimal(9, 6)') }} as is_priced_otherwise,
        abs(amount - computed_amount) >= 0.01 as is_miscalculated
    from of_orders
),

charged as (
    select
        purchase_order_id,
        purchase_order_line,
        count(*) as invoice_lines,
        sum(invoiced_units)::bigint as invoiced_units,
        sum(amount)::decimal(18, 4) as invoiced_amount,
        coalesce(sum(invoiced_units) filter (where is_doubled), 0)::bigint as doubled_units,
        string_agg(invoice_id, ', ' order by invoiced_on, invoice_id) as invoice_ids,
        string_agg(invoice_id, ', ' order by invoiced_on, invoice_id) filter (where is_doubled) as doubled_invoice_ids,
        coalesce(bool_or(is_priced_otherwise), false) as has_price_difference,
        coalesce(bool_or(is_miscalculated), false) as has_amount_difference,
        max(known_at) as known_at
    from judged
    group by purchase_order_id, purchase_order_line
),

matched as (
    select
        orders.purchase_order_id,
        orders.purchase_order_line,
        orders.supplier_id,
        orders.item_id,
        orders.location_id,
        orders.ordered_on,
        orders.unit_price,
        orders.ordered_units,
        orders.received_units,
        coalesce(charged.invoiced_units, 0) as invoiced_units,
        orders.ordered_amount,
        -- A price of one unit that was converted is rounded: what it comes to is a share of the exact amount.
        case
            when orders.original_unit_price is null or orders.ordered_units = 0
                then (orders.received_units * orders.unit_price)::decimal(18, 4)
            else (orders.ordered_amount::double * orders.received_units / orders.ordered_units)::decimal(18, 4)
        end as received_amount,
        coalesce(charged.invoiced_amount, 0)::decimal(18, 4) as invoiced_amount,
        charged.invoice_ids,
        charged.doubled_invoice_ids,
        orders.received_units
        > orders.ordered_units * (1 + {{ number_literal(units_tolerance, 'decimal(9, 6)') }}) as is_over_received,
        coalesce(charged.invoiced_units - charged.doubled_units > orders.payable_units, false) as is_over_invoiced,
        coalesce(charged.has_price_difference, false) as has_price_difference,
        coalesce(charged.has_amount_difference, false) as has_amount_difference,
        orders.open_units,
        greatest(orders.known_at, charged.known_at) as known_at
    from order_lines as orders
    left join charged
        on
            orders.purchase_order_id = charged.purchase_order_id
            and orders.purchase_order_line = charged.purchase_order_line
),

without_order as (
    select invoices.*
    from invoice_lines as invoices
    where not exists (
        select 1 from order_lines as orders
        where
            orders.purchase_order_id = invoices.purchase_order_id
            and orders.purchase_order_line = invoices.purchase_order_line
            and orders.supplier_id is not distinct from invoices.supplier_id
    )
),

final as (
    select
        purchase_order_id,
        purchase_order_line,
        null as invoice_id,
        null as invoice_line,
        supplier_id,
        item_id,
        location_id,
        ordered_on,
        unit_price,
        ordered_units,
        received_units,
        invoiced_units,
        ordered_amount,
        received_amount,
        invoiced_amount,
        greatest(invoiced_amount - received_amount, 0)::decimal(18, 4) as overcharged_amount,
        invoice_ids,
        doubled_invoice_ids,
        is_over_received,
        is_over_invoiced,
        has_price_difference,
        has_amount_difference,
        case
            when doubled_invoice_ids is not null then 'doubled_invoice'
            when is_over_invoiced and open_units > 0 and invoiced_units <= ordered_units then 'invoiced_ahead'
            when is_over_invoiced then 'over_invoiced'
            when has_price_difference then 'price_difference'
            when has_amount_difference then 'amount_difference'
            when is_over_received then 'over_received'
            when open_units > 0 then 'open'
            when invoiced_units < received_units then 'to_be_invoiced'
            else 'matched'
        end as match_status,
        known_at
    from matched
    union all
    select
        purchase_order_id,
        purchase_order_line,
        invoice_id,
        invoice_line,
        supplier_id,
        item_id,
        null as location_id,
        null as ordered_on,
        null as unit_price,
        0 as ordered_units,
        0 as received_units,
        invoiced_units,
        0 as ordered_amount,
        0 as received_amount,
        amount as invoiced_amount,
        amount as overcharged_amount,
        invoice_id as invoice_ids,
        null as doubled_invoice_ids,
        false as is_over_received,
        true as is_over_invoiced,
        false as has_price_difference,
        abs(amount - computed_amount) >= 0.01 as has_amount_difference,
        'without_order' as match_status,
        known_at
    from without_order
)

select * from final
