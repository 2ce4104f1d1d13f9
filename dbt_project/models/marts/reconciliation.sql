{#
    What is compared, entity by entity: the fact that it becomes, the key of its newest version, and what units and money
    are called on both sides. What was converted is compared as it was delivered. `superseded` holds all older versions, in the
    units of the fact: they are looked for again only where these are not as they were delivered.
#}
{%- set facts = {
    'sales_order_line': {
        'fact': 'fct_sales_order_line',
        'key': ['order_id', 'order_line'],
        'units': ('quantity_units', 'quantity_units'),
        'money': ('quantity_units * unit_price', 'revenue'),
        'superseded': 'superseded_sales_order_line',
    },
    'inventory_snapshot': {
        'fact': 'fct_inventory',
        'key': [conformed_item('item_id'), 'location_id', 'snapshot_date'],
        'units': ('on_hand_units', 'on_hand_units'),
        'where': 'not is_assumed',
    },
    'inventory_movement': {
        'fact': 'fct_inventory_movement',
        'key': ['movement_id'],
        'units': ('moved_units', 'moved_units'),
    },
    'purchase_order_line': {
        'fact': 'fct_purchase_order_line',
        'key': ['purchase_order_id', 'purchase_order_line'],
        'units': ('ordered_units', 'ordered_units'),
        'money': ('ordered_units * unit_price', 'ordered_amount'),
    },
    'goods_receipt': {
        'fact': 'fct_goods_receipt',
        'key': ['receipt_id', 'receipt_line'],
        'units': ('received_units', 'received_units'),
    },
    'supplier_invoice_line': {
        'fact': 'fct_supplier_invoice_line',
        'key': ['supplier_id', 'invoice_id', 'invoice_line'],
        'units': ('invoiced_units', 'invoiced_units'),
        'money': ('coalesce(amount, (invoiced_units * unit_price)::decimal(18, 4))', 'coalesce(original_amount, amount)'),
    },
    'stock_count': {
        'fact': 'fct_stock_count',
        'key': [conformed_item('item_id'), 'location_id', 'counted_on'],
        'units': ('counted_units', 'counted_units'),
    },
} -%}
-- Nothing between a source and demand gets lost unseen. Step by step: what came in, what left for a named reason, what
-- stands there; the rest is unexplained, and the gate stops for it.
with

delivered as (
    {{ delivered_rows() | indent(4) }}
),

raw_rows as (
    {{ raw_rows() | indent(4) }}
),

loading as (
    select
        'source to raw' as step,
        delivered.dataset as subject,
        delivered.rows_read as rows_before,
        delivered.quarantined as quarantined_rows,
        delivered.duplicate as duplicate_rows,
        delivered.unchanged as unchanged_rows,
        case
            when raw_rows.keeps_all then 0 else greatest(delivered.loaded - raw_rows.row_count, 0)
        end as replaced_rows,
        raw_rows.row_count as rows_after
    from delivered
    inner join raw_rows on delivered.dataset = raw_rows.dataset
),

control_figures as (
    {{ control_figures() | indent(4) }}
),

raw_figures as (
    {{ raw_figures() | indent(4) }}
),

controlled as (
    select
        said.dataset,
        said.figure,
        figures.is_of,
        figures.stops,
        figures.raw_total,
        sum(said.expected) as expected,
        sum(said.found) as found,
        count(*) as deliveries
    from control_figures as said
    inner join raw_figures as figures
        on said.dataset = figures.dataset and said.figure = figures.figure
    group by said.dataset, said.figure, figures.is_of, figures.stops, figures.raw_total
),

-- What the source itself says that it sent, against what was read of it. What a contract only warns of is untied.
controlling as (
    select
        'control to source' as step,
        case when is_of = 'rows' then dataset else dataset || ' ' || figure end as subject,
        case when is_of = 'rows' then expected else 0 end as rows_before,
        case when is_of = 'rows' then found else 0 end as rows_after,
        case when is_of = 'rows' and not stops then expected - found end as untied_rows,
        case when is_of = 'units' then expected end as units_before,
        case when is_of = 'units' then found end as units_after,
        case when is_of = 'units' and not stops then expected - found end as untied_units,
        case when is_of = 'money' then expected end as money_before,
        case when is_of = 'money' then found end as money_after,
        case when is_of = 'money' and not stops then expected - found end as untied_money
    from controlled
),

-- And against raw, where every row of every delivery that has loaded stands there.
kept_whole as (
    select
        delivered.dataset,
        delivered.deliveries
    from delivered
    inner join raw_rows on delivered.dataset = raw_rows.dataset
    where
        raw_rows.keeps_all
        and delivered.rows_read = delivered.loaded
        and delivered.loaded = raw_rows.row_count
),

controlling_raw as (
    select
        'control to raw' as step,
        controlled.dataset || ' ' || controlled.figure as subject,
        0 as rows_before,
        0 as rows_after,
        case when controlled.is_of = 'units' then controlled.expected end as units_before,
        case when controlled.is_of = 'units' then controlled.raw_total end as units_after,
        case
            when controlled.is_of = 'units' and not controlled.stops then controlled.expected - controlled.found
        end as untied_units,
        case when controlled.is_of = 'money' then controlled.expected end as money_before,
        case when controlled.is_of = 'money' then controlled.raw_total end as money_after,
        case
            when controlled.is_of = 'money' and not controlled.stops then controlled.expected - controlled.found
        end as untied_money
    from controlled
    inner join kept_whole
        on controlled.dataset = kept_whole.dataset and controlled.deliveries = kept_whole.deliveries
    where controlled.is_of <> 'rows'
),

{%- for entity, fact in facts.items() %}
{%- set raw_money, money = fact.get('money', ('null', 'null')) %}
{%- set core_units, core_money = as_delivered(entity, fact.units[1], money) %}

{{ entity }}_staged as (
    select
        count(*) as row_count,
        sum({{ fact.units[0] }}) as units,
        sum({{ raw_money }}) as amount
    from {{ ref('stg_' ~ entity) }}
),

{%- if fact.superseded and not is_converted(entity) %}
{{ entity }}_older as (
    select
        count(*) as row_count,
        sum({{ fact.units[1] }}) as units,
        sum({{ money }}) as amount
    from {{ ref(fact.superseded) }}
),
{%- else %}
{{ entity }}_versions as (
    select
        {{ fact.units[0] }} as units,
        {{ raw_money }} as amount,
        row_number() over (
            partition by {{ fact.key | join(', ') }}
            order by _known_at desc nulls last, _file desc, _line desc
        ) as age
    from {{ ref('stg_' ~ entity) }}
    where hash({{ fact.key | join(', ') }}) in (    -- a hash finds the few that may have more than one
        select hash({{ fact.key | join(', ') }}) as print
        from {{ ref('stg_' ~ entity) }}
        group by hash({{ fact.key | join(', ') }})
        having count(*) > 1
    )
),

{{ entity }}_older as (
    select
        count(*) as row_count,
        sum(units) as units,
        sum(amount) as amount
    from {{ entity }}_versions
    where age > 1
),
{%- endif %}

{{ entity }}_core as (
    select
        count(*) as row_count,
        sum({{ core_units }}) as units,
        sum({{ core_money }}) as amount
    from {{ ref(fact.fact) }}
    where {{ fact.get('where', 'true') }}
),
{%- endfor %}

unconverted as (
    select
        entity,
        count(*) as row_count,
        sum(original_quantity) as units,
        sum(original_amount) as amount
    from {{ ref('unconverted_row') }}
    group by entity
),

conforming as (
    {%- for entity, fact in facts.items() %}
    select
        'raw to core' as step,
        '{{ fact.fact }}' as subject,
        staged.row_count as rows_before,
        older.row_count as older_rows,
        unconverted.row_count as unconverted_rows,
        core.row_count as rows_after,
        staged.units::decimal(38, 6) as units_before,
        older.units::decimal(38, 6) as older_units,
        unconverted.units::decimal(38, 6) as unconverted_units,
        core.units::decimal(38, 6) as units_after,
        staged.amount::decimal(38, 10) as money_before,
        older.amount::decimal(38, 10) as older_money,
        unconverted.amount::decimal(38, 10) as unconverted_money,
        core.amount::decimal(38, 10) as money_after
    from {{ entity }}_staged as staged
    cross join {{ entity }}_older as older
    cross join {{ entity }}_core as core
    left join unconverted on unconverted.entity = '{{ entity }}'
    where staged.row_count + core.row_count > 0
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

sales as (
    select
        count(*) as row_count,
        sum(quantity_units) as units,
        sum(revenue) as amount,
        count(*) filter (where line_class = 'adjustment') as adjustment_rows,
        sum(quantity_units) filter (where line_class = 'adjustment') as adjustment_units,
        sum(revenue) filter (where line_class = 'adjustment') as adjustment_money,
        count(*) filter (where line_class = 'non_product') as non_product_rows,
        sum(quantity_units) filter (where line_class = 'non_product') as non_product_units,
        sum(revenue) filter (where line_class = 'non_product') as non_product_money
    from {{ ref('fct_sales_order_line') }}
),

demand as (
    select
        sum(line_count) as row_count,
        sum(sold_units) - sum(returned_units) as units,
        sum(revenue) as amount
    from {{ ref('fct_demand') }}
),

demanding as (
    select
        'core to demand' as step,
        'fct_demand' as subject,
        sales.row_count as rows_before,
        sales.adjustment_rows,
        sales.non_product_rows,
        demand.row_count as rows_after,
        sales.units::decimal(38, 6) as units_before,
        sales.adjustment_units::decimal(38, 6) as adjustment_units,
        sales.non_product_units::decimal(38, 6) as non_product_units,
        demand.units::decimal(38, 6) as units_after,
        sales.amount::decimal(38, 10) as money_before,
        sales.adjustment_money::decimal(38, 10) as adjustment_money,
        sales.non_product_money::decimal(38, 10) as non_product_money,
        demand.amount::decimal(38, 10) as money_after
    from sales
    cross join demand
    where sales.row_count > 0
),

steps as (
    select * from controlling
    union all by name
    select * from controlling_raw
    union all by name
    select * from loading
    union all by name
    select * from conforming
    union all by name
    select * from demanding
),

rest as (
    select
        step,
        subject,
        rows_before,
        coalesce(untied_rows, 0) as untied_rows,
        coalesce(quarantined_rows, 0) as quarantined_rows,
        coalesce(duplicate_rows, 0) as duplicate_rows,
        coalesce(unchanged_rows, 0) as unchanged_rows,
        coalesce(replaced_rows, 0) as replaced_rows,
        coalesce(older_rows, 0) as older_rows,
        coalesce(unconverted_rows, 0) as unconverted_rows,
        coalesce(adjustment_rows, 0) as adjustment_rows,
        coalesce(non_product_rows, 0) as non_product_rows,
        coalesce(rows_after, 0) as rows_after,
        units_before,
        untied_units,
        older_units,
        unconverted_units,
        adjustment_units,
        non_product_units,
        units_after,
        money_before,
        untied_money,
        older_money,
        unconverted_money,
        adjustment_money,
        non_product_money,
        money_after,
        coalesce(units_before, 0) - coalesce(units_after, 0) as lost_units,
        coalesce(untied_units, 0) + coalesce(older_units, 0) + coalesce(unconverted_units, 0)
        + coalesce(adjustment_units, 0) + coalesce(non_product_units, 0) as explained_units,
        coalesce(money_before, 0) - coalesce(money_after, 0) as lost_money,
        coalesce(untied_money, 0) + coalesce(older_money, 0) + coalesce(unconverted_money, 0)
        + coalesce(adjustment_money, 0) + coalesce(non_product_money, 0) as explained_money
    from steps
),

final as (
    select
        step,
        subject,
        rows_before::bigint as rows_before,
        untied_rows::bigint as untied_rows,
        quarantined_rows::bigint as quarantined_rows,
        duplicate_rows::bigint as duplicate_rows,
        unchanged_rows::bigint as unchanged_rows,
        replaced_rows::bigint as replaced_rows,
        older_rows::bigint as older_rows,
        unconverted_rows::bigint as unconverted_rows,
        adjustment_rows::bigint as adjustment_rows,
        non_product_rows::bigint as non_product_rows,
        rows_after::bigint as rows_after,
        (
            rows_before - rows_after
            - untied_rows
            - quarantined_rows
            - duplicate_rows
            - unchanged_rows
            - replaced_rows
            - older_rows
            - unconverted_rows
            - adjustment_rows
            - non_product_rows
        )::bigint as unexplained_rows,
        units_before::decimal(38, 6) as units_before,
        untied_units::decimal(38, 6) as untied_units,
        older_units::decimal(38, 6) as older_units,
        unconverted_units::decimal(38, 6) as unconverted_units,
        adjustment_units::decimal(38, 6) as adjustment_units,
        non_product_units::decimal(38, 6) as non_product_units,
        units_after::decimal(38, 6) as units_after,
        (lost_units - explained_units)::decimal(38, 6) as unexplained_units,
        money_before::decimal(38, 4) as money_before,
        untied_money::decimal(38, 4) as untied_money,
        older_money::decimal(38, 4) as older_money,
        unconverted_money::decimal(38, 4) as unconverted_money,
        adjustment_money::decimal(38, 4) as adjustment_money,
        non_product_money::decimal(38, 4) as non_product_money,
        money_after::decimal(38, 4) as money_after,
        (lost_money - explained_money)::decimal(38, 4) as unexplained_money
    from rest
)

select * from final
