"""What there is to decide: every item at every purchasing location, with its stock and its service target.

Belongs here: joining what is known before any option to buy is looked at. Not here: levels and quantities.
"""

import polars as pl

from lake.company import Replenishment
from lake.errors import InputError
from models.replenishment.demand import purchasing_location
from models.replenishment.inputs import refuse


def listing(
    forecast: pl.DataFrame,
    locations: pl.DataFrame,
    position: pl.DataFrame,
    items: pl.DataFrame | None,
    planner_settings: pl.DataFrame | None,
    settings: Replenishment,
) -> pl.DataFrame:
    """Return one row per item x purchasing location that has a forecast or a stock record, with its stock, its service
    level (the planner's for the item, else the category's, else the default) and `demand_row`, its row in DemandAhead.
    """
    key = ["item_id", "location_id"]
    bought_at = (
        forecast.select(key).unique().join(purchasing_location(locations), on="location_id", how="left")
    )
    forecast_keys = bought_at.select(
        "item_id", pl.coalesce("purchasing_location_id", "location_id").alias("location_id")
    )
    stock = position.select(
        *key,
        pl.col("on_hand_units").cast(pl.Int64),
        (pl.col("on_order_units").cast(pl.Int64) + pl.col("in_transit_units").cast(pl.Int64)).alias(
            "on_order_units"
        ),
        (pl.col("is_assumed") if "is_assumed" in position.columns else pl.lit(False)).alias("is_assumed"),
    )
    found = (
        pl.concat([forecast_keys, position.select(key)])
        .unique()
        .sort(key)
        .with_row_index("demand_row")
        .join(stock, on=key, how="left")
        .join(_item_facts(items), on="item_id", how="left")
        .join(_service_levels(planner_settings), on="item_id", how="left")
    )
    by_category = settings.cycle_service_level.by_category
    of_category = (
        pl.col("category").replace_strict(by_category, default=None, return_dtype=pl.Float64)
        if by_category
        else pl.lit(None, dtype=pl.Float64)
    )
    return found.with_columns(
        pl.coalesce("planner_level", of_category, pl.lit(settings.cycle_service_level.default)).alias(
            "cycle_service_level"
        ),
        pl.col("is_discontinued").fill_null(False),
        pl.col("is_assumed").fill_null(False),
        pl.lit(settings.review_period_days).alias("review_period_days"),
    )


def _item_facts(items: pl.DataFrame | None) -> pl.DataFrame:
    facts = {"category": pl.String, "is_discontinued": pl.Boolean}
    if items is None:
        return pl.DataFrame(schema={"item_id": pl.String, **facts})
    known = [
        pl.col(name).cast(kind) if name in items.columns else pl.lit(None, kind).alias(name)
        for name, kind in facts.items()
    ]
    return items.select("item_id", *known).unique("item_id", keep="first", maintain_order=True)


def _service_levels(planner_settings: pl.DataFrame | None) -> pl.DataFrame:
    """item_id, planner_level: what planners set per item, between 0.5 and 1."""
    if planner_settings is None or not planner_settings.height:
        return pl.DataFrame(schema={"item_id": pl.String, "planner_level": pl.Float64})
    levels = planner_settings.select(
        "item_id", pl.col("cycle_service_level").cast(pl.Float64).alias("planner_level")
    ).drop_nulls()
    bad = levels.filter(~pl.col("planner_level").is_between(0.5, 1, closed="none"))
    if bad.height:
        raise InputError(
            f"planner_setting: item_id {bad['item_id'][0]} has a cycle_service_level of {bad['planner_level'][0]}: "
            "it has to lie between 0.5 and 1 (0.95 is 95 %), correct it in the planners' workbook."
        )
    refuse(levels, "planner_setting", ("item_id",))
    if levels["item_id"].is_duplicated().any():
        twice = levels.filter(pl.col("item_id").is_duplicated())["item_id"][0]
        raise InputError(
            f"planner_setting: item_id {twice} stands more than once; keep one row in the workbook."
        )
    return levels
