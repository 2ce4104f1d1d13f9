{#
    Incremental builds that are equal to whole ones. A model with `materialized='slices'` says which of its slices a change
    of its inputs can touch (`slices_to_build`); these are deleted and computed again from the inputs as they stand now,
    in one transaction with a row of lake.meta.model_build that says which snapshot they were computed from. All other
    slices would come out as they stand.

    What has changed is asked of the lake itself: DuckLake knows which rows of a table came and went between two
    snapshots. So a model is right whatever was built, killed or loaded between its own builds. It is built whole where
    that cannot be known or does not pay: its state, its table or a snapshot since is missing, the project's SQL or its
    variables are others (`code`), an input was made anew or has other columns, somebody else wrote to the table, or
    nearly all would be computed anyway.
#}

{# The tables that a model reads, through views and ephemeral models: schema.table. #}
{% macro tables_behind(node) %}
    {%- set found = [] -%}
    {%- for id in node.depends_on.nodes -%}
        {%- if id in graph.sources -%}
            {%- do found.append(graph.sources[id].schema ~ '.' ~ graph.sources[id].identifier) -%}
        {%- elif graph.nodes[id].config.materialized in ('view', 'ephemeral') -%}
            {%- do found.extend(tables_behind(graph.nodes[id])) -%}
        {%- else -%}
            {%- do found.append(graph.nodes[id].schema ~ '.' ~ graph.nodes[id].alias) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found | unique | sort | list) }}
{% endmacro %}

