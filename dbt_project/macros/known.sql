{#
    When things were known, for features: what is said of a day is what was known when the day closed, and is never said
    anew. A day closes `day_closes_after_hours` (company.yaml) after it ends; what comes later counts from the day that is
    then open. So a row of features uses nothing that was published after it, and nothing published later changes it.
#}

{# The first day whose closing knows what was known at `known_at`; never before `day`. #}
{% macro counts_on(known_at, day) -%}
    greatest({{ day }}, {{ day_of(known_at) }})
{%- endmacro %}

{% macro day_of(known_at) -%}
    ({{ known_at }} - interval {{ var('day_closes_after_hours') }} hour - interval 1 microsecond)::date
{%- endmacro %}

{# as_of_ts and known_at of a row of features: when its day ended, and when it closed. #}
{% macro closing(day) -%}
    {{ day }} + interval 1 day as as_of_ts,
    {{ day }} + interval {{ 24 + var('day_closes_after_hours') }} hour as known_at
{%- endmacro %}

{#
    Versions that count: of all known on a day, the one that holds from the latest `valid_from`; one that comes late about
    an earlier time than what is known already changes nothing. A select over a relation with key, valid_from, counts_on,
    known_at, _file, _line; one row for each key and counts_on.
#}
{% macro changes_as_known(relation, key) -%}
{%- set names = key | join(', ') -%}
select *
from (
    select *
    from {{ relation }}
    qualify valid_from >= max(valid_from) over (
        partition by {{ names }}
        order by counts_on, valid_from, known_at, _file, _line
        rows between unbounded preceding and current row
    )
) as standing
qualify row_number() over (
    partition by {{ names }}, counts_on
    order by valid_from desc, known_at desc, _file desc, _line desc
) = 1
{%- endmacro %}

{# Every version of every row of an entity, in stock-keeping units and the company's currency, known when it could be converted. #}
{% macro every_version(entity, has_item=true) -%}
with

newest as (
    select
        *
        {%- if has_item %},
        {{ conformed_item('item_id') }} as conformed_item_id
        {%- endif %}
    from {{ ref('stg_' ~ entity) }}
),

{{ converted_lines(entity) }}

select * replace (greatest(_known_at, conversion_known_at) as _known_at)
from lines
{%- endmacro %}

{# Every version of every purchase order line, with what its order says for it. A select. #}
{% macro every_order_line() -%}
select
    lines.purchase_order_id,
    lines.purchase_order_line,
    coalesce(lines.supplier_id, orders.supplier_id) as supplier_id,
    coalesce(lines.ordered_on, orders.ordered_on) as ordered_on,
    lines.expected_on,
    lines.ordered_units,
    coalesce(lines._known_at, coalesce(lines.ordered_on, orders.ordered_on) + interval 1 day) as known_at,
    lines._file,
    lines._line
from (
    {{ every_version('purchase_order_line') | indent(4) }}
) as lines
left join (
    select *
    from {{ ref('stg_purchase_order') }}
    {{ newest_version(['purchase_order_id']) | indent(4) }}
) as orders on lines.purchase_order_id = orders.purchase_order_id
{%- endmacro %}

{# The newest value of a column of the dense panel that is not null, in the window `so_far`. #}
{% macro newest_so_far(column, type, told) -%}
    {{ 'last_value(' ~ column ~ ' ignore nulls) over so_far' if told else 'null::' ~ type }}
{%- endmacro %}
