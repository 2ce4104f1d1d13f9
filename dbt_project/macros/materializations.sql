{#
    A table that comes out as it stands is left alone: then nothing that reads it is built, tested or asked by the gate again
    (lake/standing.py). For tables of up to 200,000 rows, which are made in memory first; comparing costs less than writing.

    Others are replaced in one statement and one snapshot. dbt-duckdb builds beside it, renames twice and drops: three
    more statements and one more snapshot for each model, and moments in which a reader finds no table.

    With a contract the table is made with the types and constraints that it promises and then filled: two statements of one
    transaction, so still one snapshot. DuckLake holds to `not null`; it has no key and no check (the gate asks those).
#}
{% materialization table, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set is_table = existing_relation is not none and existing_relation.is_table -%}
    {{ run_hooks(pre_hooks) }}
    {%- if existing_relation is not none and not is_table -%}
        {{ drop_relation_if_exists(existing_relation) }}
    {%- endif -%}
    {#- Not after a change of SQL or contract: then there is no such build, and types and constraints are made anew. -#}
    {%- set may_stand = is_table and env_var('STOCKLAKE_LAST_GOOD_BUILD', '') and not flags.FULL_REFRESH -%}
    {%- set row_count = run_query('select count(*) from ' ~ target_relation).columns[0][0] if may_stand -%}
    {%- set is_small = may_stand and row_count <= 200000 -%}
    {%- if is_small -%}
        {% call statement('computed') -%}
            create or replace temp table computed as (
                {{ compiled_code }}
            )
        {%- endcall %}
    {%- endif -%}
    {%- if is_small and comes_out_as_it_stands(target_relation, row_count) -%}
        {%- call noop_statement('main', 'UNCHANGED') -%}{%- endcall -%}
    {%- else -%}
        {%- do replace_table(target_relation, 'select * from computed' if is_small else compiled_code) -%}
    {%- endif -%}
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
    {%- do give_statistics(relation) -%}
{% endmacro %}

{#
    Of a table that never had a row DuckLake has no statistics, and looks for those of each column in the catalogue again whenever the
    table is read: 4 ms of CPU each, .1 s for 25 columns. A row that comes and goes in the transaction at hand leaves some.
#}
{% macro give_statistics(relation) %}
    {%- if not run_query('select count(*) from ' ~ relation).columns[0][0] -%}
        {%- set values = [] -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do values.append(any_value_of(column.dtype | lower)) -%}
        {%- endfor -%}
        {%- do run_query('insert into ' ~ relation ~ ' values (' ~ values | join(', ') ~ ')') -%}
        {%- do run_query('delete from ' ~ relation) -%}
    {%- endif -%}
{% endmacro %}

{# Some value of a type, not null where there is one. #}
{% macro any_value_of(type) -%}
    {%- if type.startswith(('varchar', 'text')) -%} ''
    {%- elif type == 'boolean' -%} false
    {%- elif type.startswith(('date', 'timestamp')) -%} {{ type }} '2000-01-01'
    {%- elif type.startswith(('bigint', 'integer', 'smallint', 'tinyint', 'hugeint', 'decimal', 'numeric', 'double', 'float')) -%} 0
    {%- else -%} null
    {%- endif -%}
{%- endmacro %}


{# Whether `computed` has the columns and rows of a table, as often as they stand there. Counted first: most are empty or differ in that. #}
{% macro comes_out_as_it_stands(relation, row_count) %}
    {%- if not has_columns_of_computed(adapter.get_columns_in_relation(relation)) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set computed_count = run_query('select count(*) from computed').columns[0][0] -%}
    {%- if computed_count != row_count or row_count == 0 -%}
        {{ return(computed_count == row_count) }}
    {%- endif -%}
    {{ return(run_query(
        'select not exists (select * from computed except all select * from ' ~ relation ~ ')'
    ).columns[0][0]) }}
{% endmacro %}

{# What there is in a schema, asked of the catalogue: `information_schema` reads all that it knows of every table, .3 CPU s each time. #}
{% macro duckdb__list_relations_without_caching(schema_relation) %}
    {% call statement('list_relations_without_caching', fetch_result=True) -%}
        select
            '{{ schema_relation.database }}' as database,
            objects.name,
            schemas.schema_name as schema,
            objects.kind as type
        from (
            select schema_id, table_name as name, 'table' as kind, end_snapshot from {{ catalogue() }}.ducklake_table
            union all
            select schema_id, view_name, 'view', end_snapshot from {{ catalogue() }}.ducklake_view
        ) as objects
        inner join {{ catalogue() }}.ducklake_schema as schemas using (schema_id)
        where
            lower(schemas.schema_name) = lower('{{ schema_relation.schema }}')
            and schemas.end_snapshot is null
            and objects.end_snapshot is null
    {%- endcall %}
    {{ return(load_result('list_relations_without_caching').table) }}
{% endmacro %}
