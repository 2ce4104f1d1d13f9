-- An order line is one observation, at its first receipt: the second part of a partial delivery says how the supplier
-- splits, not how long it takes. It counts from the day that knew of it, by what was promised then.
with

versions as (
    {{ every_order_line() | indent(4) }}
),

lines as (
    select
        purchase_order_id,
        purchase_order_line,
        min(known_at) as known_at
    from versions
    group by purchase_order_id, purchase_order_line
),

-- The first receipt that was known; what is corrected later changes no observation.
first_receipts as (
    select
        receipts.purchase_order_id,
        receipts.purchase_order_line,
        greatest(
            min(coalesce(receipts._known_at, receipts.received_on + interval 1 day)), any_value(ordered.known_at)
        ) as known_at,
        arg_min(
            receipts.received_on,
            (coalesce(receipts._known_at, receipts.received_on + interval 1 day), receipts.received_on)
        ) as received_on
    from (
        {{ every_version('goods_receipt', has_item=false) | indent(8) }}
    ) as receipts
    inner join lines as ordered
        on
            receipts.purchase_order_id = ordered.purchase_order_id
            and receipts.purchase_order_line = ordered.purchase_order_line
    where receipts.received_units > 0
    group by receipts.purchase_order_id, receipts.purchase_order_line
),

observed as (
    select
        versions.supplier_id,
        {{ counts_on('receipts.known_at', 'receipts.received_on') }} as day,
        receipts.received_on - versions.ordered_on as lead_time_days,
        versions.expected_on,
        receipts.received_on - versions.expected_on as days_late
    from first_receipts as receipts
    inner join versions
        on
            receipts.purchase_order_id = versions.purchase_order_id
            and receipts.purchase_order_line = versions.purchase_order_line
            and receipts.known_at >= versions.known_at
    qualify row_number() over (
        partition by receipts.purchase_order_id, receipts.purchase_order_line
        order by versions.known_at desc, versions._file desc, versions._line desc
    ) = 1
),

observations as (
    select
        observed.supplier_id,
        observed.day,
        count(*) as receipts,
        sum(observed.lead_time_days) as sum_days,
        sum(observed.lead_time_days * observed.lead_time_days) as sum_squares,
        count(observed.expected_on) as promised,
        count(*) filter (where observed.days_late <= 0) as on_time,
        sum(greatest(observed.days_late, 0)) as late_days,
        list(observed.lead_time_days) as lead_times
    from observed
    inner join {{ ref('business_span') }} as span on observed.day <= span.as_of
    where observed.supplier_id is not null and observed.lead_time_days is not null
    group by observed.supplier_id, observed.day
),

summed as (
    select
        supplier_id,
        day,
        sum(receipts) over last_180_days as receipts,
        sum(sum_days) over last_180_days as sum_days,
        sum(sum_squares) over last_180_days as sum_squares,
        sum(promised) over last_180_days as promised,
        sum(on_time) over last_180_days as on_time,
        sum(late_days) over last_180_days as late_days,
        flatten(list(lead_times) over last_180_days) as lead_times
    from observations
    window last_180_days as (
        partition by supplier_id order by day range between interval 179 day preceding and current row
    )
),

final as (
    select
        supplier_id,
        day,
        {{ closing('day') }},
        sum_days / receipts as lead_time_mean_days,
        case
            when receipts > 1
                then sqrt((receipts * sum_squares - sum_days * sum_days)::double / (receipts * (receipts - 1)))
        end as lead_time_std_days,
        list_sort(lead_times)[ceil(0.9 * len(lead_times))::integer] as lead_time_p90_days,
        on_time / nullif(promised, 0) as on_time_share,
        late_days / nullif(promised, 0) as late_mean_days,
        receipts::bigint as receipts
    from summed
)

select * from final
