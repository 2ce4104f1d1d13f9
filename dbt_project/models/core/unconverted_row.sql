{%- set entities = [] -%}
{%- for entity in ['sales_order_line', 'purchase_order_line'] if is_converted(entity) -%}
    {%- do entities.append(entity) -%}
{%- endfor -%}
-- depends_on: {{ ref('dim_unit_conversion') }}, {{ ref('fct_exchange_rate') }}
-- depends_on: {{ ref('stg_sales_order_line') }}, {{ ref('stg_purchase_order_line') }}, {{ ref('stg_purchase_order') }}
select
    cast(null as varchar) as entity,
    cast(null as varchar) as dataset,
    cast(null as varchar) as delivery_id,
    cast(null as varchar) as file_name,
    cast(null as bigint) as line,
    cast(null as varchar) as rule,
    cast(null as varchar) as column_name,
    cast(null as varchar) as message,
    cast(null as varchar) as row_text,
    cast(null as decimal(18, 6)) as original_quantity,
    cast(null as decimal(18, 4)) as original_amount,
    cast(null as timestamp) as known_at
where false
{%- for entity in entities %}
union all
{%- set spec = convertible(entity) %}
select * from (
    with

    {{ newest_lines(entity) }},

    {{ factored(entity) }}

    select
        '{{ entity }}' as entity,
        _dataset as dataset,
        _delivery_id as delivery_id,
        _file as file_name,
        _line as line,
        problem as rule,
        case
            when problem in ('missing_unit', 'missing_factor', 'fractional_units') then 'unit'
            else 'currency'
        end as column_name,
        case problem
            when 'missing_unit' then 'no unit is given'
            when 'missing_factor'
                then
                    format(
                        'no factor from {} to {} holds for {} on {}',
                        from_unit,
                        stock_unit,
                        conformed_item_id,
                        conversion_day
                    )
            when 'missing_currency' then 'no currency is given'
            when 'missing_rate' then format('no rate of {} holds on {}', from_currency, conversion_day)
            else
                format(
                    '{} {} are no whole number of {}',
                    rtrim(rtrim(format('{:.6f}', {{ spec.quantity }}::double), '0'), '.'),
                    from_unit,
                    stock_unit
                )
        end as message,
        concat_ws(
            ' | ',
            {{ spec.key | join(', ') }},
            conformed_item_id,
            conversion_day,
            {{ spec.quantity }},
            unit,
            unit_price,
            currency
        ) as row_text,
        {{ spec.quantity }}::decimal(18, 6) as original_quantity,
        ({{ spec.quantity }}::double * unit_price)::decimal(18, 4) as original_amount,
        coalesce(_known_at, conversion_day::timestamp) as known_at
    from factored
    where problem is not null
) as {{ entity }}
{%- endfor %}
