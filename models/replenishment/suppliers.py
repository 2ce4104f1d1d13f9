"""Which of the ways to buy an item takes the order.

The rule, in full: the preferred supplier takes it, unless
1. limits keep it from taking any of a due order (say, its minimum is beyond the cover limit): then the cheapest that can;
2. another is at least 5 % cheaper, and takes at most one review period longer to deliver.
Cheaper compares the landed cost of a unit (price + freight at the current rate) plus what holding it costs while the
order sells: a big minimum order does not win by its price alone. Where none is preferred, the cheapest is.
"""

import polars as pl

SWITCH_SAVING_SHARE = 0.05
"""A change of supplier has costs that no column shows; below this saving it is not worth them."""


def choose(options: pl.DataFrame) -> pl.DataFrame:
    """Return one row of `options` per item and location: the one that takes the order.

    Reads item_id, location_id, supplier_id, is_preferred, comparable_cost (per unit), order_quantity_units,
    is_due, lead_days, review_period_days. Adds `instead_of` (the preferred supplier that was passed over, or null)
    and `saving_share` against it.
    """
    key = ["item_id", "location_id"]
    ranked = options.sort(
        *key,
        pl.col("is_preferred").fill_null(False).not_(),
        "comparable_cost",
        "lead_days",
        "supplier_id",
        nulls_last=True,
    )
    first = ranked.group_by(key, maintain_order=True).first()
    usual = first.select(
        *key,
        pl.col("supplier_id").alias("usual_supplier"),
        pl.col("comparable_cost").alias("usual_cost"),
        pl.col("lead_days").alias("usual_lead_days"),
        (pl.col("is_due") & (pl.col("order_quantity_units") == 0)).alias("usual_is_blocked"),
    )
    is_usual = pl.col("supplier_id").eq_missing(pl.col("usual_supplier"))
    can_order = pl.col("order_quantity_units") > 0
    is_cheaper = (pl.col("comparable_cost") <= pl.col("usual_cost") * (1 - SWITCH_SAVING_SHARE)) & (
        pl.col("lead_days") <= pl.col("usual_lead_days") + pl.col("review_period_days")
    )
    candidates = ranked.join(usual, on=key, how="left").filter(
        is_usual | (can_order & (pl.col("usual_is_blocked") | is_cheaper))
    )
    chosen = candidates.sort(
        *key,
        is_usual & pl.col("usual_is_blocked"),
        "comparable_cost",
        "lead_days",
        "supplier_id",
        nulls_last=True,
    ).group_by(key, maintain_order=True)
    return chosen.first().with_columns(
        pl.when(is_usual).then(None).otherwise(pl.col("usual_supplier")).alias("instead_of"),
        pl.when(is_usual)
        .then(None)
        .otherwise(1 - pl.col("comparable_cost") / pl.col("usual_cost"))
        .alias("saving_share"),
    )
