"""What to order, when, and why: one row per item and purchasing location.

The planner is imported when it works: SciPy costs 2 s, which loading definitions must not.
"""

from functools import partial

import dagster as dg
import polars as pl

from lake.releases import Release
from orchestration import frames, telling
from orchestration.house import WRITER_POOL, House, HouseResource, stage
from orchestration.metadata import picture, table_metadata


@dg.asset(
    name="replenishment",
    key_prefix="plan",
    group_name="plan",
    deps=[["forecasts", "demand_forecast"], ["forecasts", "calibration"], ["forecasts", "series_segment"]],
    kinds={"python"},
    owners=["team:supply_planning"],
    pool=WRITER_POOL,
    description="One row per item x purchasing location: safety stock, reorder point, order quantity, cover and cost.",
)
def replenishment(context: dg.AssetExecutionContext, house: HouseResource) -> dg.MaterializeResult:
    """Plan the release: from forecast, stock and supplier terms to order quantities."""
    opened = house.open()
    with (
        stage(context, opened, "plan") as record,
        telling.told(context, opened, "plan", telling.plan_jobs) as state,
    ):
        release = house.release(context.run.run_id)
        rows = plan_release(opened, release)
        telling.planned(state, rows.schema, rows.height)
        record.counts |= {
            "items_planned": rows.height,
            "items_to_order": rows.filter(pl.col("order_quantity_units") > 0).height,
        }
    metadata = table_metadata(opened.lake, "plan.replenishment") | {"release": release.release_id}
    drawing = stock_picture(opened, release, rows)
    if drawing:
        metadata["projected stock"] = picture(drawing)
    return dg.MaterializeResult(metadata=metadata)


def plan_release(house: House, release: Release) -> pl.DataFrame:
    """Plan from the release and its forecast, write the plan under its id, and return it."""
    from models.replenishment.plan import plan

    read = partial(frames.read, house.lake, release)
    result = partial(frames.read_result, house.lake, release)
    rows = plan(
        demand_forecast=result("forecasts.demand_forecast"),
        calibration=result("forecasts.calibration"),
        locations=read("core.dim_location"),
        inventory_position=read("marts.inventory_position"),
        supply_option=read("marts.supply_option"),
        items=read("core.dim_item"),
        planner_settings=read("core.dim_planner_setting"),
        series_segment=result("forecasts.series_segment"),
        settings=house.company.settings.replenishment,
        as_of=release.as_of,
    )
    frames.write_results(house.lake, release, {"plan.replenishment": rows})
    return rows


def stock_picture(house: House, release: Release, rows: pl.DataFrame) -> bytes | None:
    """Draw the projected stock of the dearest order line; None when nothing is to be ordered."""
    from models.replenishment.plots import projected_stock_plot

    orders = rows.filter(pl.col("order_quantity_units") > 0).sort("total_cost", "item_id", "location_id")
    if orders.is_empty():
        return None
    demand = frames.read_result(house.lake, release, "forecasts.demand_forecast")
    return projected_stock_plot(
        orders.row(-1, named=True), demand, frames.read(house.lake, release, "core.dim_location")
    )
