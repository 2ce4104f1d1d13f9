with

final as (
    select as_of
    from {{ ref('business_span') }}
)

select * from final
