{#
    Keeps the newest version of each key: what was known last wins; of two versions known at once, the one that
    stands later in the later file. A qualify clause for a select over a staging model.

    `own_row_first`, for lists of items, suppliers and locations: where codes are matched, several rows may be about one id.
    The one that stands under this id in the master's own list counts; a double or another system's list only without it.

    `before`: what decides before what was known last.
#}
{% macro newest_version(key, own_row_first=false, before='') -%}
qualify row_number() over (
    partition by {{ key | join(', ') }}
    order by {{ before }}{{ '_own_rank, ' if own_row_first and var('matching') else '' }}_known_at desc nulls last, _file desc, _line desc
) = 1
{%- endmacro %}
