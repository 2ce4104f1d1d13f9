-- A shipment costs what the rate says that was in force when it left, as it was known then: at least the minimum, with
-- the fuel surcharge on top. What it carried shares that by weight; the shares add up to the cost, to the last digit.
with

sent as (
    select
        shipment_id,
        purchase_order_id,
        origin,
        destination,
        mode,
        weight_kg,
        departed_at,
        delivered_at::date as delivered_on
    from {{ ref('fct_shipment') }}
    where departed_at is not null
),

rates as (
    select
        origin,
        destination,
        mode,
        valid_from,
        rate_per_kg,
        null::decimal(18, 6) as rate_per_unit,
        minimum_charge,
        coalesce(fuel_surcharge_share, 0) as fuel_surcharge_share,
        false as is_assumed,
        coalesce(_known_at, valid_from::timestamp) as known_at,
        _file,
        _line
    from (
        {{ every_version('freight_rate', has_item=false) | indent(8) }}
    ) as versions
    union all
    select
        origin,
        destination,
        mode,
        valid_from,
        rate_per_kg,
        rate_per_unit,
        minimum_charge,
        fuel_surcharge_share,
        is_assumed,
        known_at,
        null as _file,
        null as _line
    from {{ ref('fct_freight_rate') }}
    where is_assumed
),

rated as (
    select
        sent.*,
        rates.rate_per_kg,
        rates.rate_per_unit,
        rates.minimum_charge,
        rates.fuel_surcharge_share,
        coalesce(rates.is_assumed, false) as is_assumed,
        rates.origin is not null as has_rate
    from sent
    left join rates
        on
            sent.origin = rates.origin
            and sent.destination = rates.destination
            and sent.mode = rates.mode
            and sent.departed_at >= rates.valid_from
            and sent.departed_at >= rates.known_at
    qualify row_number() over (
        partition by sent.shipment_id
        order by rates.valid_from desc nulls last, rates.known_at desc, rates._file desc, rates._line desc
    ) = 1
),

-- A receipt came with the newest delivery of its order until that day.
deliveries as (
    select
        purchase_order_id,
        delivered_on,
        min(shipment_id) as shipment_id
    from sent
    where delivered_on is not null
    group by purchase_order_id, delivered_on
),

received as (
    select
        deliveries.shipment_id,
        order_lines.item_id,
        receipts.received_units as units
    from {{ ref('fct_goods_receipt') }} as receipts
    inner join {{ ref('fct_purchase_order_line') }} as order_lines
        on
            receipts.purchase_order_id = order_lines.purchase_order_id
            and receipts.purchase_order_line = order_lines.purchase_order_line
    asof inner join deliveries
        on
            receipts.purchase_order_id = deliveries.purchase_order_id
            and receipts.received_on >= deliveries.delivered_on
),

transferred as (
    select
        sent.shipment_id,
        movements.item_id,
        -movements.moved_units as units
    from {{ ref('fct_inventory_movement') }} as movements
    inner join sent
        on
            movements.reference_id = sent.shipment_id
            and movements.location_id = sent.origin
    where movements.movement_type = 'transfer_out'
),

content as (
    select
        carried.shipment_id,
        carried.item_id,
        sum(carried.units)::bigint as units,
        sum(carried.units * items.unit_weight_kg)::decimal(18, 4) as weight_kg
    from (
        select * from received
        union all
        select * from transferred
    ) as carried
    left join {{ ref('dim_item') }} as items on carried.item_id = items.item_id
    where carried.units > 0
    group by carried.shipment_id, carried.item_id
),

totals as (
    select
        shipment_id,
        sum(units)::bigint as units,
        sum(weight_kg)::decimal(18, 4) as weight_kg,
        bool_and(weight_kg > 0) as is_weighed
    from content
    group by shipment_id
),

priced as (
    select
        rated.*,
        coalesce(rated.weight_kg, totals.weight_kg) as charged_weight_kg,
        totals.units as total_units,
        totals.weight_kg as content_weight_kg,
        coalesce(totals.is_weighed, false) as is_weighed,
        coalesce(
            rated.rate_per_unit * totals.units,
            rated.rate_per_kg * coalesce(rated.weight_kg, totals.weight_kg)
        )::decimal(18, 4) as plain_cost
    from rated
    left join totals on rated.shipment_id = totals.shipment_id
),

costed as (
    select
        *,
        case when plain_cost is not null then greatest(plain_cost, minimum_charge) end as base_cost,
        (
            case when plain_cost is not null then greatest(plain_cost, minimum_charge) end * (1 + fuel_surcharge_share)
        )::decimal(18, 4) as total_cost
    from priced
),

shared as (
    select
        costed.*,
        content.item_id,
        content.units,
        content.weight_kg as item_weight_kg,
        sum(case when costed.is_weighed then content.weight_kg else content.units end) over upto
        / sum(case when costed.is_weighed then content.weight_kg else content.units end) over (
            partition by costed.shipment_id
        ) as share_upto
    from costed
    left join content on costed.shipment_id = content.shipment_id
    window upto as (
        partition by costed.shipment_id order by content.item_id rows between unbounded preceding and current row
    )
),

cut as (
    select
        *,
        (total_cost * coalesce(share_upto, 1))::decimal(18, 4) as cost_upto
    from shared
),

final as (
    select
        shipment_id,
        item_id,
        origin,
        destination,
        mode,
        departed_at::date as departed_on,
        units,
        coalesce(item_weight_kg, charged_weight_kg) as weight_kg,
        charged_weight_kg as shipment_weight_kg,
        rate_per_kg,
        rate_per_unit,
        minimum_charge,
        fuel_surcharge_share,
        coalesce(plain_cost < minimum_charge, false) as is_minimum_charge,
        base_cost as shipment_base_cost,
        total_cost as shipment_freight_cost,
        (
            cost_upto - coalesce(lag(cost_upto) over (partition by shipment_id order by item_id), 0)
        )::decimal(18, 4) as freight_cost,
        (
            (cost_upto - coalesce(lag(cost_upto) over (partition by shipment_id order by item_id), 0))::double / units
        )::decimal(18, 6) as freight_cost_per_unit,
        case
            when not has_rate then 'no_rate'
            when total_cost is null then 'no_weight'
            when item_id is null then 'no_content'
        end as gap,
        is_assumed
    from cut
)

select * from final
