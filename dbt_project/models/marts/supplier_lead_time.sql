-- An order line is one observation, at its first receipt: the second part of a partial delivery says how the supplier
-- splits, not how long it takes.
with

observations as (
    select
        supplier_id,
        first_received_on as day,
        count(*) as receipts,
        sum(lead_time_days) as sum_days,
        sum(lead_time_days * lead_time_days) as sum_squares,
        count(expected_on) as promised,
        count(*) filter (where first_received_on <= expected_on) as on_time,
        max(known_at) as known_at
    from {{ ref('fct_purchase_order_line') }}
    where first_received_on is not null
    group by supplier_id, first_received_on
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
        max(known_at) over last_180_days as known_at
    from observations
    window last_180_days as (
        partition by supplier_id order by day range between interval 179 day preceding and current row
    )
),

final as (
    select
        supplier_id,
        day,
        day + interval 1 day as as_of_ts,
        greatest(day + interval 1 day, known_at) as known_at,
        sum_days / receipts as lead_time_mean_days,
        case
            when receipts > 1
                then sqrt((receipts * sum_squares - sum_days * sum_days)::double / (receipts * (receipts - 1)))
        end as lead_time_std_days,
        on_time / nullif(promised, 0) as on_time_share,
        receipts::bigint as receipts
    from summed
)

select * from final
