{#
    One entity, united from every raw table whose contract feeds it: all columns typed, null where unmapped, then
    where each row comes from. Of a dataset with deletions or history only what counts now; with `every_version` all of
    it, and of each row whether it says that its key is gone (_is_deleted) and when raw ended it (_ended_at).
    A dataset that was never delivered has no raw table yet and counts as empty.
    `var('entities')` is written by lake/dbt_files.py from entities.yaml and the company's contracts.

    Where company.yaml has `matching`, codes of items, suppliers and locations leave staging as conformed ids, by staging.crosswalk
    (lake/matching), as the code was used on the day of the row; one that is matched to nothing stays as it is. Where a column may
    hold codes of two kinds (an origin is a supplier or a location), the first kind that knows the code says what it is.
#}
{% macro stage_entity(entity, every_version=false) -%}
{%- set spec = var('entities')[entity] -%}
{%- set branches = [] -%}
{%- for feed in spec.sources -%}
    {%- set raw = source('raw', feed.table) -%}
    {%- if execute and adapter.get_relation(raw.database, raw.schema, raw.identifier) is not none -%}
        {%- do branches.append({'table': raw, 'feed': feed}) -%}
    {%- endif -%}
{%- endfor -%}
{%- set is_matched = var('matching') | length > 0 -%}
{%- set crosswalk = source('matching', 'crosswalk') if is_matched and spec.identifies else none -%}
{%- for branch in branches %}
{%- if is_matched %}
{{ conformed_branch(entity, spec, branch, crosswalk, every_version) }}
{%- else %}
{{ delivered_branch(spec, branch, every_version) }}
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
    {%- if every_version %}
    false as _is_deleted,
    cast(null as timestamp) as _ended_at,
    {%- endif %}
    cast(null as timestamp) as _known_at
    {%- if is_matched and entity in ['item', 'supplier', 'location'] %},
    0 as _own_rank
    {%- endif %}
where false
{%- endfor %}
{%- endmacro %}

{# `rows`: SQL of what is read instead of the raw table, in its columns. #}
{% macro delivered_branch(spec, branch, every_version=false, rows=none) -%}
select
    {%- for column, type in spec.columns.items() %}
    cast({{ branch.feed.columns.get(column, 'null') }} as {{ type }}) as {{ column }},
    {%- endfor %}
    '{{ branch.feed.table }}' as _dataset,
    _delivery_id,
    _file,
    _line,
    {%- if every_version %}
    {{ branch.feed.deleted or 'false' }} as _is_deleted,
    cast({{ branch.feed.ended or 'null' }} as timestamp) as _ended_at,
    {%- endif %}
    _known_at
    {%- if branch.feed.moment is defined %},
    cast({{ branch.feed.moment }} as date) as _moment
    {%- endif %}
from {{ rows or branch.table }}
{%- if branch.feed.where and not every_version %}
where {{ branch.feed.where }}
{%- endif %}
{%- endmacro %}

{# `at`: the crosswalk as of an earlier snapshot of the lake. #}
{% macro conformed_branch(entity, spec, branch, crosswalk, every_version=false, rows=none, at=none) -%}
{%- set is_there = crosswalk is not none and adapter.get_relation(crosswalk.database, crosswalk.schema, crosswalk.identifier) is not none -%}
{%- set crosswalk = '(select * from ' ~ crosswalk ~ ' at (version => ' ~ at ~ '))' if at is not none else crosswalk -%}
{#- Most systems spell most kinds as the master does: what changes no code is not joined, for the large tables pay for it. -#}
{%- set renamed = renamed_kinds(crosswalk, branch.feed.system) if is_there else [] -%}
{%- set kinds_of = {} -%}
{%- for column, kinds in spec.identifies.items() if column in branch.feed.columns -%}
    {%- do kinds_of.update({column: kinds if kinds | select('in', renamed) | list else []}) -%}
{%- endfor -%}
select
    {%- for column in spec.columns %}
    {{ conformed_code(column, kinds_of.get(column)) }} as {{ column }},
    {%- endfor %}
    delivered._dataset,
    delivered._delivery_id,
    delivered._file,
    delivered._line,
    {%- if every_version %}
    delivered._is_deleted,
    delivered._ended_at,
    {%- endif %}
    delivered._known_at
    {%- if entity in ['item', 'supplier', 'location'] %},
    {%- set key = entity ~ '_id' %}
    case
        when '{{ branch.feed.system }}' <> '{{ var('matching').master }}' then 2
        when trim(delivered.{{ key }}) <> {{ conformed_code(key, kinds_of.get(key)) }} then 1
        else 0
    end as _own_rank
    {%- endif %}
from (
    {{ delivered_branch(spec, branch, every_version, rows) }}
) as delivered
{%- for column, kinds in kinds_of.items() %}
    {%- for kind in kinds %}
    {%- set known = column ~ '_' ~ kind %}
left join {{ crosswalk }} as {{ known }}
    on
        {{ known }}.kind = '{{ kind }}'
        and {{ known }}.system = '{{ branch.feed.system }}'
        and {{ known }}.code = trim(delivered.{{ column }})
        and ({{ known }}.valid_from is null or delivered._moment is null or delivered._moment >= {{ known }}.valid_from)
        and ({{ known }}.valid_to is null or delivered._moment < {{ known }}.valid_to)
    {%- endfor %}
{%- endfor %}
{%- endmacro %}

{# `kinds`: what the column's codes may be, empty where nothing of it is spelt differently, none where it holds no codes. #}
{% macro conformed_code(column, kinds) -%}
    {%- if kinds -%}
        coalesce({% for kind in kinds %}{{ column }}_{{ kind }}.conformed_id, {% endfor %}trim(delivered.{{ column }}))
    {%- elif kinds is not none -%}
        trim(delivered.{{ column }})
    {%- else -%}
        delivered.{{ column }}
    {%- endif -%}
{%- endmacro %}

{# The kinds of codes that a system spells otherwise than the master, as the crosswalk stands. #}
{% macro renamed_kinds(crosswalk, system) -%}
    {%- set found = run_query("select distinct kind from " ~ crosswalk ~ " where system = '" ~ system ~ "' and code <> conformed_id") -%}
    {{ return(found.columns[0].values() | list) }}
{%- endmacro %}
