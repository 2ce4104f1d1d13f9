{#
    What a company's `business_rules` (company.yaml) say about sales lines. Each macro is an SQL expression; a company
    without the rule gets the expression that changes nothing.

        item_code_case: upper             codes that differ in case only are one item
        adjustment_prefix: A              an order whose number begins so corrects the books; nobody demanded anything
        non_product_codes: [POST, D]      codes that stand for postage, discount, manual entries
        non_product_prefixes: [GIFT_]     ... and beginnings of such codes
        cancellation_prefix: C            an order whose number begins so cancels an earlier sale
        zero_price_is_adjustment: true    a line without a price moves stock, it is not a sale
        sold_at_time_zone: UTC            zone of sold_at; its day is then that of the location's own zone. Without the
                                          rule sold_at is local already
#}
{% macro conformed_item(column) -%}
    {%- if var('business_rules').get('item_code_case') == 'upper' -%}
        upper(trim({{ column }}))
    {%- else -%}
        trim({{ column }})
    {%- endif -%}
{%- endmacro %}

{% macro is_non_product(item) -%}
    {%- set rules = var('business_rules') -%}
    {%- set tests = [] -%}
    {%- if rules.get('non_product_codes') -%}
        {%- do tests.append(item ~ ' in (' ~ quoted_list(rules.non_product_codes) ~ ')') -%}
    {%- endif -%}
    {%- for prefix in rules.get('non_product_prefixes', []) -%}
        {%- do tests.append('starts_with(' ~ item ~ ', ' ~ quoted_list([prefix]) ~ ')') -%}
    {%- endfor -%}
    ({{ tests | join(' or ') or 'false' }})
{%- endmacro %}

{% macro order_begins_with(rule) -%}
    {%- set prefix = var('business_rules').get(rule) -%}
    {%- if prefix -%}
        starts_with(order_id, {{ text_literal(prefix) }})
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{% macro is_priceless_adjustment() -%}
    {%- if var('business_rules').get('zero_price_is_adjustment') -%}
        (coalesce(unit_price, 0) = 0)
    {%- else -%}
        (false)
    {%- endif -%}
{%- endmacro %}

{# The business day of `sold_at`; with the rule the query has to join dim_location as `places`. #}
{% macro sold_day() -%}
    {%- set zone = var('business_rules').get('sold_at_time_zone') -%}
    {%- if zone -%}
        timezone(
            coalesce(places.time_zone, {{ text_literal(var('timezone')) }}), timezone({{ text_literal(zone) }}, sold_at)
        )::date
    {%- else -%}
        sold_at::date
    {%- endif -%}
{%- endmacro %}

{% macro join_places() -%}
    {%- if var('business_rules').get('sold_at_time_zone') -%}
        left join {{ ref('dim_location') }} as places using (location_id)
    {%- endif -%}
{%- endmacro %}

{# CTEs over `newest`, versions of sales lines with conformed_item_id: `classed` has line_class, and the rule that decided. #}
{% macro classed_lines() -%}
{{ converted_lines('sales_order_line') }},

-- The first rule that applies decides; its name stays with the line.
ruled as (
    select
        *,
        case
            when {{ order_begins_with('adjustment_prefix') }} then 'adjustment_order'
            when line_type = 'adjustment' then 'line_type_adjustment'
            when {{ is_non_product('conformed_item_id') }} then 'non_product_item'
            when {{ order_begins_with('cancellation_prefix') }} then 'cancellation_order'
            when line_type = 'cancellation' then 'line_type_cancellation'
            when {{ is_priceless_adjustment() }} then 'zero_price'
            when line_type = 'return' then 'line_type_return'
            when quantity_units < 0 then 'negative_quantity'
            else 'plain_sale'
        end as business_rule
    from lines
),

classed as (
    select
        *,
        case business_rule
            when 'non_product_item' then 'non_product'
            when 'adjustment_order' then 'adjustment'
            when 'line_type_adjustment' then 'adjustment'
            when 'zero_price' then 'adjustment'
            when 'cancellation_order' then 'cancellation'
            when 'line_type_cancellation' then 'cancellation'
            when 'line_type_return' then 'return'
            when 'negative_quantity' then 'return'
            else 'sale'
        end as line_class
    from ruled
)
{%- endmacro %}
