{# What the ledger of deliveries counts, dataset by dataset; empty where nothing was ever delivered. #}
{% macro delivered_rows() -%}
{%- set ledger = adapter.get_relation('lake', 'meta', 'delivery') if execute -%}
select
    dataset,
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
