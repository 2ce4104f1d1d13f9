-- Empty where no contract maps a unit or a currency.
select
    cast(null as varchar) as entity,
    cast(null as varchar) as dataset,
    cast(null as varchar) as document_id,
    cast(null as varchar) as delivery_id,
    cast(null as varchar) as file_name,
    cast(null as bigint) as line,
    cast(null as varchar) as rule,
    cast(null as varchar) as column_name,
    cast(null as varchar) as message,
    cast(null as varchar) as row_text,
    cast(null as decimal(18, 6)) as original_quantity,
    cast(null as decimal(36, 10)) as original_amount,
    cast(null as timestamp) as known_at
where false
{%- for entity in convertible_entities() if is_converted(entity) %}
union all
select * from (
    {{ waiting_rows(entity) | indent(4) }}
) as {{ entity }}
{%- endfor %}
