{#
    One entity, united from every raw table whose contract feeds it: all columns typed, null where unmapped, then
    where each row comes from. Of a dataset with deletions or history only what counts now. A dataset that was never delivered has no raw table yet and counts as empty.
    `var('entities')` is written by lake/transform.py from entities.yaml and the company's contracts.
#}
{% macro stage_entity(entity) -%}
{%- set spec = var('entities')[entity] -%}
{%- set branches = [] -%}
{%- for feed in spec.sources -%}
    {%- set raw = source('raw', feed.table) -%}
    {%- if execute and adapter.get_relation(raw.database, raw.schema, raw.identifier) is not none -%}
        {%- do branches.append({'table': raw, 'dataset': feed.table, 'columns': feed.columns, 'where': feed.where}) -%}
    {%- endif -%}
{%- endfor -%}
{%- for branch in branches %}
select
    {%- for column, type in spec.columns.items() %}
    cast({{ branch.columns.get(column, 'null') }} as {{ type }}) as {{ column }},
    {%- endfor %}
    '{{ branch.dataset }}' as _dataset,
    _delivery_id,
    _file,
    _line,
    _known_at
from {{ branch.table }}
{%- if branch.where %}
where {{ branch.where }}
{%- endif %}
{%- if not loop.last %}
union all
{%- endif %}
{%- else %}
select
    {%- for column, type in spec.columns.items() %}
    cast(null as {{ type }}) as {{ column }},
    {%- endfor %}
    cast(null as varchar) as _dataset,
    cast(null as varchar) as _delivery_id,
    cast(null as varchar) as _file,
    cast(null as bigint) as _line,
    cast(null as timestamp) as _known_at
where false
{%- endfor %}
{%- endmacro %}

{# Rows of an entity that came or went since the model at hand was built, deleted ones and closed versions too. #}
{% macro changed_entity(entity, plan) %}
{%- set branches = [] -%}
{%- if plan.mode != 'whole' -%}
{%- set spec = var('entities')[entity] -%}
{%- for feed in spec.sources -%}
    {%- set raw = adapter.get_relation(target.database, 'raw', feed.table) -%}
    {%- if raw is not none -%}
        {%- set columns = [] -%}
        {%- for column, type in spec.columns.items() -%}
            {%- do columns.append('cast(' ~ feed.columns.get(column, 'null') ~ ' as ' ~ type ~ ') as ' ~ column) -%}
        {%- endfor -%}
        {%- do branches.append('select ' ~ columns | join(', ') ~ ' from ' ~ changed_rows(raw, plan)) -%}
    {%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ return('(' ~ branches | join(' union all ') ~ ')') }}
{% endmacro %}
