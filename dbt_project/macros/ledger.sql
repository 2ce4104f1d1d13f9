{# What the ledger of deliveries counts, dataset by dataset; empty where nothing was ever delivered. #}
{% macro delivered_rows() -%}
{%- set ledger = adapter.get_relation('lake', 'meta', 'delivery') if execute -%}
select
    dataset,
    count(*) filter (where status = 'loaded') as deliveries,
    sum(rows_read) as rows_read,
    sum(loaded) as loaded,
    sum(quarantined) as quarantined,
    sum(duplicate) as duplicate,
    sum(unchanged) as unchanged
{%- if ledger %}
from {{ ledger }}
{%- else %}
from (
    select
        null::varchar as dataset,
        null::varchar as status,
        0 as rows_read,
        0 as loaded,
        0 as quarantined,
        0 as duplicate,
        0 as unchanged
) as nothing
{%- endif %}
where status in ('loaded', 'replayed')
group by dataset
{%- endmacro %}

{# Rows in each raw table, and whether it keeps all that were ever loaded; elsewhere later deliveries replace rows. #}
{% macro raw_rows() -%}
{%- for spec in var('entities').values() %}
{%- for feed in spec.sources %}
{%- set raw = source('raw', feed.table) %}
{%- if execute and adapter.get_relation(raw.database, raw.schema, raw.identifier) is not none %}
select
    '{{ feed.table }}' as dataset,
    {{ 'true' if feed.write_mode in ('append', 'insert_only') else 'false' }} as keeps_all,
    count(*) as row_count
from {{ raw }}
union all
{%- endif %}
{%- endfor %}
{%- endfor %}
select
    null as dataset,
    false as keeps_all,
    0 as row_count
where false
{%- endmacro %}

{# What the sources' own control totals say of the deliveries that loaded, and what was found in them; rows and sums. #}
{% macro control_figures() -%}
{%- set control = adapter.get_relation('lake', 'meta', 'control') if execute -%}
{%- set ledger = adapter.get_relation('lake', 'meta', 'delivery') if execute -%}
select
    dataset,
    figure,
    delivery_id,
    try_cast(expected as decimal(38, 10)) as expected,
    try_cast(found as decimal(38, 10)) as found
{%- if control and ledger %}
from {{ control }}
where delivery_id in (select delivery_id from {{ ledger }} where status = 'loaded')
qualify row_number() over (partition by dataset, delivery_id, figure order by noted_at desc) = 1
{%- else %}
from (
    select
        null::varchar as dataset,
        null::varchar as figure,
        null::varchar as delivery_id,
        null::varchar as expected,
        null::varchar as found
) as nothing
where false
{%- endif %}
{%- endmacro %}

{# Each control total that a contract names, but for those of no units and no money: what it sums, and its sum in raw. #}
{% macro raw_figures() -%}
{%- for spec in var('entities').values() %}
{%- for feed in spec.sources %}
{%- set raw = source('raw', feed.table) %}
{%- if execute and adapter.get_relation(raw.database, raw.schema, raw.identifier) is not none %}
select
    '{{ feed.table }}' as dataset,
    'rows' as figure,
    'rows' as is_of,
    {{ feed.get('control_stops', true) }} as stops,
    null::decimal(38, 10) as raw_total
union all
{%- for figure in feed.get('control', []) %}
select
    '{{ feed.table }}' as dataset,
    '{{ figure.figure }}' as figure,
    '{{ figure.of }}' as is_of,
    {{ feed.control_stops }} as stops,
    (select sum("{{ figure.column }}")::decimal(38, 10) from {{ raw }}) as raw_total
union all
{%- endfor %}
{%- endif %}
{%- endfor %}
{%- endfor %}
select
    null as dataset,
    null as figure,
    null as is_of,
    true as stops,
    null as raw_total
where false
{%- endmacro %}
