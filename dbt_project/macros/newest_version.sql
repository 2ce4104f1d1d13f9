{#
    Keeps the newest version of each key: what was known last wins; of two versions known at once, the one that
    stands later in the later file. A qualify clause for a select over a staging model.
#}
{% macro newest_version(key) -%}
qualify row_number() over (
    partition by {{ key | join(', ') }}
    order by _known_at desc nulls last, _file desc, _line desc
) = 1
{%- endmacro %}
