{%- set minimum = var('business_rules').get('lead_time_minimum_arrivals', 20) %}
{%- set keys = 'level, measure, supplier_id, item_id, origin, destination, mode' %}
-- How long things take, those included that have not come yet: an open order has taken at least so long (censored).
-- The share that has arrived by a day is 1 - S of Kaplan and Meier (1958): S(t) = product over days d <= t of
-- 1 - arrived(d) / at risk(d), where at risk are all that had not come the day before. A day stands for half a day
-- before and after it, and quantiles lie in proportion within.
with

span as (
    select * from {{ ref('business_span') }}
),

receipts as (
    select
        purchase_order_id,
        purchase_order_line,
        received_on,
        sum(received_units) over (
            partition by purchase_order_id, purchase_order_line
            order by received_on, receipt_id, receipt_line
        ) as units_so_far
    from {{ ref('fct_goods_receipt') }}
),

-- An order line that was closed before anything came says nothing about time.
order_lines as (
    select
        orders.supplier_id,
        orders.item_id,
        orders.ordered_on,
        orders.first_received_on,
        min(receipts.received_on) filter (
            where receipts.units_so_far >= orders.ordered_units
        ) as completed_on
    from {{ ref('fct_purchase_order_line') }} as orders
    left join receipts
        on
            orders.purchase_order_id = receipts.purchase_order_id
            and orders.purchase_order_line = receipts.purchase_order_line
    where orders.ordered_units > 0 or orders.received_units > 0
    group by
        orders.purchase_order_id,
        orders.purchase_order_line,
        orders.supplier_id,
        orders.item_id,
        orders.ordered_on,
        orders.first_received_on
),

shipments as (
    select * from {{ ref('fct_shipment') }}
),

waits as (
    select
        'first_receipt' as measure,
        supplier_id,
        item_id,
        null as origin,
        null as destination,
        null as mode,
        ordered_on as begun_on,
        first_received_on as ended_on
    from order_lines
    union all
    select
        'complete_receipt' as measure,
        supplier_id,
        item_id,
        null as origin,
        null as destination,
        null as mode,
        ordered_on as begun_on,
        completed_on as ended_on
    from order_lines
    union all
    select
        'transit' as measure,
        null as supplier_id,
        null as item_id,
        origin,
        destination,
        mode,
        departed_at::date as begun_on,
        delivered_at::date as ended_on
    from shipments
    where departed_at is not null
    union all
    select
        'door_to_door' as measure,
        origin as supplier_id,
        null as item_id,
        origin,
        destination,
        mode,
        ordered_on as begun_on,
        delivered_at::date as ended_on
    from shipments
    where ordered_on is not null
),

timed as (
    select
        waits.measure,
        waits.supplier_id,
        waits.item_id,
        waits.origin,
        waits.destination,
        waits.mode,
        waits.ended_on is null as is_open,
        coalesce(waits.ended_on, span.as_of) - waits.begun_on as days
    from waits
    cross join span
    where coalesce(waits.ended_on, span.as_of) >= waits.begun_on
),

observations as (
    select
        'supplier' as level,
        measure,
        supplier_id,
        null as item_id,
        null as origin,
        null as destination,
        null as mode,
        is_open,
        days
    from timed
    where supplier_id is not null
    union all
    select
        'supplier_item' as level,
        measure,
        supplier_id,
        item_id,
        null as origin,
        null as destination,
        null as mode,
        is_open,
        days
    from timed
    where item_id is not null
    union all
    select
        'lane' as level,
        measure,
        null as supplier_id,
        null as item_id,
        origin,
        destination,
        mode,
        is_open,
        days
    from timed
    where origin is not null
),

by_day as (
    select
        {{ keys }},
        days,
        count(*) as leaving,
        count(*) filter (where not is_open) as arrived
    from observations
    group by {{ keys }}, days
),

at_risk as (
    select
        *,
        sum(leaving) over (partition by {{ keys }} order by days desc) as at_risk
    from by_day
),

curve as (
    select
        *,
        1 - exp(
            sum(case when arrived = at_risk then -1000 else ln(1 - arrived / at_risk) end) over (
                partition by {{ keys }} order by days
            )
        ) as arrived_share
    from at_risk
),

steps as (
    select
        *,
        coalesce(lag(arrived_share) over of_key, 0) as share_before,
        coalesce(lag(days) over of_key, 0) as days_before
    from curve
    window of_key as (partition by {{ keys }} order by days)
),

summary as (
    select
        {{ keys }},
        sum(leaving)::bigint as n,
        (sum(leaving) - sum(arrived))::bigint as n_censored,
        {%- for percent in [10, 50, 90, 95] %}
        min(
            case
                when arrived_share >= {{ percent / 100 }} - 1e-9 and share_before < {{ percent / 100 }} - 1e-9
                    then greatest(days - 0.5 + ({{ percent / 100 }} - share_before) / (arrived_share - share_before), 0)
            end
        ) as p{{ percent }}_days,
        {%- endfor %}
        sum((1 - share_before) * (days - days_before)) as mean_days,
        1 - max(arrived_share) as never_arrived_share
    from steps
    group by {{ keys }}
),

final as (
    select
        own.level,
        own.measure,
        own.supplier_id,
        own.item_id,
        own.origin,
        own.destination,
        own.mode,
        own.n,
        own.n_censored,
        {%- for name in ['p10_days', 'p50_days', 'p90_days', 'p95_days', 'mean_days', 'never_arrived_share'] %}
        case when whole.n is null then own.{{ name }} else whole.{{ name }} end as {{ name }},
        {%- endfor %}
        case when whole.n is null then own.level else 'supplier' end as basis
    from summary as own
    left join summary as whole
        on
            own.level = 'supplier_item'
            and own.n - own.n_censored < {{ minimum }}
            and whole.level = 'supplier'
            and own.measure = whole.measure
            and own.supplier_id = whole.supplier_id
)

select * from final
