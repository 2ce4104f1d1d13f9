{#
    Units and money. A contract that maps `unit` or `currency` has its quantities and prices converted into stock-keeping
    units and the company's currency, with what held on the row's day; what cannot be converted leaves the way to the marts
    for core.unconverted_row. Without such a contract the macros add null columns, and neither a join nor a dependency.

    What converts, entity by entity:
        key       of its newest version
        item      the item in whose units a row counts; none: it counts nothing
        day       whose factor and rate hold, over `newest` and what is joined for it
        joins     what is joined: places (dim_location), order_lines, span (business_span)
        units     columns that count, and their type once they are whole
        prices    columns of money for one unit
        amounts   columns of money, and their type
        order     the order that says supplier, place and day where a line does not
        value     what an empty amount is
        in_force  of several versions the newest that holds at as_of
#}
{% macro convertible(entity) -%}
    {%- set item = 'newest.conformed_item_id' -%}
    {{ return({
        'sales_order_line': {
            'key': ['order_id', 'order_line'], 'item': item, 'day': sold_day(), 'joins': ['places'],
            'units': {'quantity_units': 'bigint'}, 'prices': ['unit_price'],
        },
        'purchase_order_line': {
            'key': ['purchase_order_id', 'purchase_order_line'], 'item': item, 'day': 'newest.ordered_on',
            'units': {'ordered_units': 'bigint'}, 'prices': ['unit_price'],
            'amounts': {'line_amount': 'decimal(18, 4)'}, 'order': 'stg_purchase_order',
        },
        'goods_receipt': {
            'key': ['receipt_id', 'receipt_line'], 'item': 'order_lines.item_id', 'day': 'newest.received_on',
            'joins': ['order_lines'],
            'units': {'received_units': 'bigint', 'rejected_units': 'bigint', 'stocked_units': 'bigint'},
        },
        'supplier_invoice_line': {
            'key': ['supplier_id', 'invoice_id', 'invoice_line'],
            'item': 'coalesce(newest.conformed_item_id, order_lines.item_id)',
            'day': 'coalesce(order_lines.ordered_on, newest.invoiced_on)', 'joins': ['order_lines'],
            'units': {'invoiced_units': 'bigint'}, 'prices': ['unit_price'], 'amounts': {'amount': 'decimal(18, 4)'},
            'value': 'coalesce(amount, (invoiced_units * unit_price)::decimal(18, 4)) as amount',
        },
        'inventory_snapshot': {
            'key': [conformed_item('item_id'), 'location_id', 'snapshot_date'], 'item': item,
            'day': 'newest.snapshot_date', 'units': {'on_hand_units': 'bigint', 'in_transit_units': 'bigint'},
        },
        'inventory_movement': {
            'key': ['movement_id'], 'item': item, 'day': 'newest.moved_on', 'units': {'moved_units': 'bigint'},
        },
        'stock_count': {
            'key': [conformed_item('item_id'), 'location_id', 'counted_on'], 'item': item, 'day': 'newest.counted_on',
            'units': {'counted_units': 'bigint'},
        },
        'shipment_line': {
            'key': ['shipment_id', 'shipment_line'], 'item': item, 'day': 'newest.shipped_on',
            'units': {'shipped_units': 'bigint'},
        },
        'price': {
            'key': [conformed_item('item_id'), 'location_id', 'valid_from'], 'item': item,
            'day': 'least(newest.valid_from, span.as_of)', 'joins': ['span'], 'prices': ['unit_price'],
        },
        'supplier_item': {
            'key': ['supplier_id', conformed_item('item_id')], 'item': item,
            'day': 'coalesce(span.as_of, newest.valid_from)', 'joins': ['span'], 'in_force': true,
            'units': {'minimum_order_units': 'integer', 'pack_size_units': 'integer'}, 'prices': ['unit_price'],
        },
        'freight_rate': {
            'key': ['origin', 'destination', 'mode', 'valid_from'], 'item': none,
            'day': 'least(newest.valid_from, span.as_of)', 'joins': ['span'],
            'amounts': {'rate_per_kg': 'decimal(18, 6)', 'minimum_charge': 'decimal(18, 4)'},
        },
    }[entity]) }}
{%- endmacro %}

{% macro convertible_entities() -%}
    {{ return([
        'sales_order_line', 'purchase_order_line', 'goods_receipt', 'supplier_invoice_line', 'inventory_snapshot',
        'inventory_movement', 'stock_count', 'shipment_line', 'price', 'supplier_item', 'freight_rate',
    ]) }}
{%- endmacro %}

{# Datasets of an entity whose contracts map the column. #}
{% macro datasets_with(entity, column) -%}
    {%- set names = [] -%}
    {%- for feed in var('entities')[entity].sources if feed.columns.get(column, 'null') != 'null' -%}
        {%- do names.append(feed.table) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{% macro is_converted(entity) -%}
    {{ return((datasets_with(entity, 'unit') + datasets_with(entity, 'currency')) | length > 0) }}
{%- endmacro %}

{# Whether any contract tells the column: large tables are not asked for what nobody tells. Unit tests bring rows of their own. #}
{% macro is_told(entity, column) -%}
    {{ return(model.resource_type == 'unit_test' or datasets_with(entity, column) | length > 0) }}
{%- endmacro %}
