{%- set assumed = var('assumptions').get('supplier') %}
with

master as (
    select
        supplier_id,
        supplier_name,
        country,
        false as is_assumed
    from {{ ref('stg_supplier') }}
    {{ newest_version(['supplier_id'], own_row_first=true) }}
),

assumed as (
    select
        {{ text_literal(assumed.supplier_id if assumed else none) }} as supplier_id,
        {{ text_literal(assumed.supplier_name if assumed else none) }} as supplier_name,
        {{ text_literal(assumed.get('country') if assumed else none) }} as country,
        true as is_assumed
    where {{ 'true' if assumed else 'false' }}
),

final as (
    select * from master
    union all
    select * from assumed
    where not exists (select 1 from master where master.supplier_id = assumed.supplier_id)
)

select * from final
