{#
    Every version of an entity that raw holds, in time (SCD2), rebuilt from raw each time: no state of its own.

    A version counts from `begins` until the next one of its key begins. Of two that begin at once the one known last
    counts; one that says what the version before it says is none. A deletion ends a version and is no version.
    key: column -> SQL; said: the columns whose change makes a version; begins: SQL of a moment (null: the beginning).
#}
{% macro version_history(entity, key, said, begins) -%}
{%- set names = key.keys() | join(', ') -%}
with

versions as (
    {{ stage_entity(entity, every_version=true) | indent(4) }}
),

dated as (
    select
        {%- for name, sql in key.items() %}
        {{ sql }} as {{ name }},
        {%- endfor %}
        {%- for name in said %}
        {{ name }},
        {%- endfor %}
        coalesce({{ begins }}, timestamp '1900-01-01') as valid_from,
        _is_deleted,
        _ended_at,
        _known_at,
        _file,
        _line
    from versions
),

newest as (
    select *
    from dated
    qualify row_number() over (
        partition by {{ names }}, valid_from
        order by _known_at desc nulls last, _file desc, _line desc
    ) = 1
),

flagged as (
    select
        *,
        row(_is_deleted, {{ said | join(', ') }}) is distinct from lag(row(_is_deleted, {{ said | join(', ') }})) over by_time
        or coalesce(lag(_ended_at) over by_time < valid_from, false) as is_change
    from newest
    window by_time as (partition by {{ names }} order by valid_from)
),

counted as (
    select
        *,
        sum(is_change::integer) over (partition by {{ names }} order by valid_from) as version
    from flagged
),

changes as (
    select
        *,
        last_value(_ended_at) over (
            partition by {{ names }}, version
            order by valid_from
            rows between unbounded preceding and unbounded following
        ) as ended_at
    from counted
    qualify is_change
),

timeline as (
    select
        *,
        least(lead(valid_from) over (partition by {{ names }} order by valid_from), ended_at) as valid_to
    from changes
),

final as (
    select
        {%- for name in key %}
        timeline.{{ name }},
        {%- endfor %}
        timeline.valid_from,
        timeline.valid_to,
        coalesce(timeline.valid_from < span.as_of + interval 1 day, true)
        and coalesce(timeline.valid_to >= span.as_of + interval 1 day, timeline.valid_to is null) as is_current,
        {%- for name in said %}
        timeline.{{ name }},
        {%- endfor %}
        coalesce(timeline._known_at, timeline.valid_from) as known_at,
        timeline._file,
        timeline._line
    from timeline
    left join {{ ref('business_span') }} as span on true
    where not timeline._is_deleted
)

select * from final
{%- endmacro %}
