{# Values from YAML as SQL literals. #}
{% macro quoted_list(values) -%}
    {%- for value in values -%}
        '{{ value | string | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro text_literal(value) -%}
    {%- if value is none -%}cast(null as varchar){%- else -%}{{ quoted_list([value]) }}{%- endif -%}
{%- endmacro %}

{% macro number_literal(value, type) -%}
    cast({{ 'null' if value is none else value }} as {{ type }})
{%- endmacro %}

{% macro date_literal(value) -%}
    cast({{ 'null' if value is none else quoted_list([value]) }} as date)
{%- endmacro %}
