{#
    A table is replaced in one statement and one snapshot. dbt-duckdb builds beside it, renames twice and drops: three
    more statements and one more snapshot for each model, and moments in which a reader finds no table.

    With a contract the table is made with the types and constraints that it promises and then filled: two statements of one
    transaction, so still one snapshot. DuckLake holds to `not null`; it has no key and no check (the gate asks those).
#}
{% materialization table, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if existing_relation is not none and not existing_relation.is_table -%}
        {{ drop_relation_if_exists(existing_relation) }}
    {%- endif -%}
    {%- do replace_table(target_relation, compiled_code) -%}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# The table as it is to be from now on, in the transaction at hand. #}
{% macro replace_table(relation, sql) %}
    {% call statement('main') -%}
        {%- if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(sql) }}
        create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} {{ get_column_names() }} (
            {{ get_select_subquery(sql) }}
        )
        {%- else %}
        create or replace table {{ relation }} as (
            {{ sql }}
        )
        {%- endif %}
    {%- endcall %}
{% endmacro %}
