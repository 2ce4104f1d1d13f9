{#
    Units and money. A contract that maps `unit` or `currency` has its quantities and prices converted into stock-keeping
    units and the company's currency, with what is valid on the row's day; what cannot be converted leaves the way to the
    marts for core.unconverted_row. Without such a contract the macros add nothing.
#}
{% macro convertible(entity) -%}
    {{ return({
        'sales_order_line': {
            'key': ['order_id', 'order_line'], 'day': 'sold_at::date', 'quantity': 'quantity_units'
        },
        'purchase_order_line': {
            'key': ['purchase_order_id', 'purchase_order_line'], 'day': 'ordered_on', 'quantity': 'ordered_units',
            'order': 'stg_purchase_order'
        },
    }[entity]) }}
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
    {{ return(datasets_with(entity, 'unit') or datasets_with(entity, 'currency')) }}
{%- endmacro %}

{# CTEs up to `newest`: the newest version of each line, with conformed_item_id, and with what its order says for it. #}
{% macro newest_lines(entity) -%}
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
        *,
        {{ conformed_item('item_id') }} as conformed_item_id
    from {{ ref('stg_' ~ entity) }}
    {{ newest_version(spec.key) }}
)
{%- endif -%}
{%- endmacro %}

{# CTEs over `newest`, which has conformed_item_id: `factored` has factor, rate and, where one is missing, `problem`. #}
{% macro factored(entity) -%}
{%- set spec = convertible(entity) -%}
{%- set with_unit = datasets_with(entity, 'unit') -%}
{%- set with_currency = datasets_with(entity, 'currency') -%}
item_units as (
    select
        item_id,
        min(to_unit) as stock_unit
    from {{ ref('dim_unit_conversion') }}
    where item_id is not null
    group by item_id
),

looked_up as (
    select
        newest.*,
        newest.{{ spec.day }} as conversion_day,
        upper(trim(newest.unit)) as from_unit,
        upper(trim(newest.currency)) as from_currency,
        {% if with_unit %}newest._dataset in ({{ quoted_list(with_unit) }}){% else %}false{% endif %} as has_unit,
        {% if with_currency %}newest._dataset in ({{ quoted_list(with_currency) }}){% else %}false{% endif %}
            as has_currency,
        coalesce(item_units.stock_unit, upper({{ text_literal(var('stock_unit')) }})) as stock_unit,
        coalesce(own.factor, general.factor) as listed_factor,
        coalesce(own.known_at, general.known_at) as factor_known_at,
        rates.rate as listed_rate,
        rates.known_at as rate_known_at
    from newest
    left join item_units on newest.conformed_item_id = item_units.item_id
    left join {{ ref('dim_unit_conversion') }} as own
        on
            newest.conformed_item_id = own.item_id
            and upper(trim(newest.unit)) = own.from_unit
            and item_units.stock_unit = own.to_unit
            and newest.{{ spec.day }} >= own.valid_from
            and newest.{{ spec.day }} < own.valid_to
    left join {{ ref('dim_unit_conversion') }} as general
        on
            general.item_id is null
            and upper(trim(newest.unit)) = general.from_unit
            and newest.{{ spec.day }} >= general.valid_from
            and newest.{{ spec.day }} < general.valid_to
            and general.to_unit = coalesce(item_units.stock_unit, upper({{ text_literal(var('stock_unit')) }}))
    left join {{ ref('fct_exchange_rate') }} as rates
        on
            upper(trim(newest.currency)) = rates.currency
            and newest.{{ spec.day }} >= rates.valid_on
            and newest.{{ spec.day }} < rates.valid_to
),

with_factors as (
    select
        *,
        case when not has_unit or from_unit = stock_unit then 1 else listed_factor end::decimal(18, 6) as unit_factor,
        case when not has_currency or from_currency = {{ text_literal(var('currency')) }} then 1 else listed_rate end
        ::decimal(18, 8) as exchange_rate
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
            when abs({{ spec.quantity }}::double * unit_factor - round({{ spec.quantity }}::double * unit_factor)) > 0.01
                then 'fractional_units'
        end as problem,
        greatest(
            case when has_unit and from_unit <> stock_unit then factor_known_at end,
            case when has_currency and from_currency <> {{ text_literal(var('currency')) }} then rate_known_at end
        ) as conversion_known_at
    from with_factors
)
{%- endmacro %}

{# `lines`: the rows of `newest` in stock-keeping units and the company's currency, with what they were before. #}
{% macro converted_lines(entity) -%}
{%- set spec = convertible(entity) -%}
{%- if is_converted(entity) -%}
{{ factored(entity) }},

lines as (
    select
        * replace (
            round({{ spec.quantity }}::double * unit_factor)::bigint as {{ spec.quantity }},
            (unit_price::double * exchange_rate / unit_factor)::decimal(18, 4) as unit_price
        ),
        case when has_unit then {{ spec.quantity }} end::decimal(18, 6) as original_quantity,
        case when has_unit then unit end as original_unit,
        case when has_unit or has_currency then unit_price end as original_unit_price,
        case when has_currency then currency end as original_currency,
        ({{ spec.quantity }}::double * unit_price * exchange_rate)::decimal(18, 4) as amount
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
        ({{ spec.quantity }} * unit_price)::decimal(18, 4) as amount,
        cast(null as timestamp) as conversion_known_at
    from newest
)
{%- endif -%}
{%- endmacro %}

{# Units and money of a fact's line as it was delivered, in SQL over the fact. #}
{% macro as_delivered(entity, units, amount) -%}
    {%- if not is_converted(entity) -%}
        {{ return((units, amount)) }}
    {%- endif -%}
    {%- set quantity = 'coalesce(original_quantity, ' ~ units ~ ')' -%}
    {{ return((
        quantity,
        'case when original_unit_price is null then ' ~ amount ~ ' else ' ~ quantity ~ ' * original_unit_price end'
    )) }}
{%- endmacro %}