{# The catalogue's own tables, to put before their names. #}
{% macro catalogue() %}
    {{ return('__ducklake_metadata_' ~ target.database ~ '."' ~ env_var('STOCKLAKE_CATALOG_SCHEMA') ~ '"') }}
{% endmacro %}

{# What a model reads, as text: of each table its identity and columns. A table that was made anew has another one. #}
{% macro inputs_sql(names) %}
    select coalesce(string_agg(input, ' ' order by input), '') as inputs, list(table_id) as table_ids
    from (
        select
            tables.table_id,
            schemas.schema_name || '.' || tables.table_name || ':' || tables.table_uuid || ':'
            || md5(string_agg(columns.column_name || ' ' || columns.column_type, ',' order by columns.column_id)) as input
        from {{ catalogue() }}.ducklake_table as tables
        inner join {{ catalogue() }}.ducklake_schema as schemas using (schema_id)
        inner join {{ catalogue() }}.ducklake_column as columns using (table_id)
        where
            tables.end_snapshot is null
            and schemas.end_snapshot is null
            and columns.end_snapshot is null
            and schemas.schema_name || '.' || tables.table_name in ({{ quoted_list(names) or 'null' }})
        group by tables.table_id, schemas.schema_name, tables.table_name, tables.table_uuid
    )
{% endmacro %}

{# Whether rows of a table (id: SQL) came or went by a snapshot; compaction only lays them elsewhere. #}
{% macro touches(id) -%}
    regexp_matches(
        changes.changes_made,
        '(^|,)(inserted_into_table|deleted_from_table|inlined_insert|inlined_delete|altered_table|dropped_table):'
        || {{ id }} || '(,|$)'
    )
{%- endmacro %}

{#
    How the model at hand is to be built: `mode` whole, part or none; for `part`, its inputs' changes are those of the
    snapshots `since` to `until`. Where rows of `entity` (or of one of several) are converted (units, money, days of time zones), it is whole: a factor,
    a rate or a place may touch any of them. Holds as long as nobody else writes: the writer's lock is held for the whole build.
    STOCKLAKE_BUILD_BY_SLICES=0 turns it off.
#}
{% macro build_plan(entity=none) %}
    {%- set entities = [entity] if entity is string else (entity or []) -%}
    {%- set has_zones = 'sales_order_line' in entities and var('business_rules').get('sold_at_time_zone') -%}
    {%- set converts = has_zones or converted_entities(entities) | length > 0 -%}
    {%- set is_off = env_var('STOCKLAKE_BUILD_BY_SLICES', '1') == '0' -%}
    {%- if is_off or not execute or model.resource_type != 'model' or flags.FULL_REFRESH or converts -%}
        {{ return({'mode': 'whole'}) }}
    {%- endif -%}
    {%- if load_cached_relation(this) is none or not has_build_state() -%}
        {{ return({'mode': 'whole'}) }}
    {%- endif -%}
    {%- set row = run_query(plan_sql(this.schema ~ '.' ~ this.identifier, tables_behind(model))).rows -%}
    {%- if row | length == 0 -%}
        {{ return({'mode': 'whole'}) }}
    {%- endif -%}
    {{ return({'mode': row[0][0], 'since': row[0][1] | int, 'until': row[0][2] | int}) }}
{% endmacro %}

{% macro converted_entities(entities) %}
    {%- set found = [] -%}
    {%- for entity in entities if is_converted(entity) -%}
        {%- do found.append(entity) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro has_build_state() %}
    {{ return(adapter.get_relation(target.database, 'meta', 'model_build') is not none) }}
{% endmacro %}

{% macro plan_sql(name, inputs) %}
    with state as (
        select * from {{ target.database }}.meta.model_build where model = '{{ name }}'
    ),
    input as ({{ inputs_sql(inputs) }}),
    own as ({{ inputs_sql([name]) }}),
    now as (select id as snapshot_id from {{ target.database }}.current_snapshot()),
    changes as (
        select c.snapshot_id, c.changes_made
        from {{ catalogue() }}.ducklake_snapshot_changes as c
        inner join {{ catalogue() }}.ducklake_snapshot as s using (snapshot_id)
        cross join state where c.snapshot_id > state.read_snapshot
    )
    select
        case
            when
                state.code is distinct from getvariable('build_code')
                or state.inputs is distinct from input.inputs
                or (select count(*) from changes) <> now.snapshot_id - state.read_snapshot
                -- The build itself was one snapshot, the one after that which it read.
                or exists (
                    select 1 from changes
                    where changes.snapshot_id > state.read_snapshot + 1 and {{ touches('own.table_ids[1]') }}
                )
                or (
                    select begin_snapshot from {{ catalogue() }}.ducklake_table
                    where table_id = own.table_ids[1] and end_snapshot is null
                ) > state.read_snapshot + 1
                then 'whole'
            when exists (
                select 1 from changes, unnest(input.table_ids) as tables (id)
                where {{ touches('tables.id') }}
            )
                then 'part'
            else 'none'
        end as mode,
        state.read_snapshot + 1 as since,
        now.snapshot_id as until
    from state cross join input cross join own cross join now
{% endmacro %}

{# Rows of a table that came or went since the model was built, as a relation; of a changed row both versions. #}
{% macro changed_rows(relation, plan) -%}
    ducklake_table_changes('{{ relation.database }}', '{{ relation.schema }}', '{{ relation.identifier }}', {{ plan.since }}, {{ plan.until }})
{%- endmacro %}

{#
    Rows of an entity, as staging has them, that came or went since the model at hand was built, as a relation; deleted
    ones and closed versions too. Where a code means something else than then, also all rows that say it. Each row stands
    there under the ids that it has now and under those that it had, so that no slice is missed.
#}
{% macro changed_entity(entity, plan) %}
    {%- set branches = [] -%}
    {%- set spec = var('entities')[entity] -%}
    {%- for feed in spec.sources if plan.mode == 'part' -%}
        {%- set raw = adapter.get_relation(target.database, 'raw', feed.table) -%}
        {%- if raw is not none -%}
            {%- do branches.extend(changed_branches(entity, spec, {'table': raw, 'feed': feed}, plan)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return('(' ~ (branches | join(' union all by name ') or 'select * from ' ~ ref('stg_' ~ entity) ~ ' where false') ~ ')') }}
{% endmacro %}

{% macro changed_branches(entity, spec, branch, plan) %}
    {%- set rows = '(select * from ' ~ changed_rows(branch.table, plan) ~ ')' -%}
    {%- if not var('matching') -%}
        {{ return([delivered_branch(spec, branch, true, rows)]) }}
    {%- endif -%}
    {%- set crosswalk = source('matching', 'crosswalk') if spec.identifies else none -%}
    {%- set renamed = renamed_codes(crosswalk, spec, branch, plan) if crosswalk else none -%}
    {%- set then = plan.since - 1 if renamed else none -%}
    {%- set found = [
        conformed_branch(entity, spec, branch, crosswalk, true, rows),
        conformed_branch(entity, spec, branch, crosswalk, true, rows, at=then) if renamed else none,
        conformed_branch(entity, spec, branch, crosswalk, true, renamed) if renamed else none,
        conformed_branch(entity, spec, branch, crosswalk, true, renamed, at=then) if renamed else none,
    ] -%}
    {{ return(found | reject('none') | list) }}
{% endmacro %}

{# Rows of a raw table with codes that mean something else than when the model was built; none where there are no such codes. #}
{% macro renamed_codes(crosswalk, spec, branch, plan) %}
    {%- set standing = adapter.get_relation(crosswalk.database, crosswalk.schema, crosswalk.identifier) -%}
    {%- if standing is none -%}
        {{ return(none) }}
    {%- endif -%}
    {#- All of it is written when some of it changes: what came as it went is no change. -#}
    {%- do run_query(
        "create or replace temp table renamed_" ~ branch.feed.table ~ " as select distinct kind, code from ("
        ~ "select kind, code, conformed_id, valid_from, valid_to"
        ~ ", sum(case when change_type in ('insert', 'update_postimage') then 1 else -1 end) as gained from "
        ~ changed_rows(standing, plan) ~ " where system = '" ~ branch.feed.system ~ "' group by all having gained <> 0)"
    ) -%}
    {%- set conditions = [] -%}
    {%- for column, kinds in spec.identifies.items() if column in branch.feed.columns -%}
        {%- do conditions.append(
            'trim(' ~ branch.feed.columns[column] ~ ') in (select code from renamed_' ~ branch.feed.table ~ ' where kind in (' ~ quoted_list(kinds) ~ '))'
        ) -%}
    {%- endfor -%}
    {%- if not conditions or not run_query('select count(*) > 0 from renamed_' ~ branch.feed.table).columns[0][0] -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return('(select * from ' ~ branch.table ~ ' where ' ~ conditions | join(' or ') ~ ')') }}
{% endmacro %}

{#
    Lists the slices to build in the temporary table `affected` and returns its name; none where all are to be built.
    `query` gives the slices, by the names of the model's columns (duplicates do no harm); with `weight`, a query on
    `affected` that gives one boolean, the model is built whole where that is true.
#}
{% macro slices_to_build(plan, query, weight=none) %}
    {%- if plan.mode == 'part' -%}
        {%- do run_query('create or replace temp table affected as ' ~ query) -%}
        {%- if not run_query('select count(*) from affected').columns[0][0] -%}
            {%- do plan.update({'mode': 'untouched'}) -%}
        {%- elif weight is not none and run_query(weight).columns[0][0] -%}
            {%- do plan.update({'mode': 'whole'}) -%}
        {%- else -%}
            {%- do plan.update({'bounds': bounds_of_affected()}) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if execute and model.resource_type == 'model' -%}
        {%- do run_query("set variable build_mode = '" ~ plan.mode ~ "'") -%}
    {%- endif -%}
    {{ return('affected' if plan.mode == 'part' else none) }}
{% endmacro %}

{# Of each column of `affected` its first and last value, and whether one is null. #}
{% macro bounds_of_affected() %}
    {%- set bounds = {} -%}
    {%- for name in run_query('describe affected').columns[0].values() -%}
        {%- set row = run_query(
            'select min(' ~ name ~ ')::varchar, max(' ~ name ~ ')::varchar, count(*) > count(' ~ name ~ ') from affected'
        ).rows[0] -%}
        {%- do bounds.update({name: {'first': row[0], 'last': row[1], 'has_null': row[2]}}) -%}
    {%- endfor -%}
    {{ return(bounds) }}
{% endmacro %}

{#
    True for rows of slices to build: `columns` of a relation against those of `affected`, nulls alike. The bounds say
    nothing new; by them files and row groups are passed over unread. True for all rows where all slices are to be built.
#}
{% macro is_affected(plan, columns, relation) -%}
    {%- if plan.mode != 'part' -%}
        {{ return('true') }}
    {%- endif -%}
    {%- for column in columns if plan.bounds[column].first is not none and not plan.bounds[column].has_null %}
        {{- relation }}.{{ column }} between {{ quoted_list([plan.bounds[column].first]) }}
        and {{ quoted_list([plan.bounds[column].last]) }} and {# #}
    {%- endfor -%}
    exists (
        select 1 from affected
        where
        {%- for column in columns %}
            affected.{{ column }} {{ 'is not distinct from' if plan.bounds[column].has_null else '=' }}
            {{- ' ' ~ relation }}.{{ column }}
            {{- ' and' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# False for rows whose `name` lies before all slices to build, by their column `column`. #}
{% macro is_not_before(plan, column, name) -%}
    {%- if plan.mode != 'part' or plan.bounds[column].first is none -%}
        {{ return('true') }}
    {%- endif -%}
    {{ name }} >= {{ quoted_list([plan.bounds[column].first]) }}
{%- endmacro %}

{% materialization slices, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set mode = run_query("select getvariable('build_mode')").columns[0][0] -%}
    {%- set slice = config.require('slice') -%}
    {{ run_hooks(pre_hooks) }}
    {%- if mode == 'none' -%}
        {%- call noop_statement('main', 'UNCHANGED') -%}{%- endcall -%}
    {%- elif mode == 'untouched' -%}
        {#- Its inputs have changed, none of its slices has: only that is noted. -#}
        {%- do record_build() -%}
        {%- call noop_statement('main', 'UNCHANGED') -%}{%- endcall -%}
        {{ adapter.commit() }}
    {%- else -%}
        {%- do record_build() -%}
        {%- if mode == 'whole' -%}
            {%- set existing_relation = load_cached_relation(this) -%}
            {%- if existing_relation is not none and not existing_relation.is_table -%}
                {{ drop_relation_if_exists(existing_relation) }}
            {%- endif -%}
            {%- do replace_table(target_relation, compiled_code) -%}
        {%- else -%}
            {#- Computed before its slices are deleted: it may read what stands. -#}
            {% call statement('computed') -%}
                create or replace temp table computed as (
                    {{ compiled_code }}
                )
            {%- endcall %}
            {% call statement('deleted') -%}
                delete from {{ target_relation }} as built where {{ is_affected({'mode': 'part', 'bounds': bounds_of_affected()}, slice, 'built') }}
            {%- endcall %}
            {% call statement('main') -%}
                insert into {{ target_relation }} by name select * from computed
            {%- endcall %}
        {%- endif -%}
        {{ adapter.commit() }}
    {%- endif -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Notes, in the transaction of the build, what it is made from. #}
{% macro record_build() %}
    {%- set name = this.schema ~ '.' ~ this.identifier -%}
    {%- set noted = run_query(inputs_sql(tables_behind(model))).columns[0][0] -%}
    {% call statement('state') -%}
        create table if not exists {{ target.database }}.meta.model_build (
            model varchar, code varchar, inputs varchar, read_snapshot bigint
        )
    {%- endcall %}
    {% call statement('state') -%}
        delete from {{ target.database }}.meta.model_build where model = '{{ name }}'
    {%- endcall %}
    {% call statement('state') -%}
        insert into {{ target.database }}.meta.model_build
        select '{{ name }}', getvariable('build_code'), '{{ noted }}', (
            select id from {{ target.database }}.current_snapshot()
        )
    {%- endcall %}
{% endmacro %}

{#
    A table in which only what differs is written, so that the models of slices that read it see what has changed. For
    tables so small that comparing them costs nothing; what nobody reads by slices is a plain `table`.
#}
{% materialization differences, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('computed') -%}
        create or replace temp table computed as (
            {{ compiled_code }}
        )
    {%- endcall %}
    {%- set columns = adapter.get_columns_in_relation(target_relation) if existing_relation is not none else [] -%}
    {%- if flags.FULL_REFRESH or not existing_relation or not existing_relation.is_table or not has_columns_of_computed(columns) -%}
        {%- if existing_relation is not none and not existing_relation.is_table -%}
            {{ drop_relation_if_exists(existing_relation) }}
        {%- endif -%}
        {%- do replace_table(target_relation, 'select * from computed') -%}
    {%- else -%}
        {% call statement('gone') -%}
            create or replace temp table gone as (
                select * from {{ target_relation }} except all select * from computed
            )
        {%- endcall %}
        {% call statement('deleted') -%}
            delete from {{ target_relation }} as built where exists (
                select 1 from gone
                where
                {%- for column in columns %}
                    built.{{ column.quoted }} is not distinct from gone.{{ column.quoted }}
                    {{- ' and' if not loop.last }}
                {%- endfor %}
            )
        {%- endcall %}
        {% call statement('main') -%}
            insert into {{ target_relation }}
            select * from computed except all select * from {{ target_relation }}
        {%- endcall %}
    {%- endif -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% macro has_columns_of_computed(columns) %}
    {%- set standing = [] -%}
    {%- for column in columns -%}
        {%- do standing.append(column.name ~ ' ' ~ column.dtype) -%}
    {%- endfor -%}
    {%- set computed = [] -%}
    {%- for row in run_query('describe computed').rows -%}
        {%- do computed.append(row[0] ~ ' ' ~ row[1]) -%}
    {%- endfor -%}
    {{ return(standing == computed) }}
{% endmacro %}

{#
    The rows of a model that a test of single rows or of their grain has not seen: those that came since all tests passed
    (lake.meta.model_tested, written by lake/transform.py) and still stand; all of them, where that is not known.
#}
{% macro untested_rows(relation) %}
    {%- set tested = adapter.get_relation(target.database, 'meta', 'model_tested') if execute else none -%}
    {%- if tested is not none and relation.identifier is defined -%}
        {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
        {%- set row = run_query(
            'select tested.snapshot_id + 1, (select id from ' ~ target.database ~ '.current_snapshot())'
            ~ ' from ' ~ tested ~ ' as tested inner join ' ~ catalogue() ~ '.ducklake_table as standing'
            ~ ' on standing.table_uuid::varchar = tested.table_uuid and standing.end_snapshot is null'
            ~ " where tested.model = '" ~ name ~ "' and tested.snapshot_id < (select id from " ~ target.database ~ '.current_snapshot())'
            ~ ' and (select count(*) from ' ~ catalogue() ~ '.ducklake_snapshot where snapshot_id >= tested.snapshot_id)'
            ~ ' = (select id from ' ~ target.database ~ '.current_snapshot()) - tested.snapshot_id + 1'
        ).rows -%}
        {%- if row | length > 0 -%}
            {%- set period = "('" ~ relation.database ~ "', '" ~ relation.schema ~ "', '" ~ relation.identifier ~ "', " ~ row[0][0] ~ ', ' ~ row[0][1] ~ ')' -%}
            {{ return(
                "(select came.* from ducklake_table_insertions" ~ period ~ " as came where came.rowid not in ("
                ~ "select gone.rowid from ducklake_table_deletions" ~ period ~ " as gone))"
            ) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(relation) }}
{% endmacro %}

{# False where a table that stands has no such row, so that other tables are not read for nothing; unit tests bring rows of their own. #}
{% macro may_be_asked_of(relation, condition) -%}
    {%- if execute and model.resource_type == 'model' -%}
        {%- set found = run_query('select exists (select 1 from ' ~ relation ~ ' where ' ~ condition ~ ')') -%}
        {{ return('true' if found.columns[0][0] else 'false') }}
    {%- endif -%}
    {{ return('true') }}
{%- endmacro %}
