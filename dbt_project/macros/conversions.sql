{# Rows in stock-keeping units and the company's currency; what converts of which entity: convertible.sql. #}

{# CTEs up to `newest`, of `rows` of staging or all: the newest version of each row, with conformed_item_id, and with what its order says for it. #}
{% macro newest_lines(entity, rows=none) -%}
{%- set spec = convertible(entity) -%}
{%- if spec.order -%}
-- Where an ERP keeps the supplier and the day with the order, the line takes them from there.
orders as (
    select * from {{ ref(spec.order) }}
    {{ newest_version(spec.key[:1]) }}
),

delivered as (
    select
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_' ~ entity) }}
    {{ newest_version(spec.key) }}
),

newest as (
    select
        delivered.* replace (
            coalesce(delivered.supplier_id, orders.supplier_id) as supplier_id,
            coalesce(delivered.location_id, orders.location_id) as location_id,
            coalesce(delivered.ordered_on, orders.ordered_on) as ordered_on
        )
    from delivered
    left join orders on delivered.{{ spec.key[0] }} = orders.{{ spec.key[0] }}
)
{%- else -%}
newest as (
    select
        *
        {%- if spec.value %} replace ({{ spec.value }}){% endif %}
        {%- if 'item_id' in var('entities')[entity].columns %},
        {{ conformed_item('item_id') }} as conformed_item_id
        {%- endif %}
    from {{ rows or ref('stg_' ~ entity) }}
    {%- if spec.in_force %}
    where
        valid_from is null
        or valid_from <= (select span.as_of from {{ ref('business_span') }} as span)
    {%- endif %}
    {{ newest_version(spec.key, before='valid_from desc nulls last, ' if spec.in_force else '') }}
)
{%- endif -%}
{%- endmacro %}

{# `order_lines`: of each purchase order line its item and day. #}
{% macro order_lines() -%}
order_lines as (
    select
        lines.purchase_order_id,
        lines.purchase_order_line,
        {{ conformed_item('lines.item_id') }} as item_id,
        coalesce(lines.ordered_on, orders.ordered_on) as ordered_on
    from (
        select * from {{ ref('stg_purchase_order_line') }}
        {{ newest_version(['purchase_order_id', 'purchase_order_line']) }}
    ) as lines
    left join (
        select * from {{ ref('stg_purchase_order') }}
        {{ newest_version(['purchase_order_id']) }}
    ) as orders
        on lines.purchase_order_id = orders.purchase_order_id
)
{%- endmacro %}

{# CTEs over `newest`: `factored` has unit_factor, exchange_rate and, where one is missing, `problem`. #}
{% macro factored(entity) -%}
{%- set spec = convertible(entity) -%}
{%- set joins = spec.get('joins', []) -%}
{%- set with_unit = datasets_with(entity, 'unit') -%}
{%- set with_currency = datasets_with(entity, 'currency') -%}
{%- set company_unit = 'upper(trim(' ~ text_literal(var('stock_unit')) ~ '))' -%}
{%- set money = spec.get('prices', []) + (spec.get('amounts', {}) | list) -%}
{%- if 'order_lines' in joins -%}
{{ order_lines() }},

{% endif -%}
dated as (
    select
        newest.*,
        {{ spec.item or 'null' }} as counted_item_id,
        {{ spec.day }} as conversion_day
    from newest
    {%- if 'places' in joins %}
    {{ join_places() }}
    {%- endif %}
    {%- if 'order_lines' in joins %}
    left join order_lines
        on
            newest.purchase_order_id = order_lines.purchase_order_id
            and newest.purchase_order_line = order_lines.purchase_order_line
    {%- endif %}
    {%- if 'span' in joins %}
    left join {{ ref('business_span') }} as span on true
    {%- endif %}
),

{% if with_unit -%}
item_units as (
    select
        item_id,
        min(to_unit) as stock_unit
    from {{ ref('dim_unit_conversion') }}
    where item_id is not null
    group by item_id
),

{% endif -%}
looked_up as (
    select
        dated.*,
        {%- if with_unit %}
        dated._dataset in ({{ quoted_list(with_unit) }}) as has_unit,
        nullif(upper(trim(dated.unit)), '') as from_unit,
        coalesce(item_units.stock_unit, {{ company_unit }}) as stock_unit,
        coalesce(own.factor, general.factor) as listed_factor,
        coalesce(own.known_at, general.known_at) as factor_known_at,
        {%- else %}
        false as has_unit,
        cast(null as varchar) as from_unit,
        cast(null as varchar) as stock_unit,
        cast(null as decimal(18, 6)) as listed_factor,
        cast(null as timestamp) as factor_known_at,
        {%- endif %}
        {%- if with_currency %}
        dated._dataset in ({{ quoted_list(with_currency) }}) and coalesce({{ money | join(', ') }}) is not null as has_currency,
        nullif(upper(trim(dated.currency)), '') as from_currency,
        rates.rate as listed_rate,
        rates.known_at as rate_known_at
        {%- else %}
        false as has_currency,
        cast(null as varchar) as from_currency,
        cast(null as decimal(18, 10)) as listed_rate,
        cast(null as timestamp) as rate_known_at
        {%- endif %}
    from dated
    {%- if with_unit %}
    left join item_units on dated.counted_item_id = item_units.item_id
    left join {{ ref('dim_unit_conversion') }} as own
        on
            dated.counted_item_id = own.item_id
            and upper(trim(dated.unit)) = own.from_unit
            and item_units.stock_unit = own.to_unit
            and dated.conversion_day >= own.valid_from
            and dated.conversion_day < own.valid_to
    left join {{ ref('dim_unit_conversion') }} as general
        on
            general.item_id is null
            and upper(trim(dated.unit)) = general.from_unit
            and general.to_unit = coalesce(item_units.stock_unit, {{ company_unit }})
            and dated.conversion_day >= general.valid_from
            and dated.conversion_day < general.valid_to
    {%- endif %}
    {%- if with_currency %}
    left join {{ ref('fct_exchange_rate') }} as rates
        on
            upper(trim(dated.currency)) = rates.currency
            and dated.conversion_day >= rates.valid_on
            and dated.conversion_day < rates.valid_to
    {%- endif %}
),

with_factors as (
    select
        *,
        case when not has_unit or from_unit = stock_unit then 1 else listed_factor end::decimal(18, 6) as unit_factor,
        case when not has_currency or from_currency = {{ text_literal(var('currency')) }} then 1 else listed_rate end
        ::decimal(18, 10) as exchange_rate
    from looked_up
),

factored as (
    select
        *,
        case
            when has_unit and from_unit is null then 'missing_unit'
            when unit_factor is null then 'missing_factor'
            when has_currency and from_currency is null then 'missing_currency'
            when exchange_rate is null then 'missing_rate'
            {%- for column in spec.get('units', {}) %}
            when
                abs({{ in_stock_units(column) }} - round({{ in_stock_units(column) }})) > 0.01
                then 'fractional_units'
            {%- endfor %}
        end as problem,
        greatest(
            case when has_unit and from_unit <> stock_unit then factor_known_at end,
            case when has_currency and from_currency <> {{ text_literal(var('currency')) }} then rate_known_at end
        ) as conversion_known_at
    from with_factors
)
{%- endmacro %}

{# Decimals, so that nothing is lost: 36 digits, of money 38. #}
{% macro in_stock_units(quantity) -%}
    ({{ quantity }}::decimal(18, 6) * unit_factor)
{%- endmacro %}

{% macro in_company_money(amount) -%}
    (({{ amount }})::decimal(20, 6) * exchange_rate)
{%- endmacro %}

{#
    `lines`: the rows of `newest` in stock-keeping units and the company's currency, and what they were before.
    line_value is the money of quantity times price. Nothing reads it, or the originals, of entities that have none.
#}
{% macro converted_lines(entity) -%}
{%- set spec = convertible(entity) -%}
{%- set quantity = spec.get('units', {}) | first -%}
{%- set price = (spec.get('prices', []) + (spec.get('amounts', {}) | list)) | first -%}
{%- set value = quantity ~ ' * ' ~ price if quantity and spec.get('prices') else 'null' -%}
{%- if is_converted(entity) -%}
{%- set replaced = [] -%}
{%- for column, type in spec.get('units', {}).items() -%}
    {%- do replaced.append('round(' ~ in_stock_units(column) ~ ')::' ~ type ~ ' as ' ~ column) -%}
{%- endfor -%}
{%- for column in spec.get('prices', []) -%}
    {%- do replaced.append('(' ~ in_company_money(column) ~ '::double / unit_factor)::decimal(18, 4) as ' ~ column) -%}
{%- endfor -%}
{%- for column, type in spec.get('amounts', {}).items() -%}
    {%- do replaced.append(in_company_money(column) ~ '::' ~ type ~ ' as ' ~ column) -%}
{%- endfor -%}
{{ factored(entity) }},

lines as (
    select
        * replace ({{ replaced | join(',\n            ') }}),
        case when has_unit then {{ quantity or 'null' }} end::decimal(18, 6) as original_quantity,
        case when has_unit then {{ 'unit' if datasets_with(entity, 'unit') else 'null::varchar' }} end as original_unit,
        case when has_unit or has_currency then {{ price or 'null::decimal(18, 4)' }} end as original_unit_price,
        case when has_currency then {{ 'currency' if datasets_with(entity, 'currency') else 'null::varchar' }} end
            as original_currency,
        {{ in_company_money(value) }}::decimal(18, 4) as line_value
        {%- for column in spec.get('amounts', {}) %},
        case when has_currency then {{ column }} end as original_{{ column }}
        {%- endfor %}
    from factored
    where problem is null
)
{%- else -%}
lines as (
    select
        *,
        cast(null as decimal(18, 6)) as original_quantity,
        cast(null as varchar) as original_unit,
        cast(null as decimal(18, 4)) as original_unit_price,
        cast(null as varchar) as original_currency,
        ({{ value }})::decimal(18, 4) as line_value,
        {%- for column, type in spec.get('amounts', {}).items() %}
        cast(null as {{ type }}) as original_{{ column }},
        {%- endfor %}
        cast(null as timestamp) as conversion_known_at
    from newest
)
{%- endif -%}
{%- endmacro %}

{# A query of the rows that wait, for core.unconverted_row. #}
{% macro waiting_rows(entity) -%}
{%- set spec = convertible(entity) -%}
{%- set with_unit = datasets_with(entity, 'unit') -%}
{%- set with_currency = datasets_with(entity, 'currency') -%}
{%- set quantity = spec.get('units', {}) | first -%}
{%- set price = (spec.get('prices', []) + (spec.get('amounts', {}) | list)) | first -%}
with

{{ newest_lines(entity) }},

{{ factored(entity) }}

select
    '{{ entity }}' as entity,
    _dataset as dataset,
    {{ spec.key[0] }} as document_id,
    _delivery_id as delivery_id,
    _file as file_name,
    _line as line,
    problem as rule,
    case when problem in ('missing_currency', 'missing_rate') then 'currency' else 'unit' end as column_name,
    case problem
        when 'missing_unit' then 'no unit is given'
        when 'missing_factor'
            then
                'no factor from ' || from_unit || ' to ' || stock_unit || ' holds for '
                || coalesce(counted_item_id, 'an unknown item') || coalesce(' on ' || conversion_day, ', and it has no day')
        when 'missing_currency' then 'no currency is given'
        when 'missing_rate'
            then 'no rate of ' || from_currency || coalesce(' holds on ' || conversion_day, ' holds, for it has no day')
        else
            rtrim(rtrim(({{ quantity or 'null' }})::decimal(18, 6)::varchar, '0'), '.')
            || ' ' || from_unit || ' are no whole number of ' || stock_unit
    end as message,
    concat_ws(
        ' | ',
        {{ spec.key | join(', ') }},
        counted_item_id,
        conversion_day
        {%- for column in [quantity, 'unit' if with_unit, price, 'currency' if with_currency] if column %},
        {{ column }}
        {%- endfor %}
    ) as row_text,
    {{ quantity or 'null' }}::decimal(18, 6) as original_quantity,
    {{ 'amount' if spec.value else quantity ~ ' * ' ~ price if quantity and spec.get('prices') else 'null' }} as original_amount,
    coalesce(_known_at, conversion_day::timestamp) as known_at
from factored
where problem is not null
{%- endmacro %}

{# Units and money of a fact's row as it was delivered, in SQL over the fact that has the originals. #}
{% macro as_delivered(entity, units, money) -%}
    {%- if not is_converted(entity) -%}
        {{ return((units, money)) }}
    {%- endif -%}
    {%- set quantity = 'coalesce(original_quantity, ' ~ units ~ ')' -%}
    {%- if convertible(entity).get('prices') and not convertible(entity).value -%}
        {%- set money = 'case when original_unit_price is null then ' ~ money ~ ' else ' ~ quantity ~ ' * original_unit_price end' -%}
    {%- endif -%}
    {{ return((quantity, money)) }}
{%- endmacro %}
