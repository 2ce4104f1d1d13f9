{#
    The grain: `columns` are unique together, and none of them nor of `required` is null, except `nullable` ones (null
    then counts as a value). One scan for all of it: a test of its own for each column costs dbt more than the scan. Of a
    model that is built by slices, which are replaced whole, only rows are looked at that came since the tests passed last.
#}
{% test one_row_per(model, columns, required=[], nullable=[]) %}
{%- set never_null = [] -%}
{%- for column in columns + required if column not in nullable -%}
    {%- do never_null.append(column ~ ' is null') -%}
{%- endfor %}
{%- set rows = untested_rows(model) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count,
    count(*) filter (where {{ never_null | join(' or ') }}) as rows_with_nulls
from {{ rows }} as untested
where
    hash({{ columns | join(', ') }}) in (    -- a hash finds the few that may be more than one
        select hash({{ columns | join(', ') }}) as print
        from {{ rows }} as untested
        group by hash({{ columns | join(', ') }})
        having count(*) > 1
    )
    or {{ never_null | join(' or ') or 'false' }}
group by {{ columns | join(', ') }}
having row_count > 1 or rows_with_nulls > 0
{% endtest %}
