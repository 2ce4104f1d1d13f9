{{ config(materialized='slices', slice=['item_id', 'location_id', 'day']) }}
{%- set plan = build_plan() %}
{%- set weight %}
select count(*) filter (where not is_estimate) > {{ var('most_work_of_a_part', 0.5) }} * (select count(*) from {{ this }})
from affected
{%- endset %}
{%- set affected = slices_to_build(plan, changed_days(plan), weight) %}
with

demand as (
    select * from {{ ref('fct_demand') }}
),

span as (
    select * from {{ ref('business_span') }}
),

series as (
    select * from {{ ref('int_active_series') }}
),

{{ some_days(plan) if affected else all_days() }},

described as (
    select
        gathered.*,
        inventory.on_hand_units,
        inventory.known_at as inventory_known_at,
        coalesce(promotions.discount_share, 0)::double as discount_share,
        promotions.day is not null as is_promoted,
        promotions.known_at as promotion_known_at,
        coalesce(stockouts.unconstrained_demand_units, gathered.demand_units)::double as unconstrained_demand_units,
        coalesce(stockouts.method, 'observed') as demand_method
    from gathered
    left join {{ ref('fct_inventory') }} as inventory
        on
            gathered.item_id = inventory.item_id
            and gathered.location_id = inventory.location_id
            and gathered.day = inventory.snapshot_date
    left join {{ ref('int_series_promotion_day') }} as promotions
        on
            gathered.item_id = promotions.item_id
            and gathered.location_id = promotions.location_id
            and gathered.day = promotions.day
    left join {{ ref('stockout_day') }} as stockouts
        on
            gathered.item_id = stockouts.item_id
            and gathered.location_id = stockouts.location_id
            and gathered.day = stockouts.day
),

final as (
    select
        item_id,
        location_id,
        day,
        day + interval 1 day as as_of_ts,
        greatest(
            day + interval 1 day,
            demand_known_at,
            inventory_known_at,
            promotion_known_at,
            case when local_price_in_force is not null then local_price_known_at else general_price_known_at end
        ) as known_at,
        demand_units,
        on_hand_units,
        on_hand_units <= 0 as is_stockout,
        coalesce(local_price_in_force, general_price_in_force, last_realised_price)::decimal(18, 4) as unit_price,
        discount_share,
        is_promoted,
        unconstrained_demand_units,
        demand_method
    from described
)

select * from final
{{ restated_days(plan) }}
