{#
    Rows of one key become known in the order of their days: each a fixed time after its day ended, never before. With the
    grain (one_row_per) that is what LakeSource(known_in_order=True) promises to the point-in-time join.
#}
{% test known_in_order(model) %}
select
    min(known_at - as_of_ts) as shortest,
    max(known_at - as_of_ts) as longest
from {{ model }}
having shortest <> longest or shortest < interval 0 hour
{% endtest %}
