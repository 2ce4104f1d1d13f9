{# A model's folder is its schema, whole: lake.core.dim_item, never lake.main_core.dim_item. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
