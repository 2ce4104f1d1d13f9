"""Proposed purchase orders, and the files that people take away."""

import dagster as dg

from orchestration import frames
from orchestration.house import WRITER_POOL, HouseResource, stage
from orchestration.metadata import table_metadata


@dg.asset(
    name="proposal",
    key_prefix="orders",
    group_name="orders",
    deps=[["plan", "replenishment"]],
    kinds={"python", "excel"},
    owners=["team:supply_planning"],
    pool=WRITER_POOL,
    description="Proposed purchase orders by supplier and location. The same need is proposed once; a new plan supersedes.",
)
def proposal(context: dg.AssetExecutionContext, house: HouseResource) -> dg.MaterializeResult:
    """Turn the plan into proposals, and write the open ones as JSON and xlsx."""
    from planning.export import export
    from planning.proposals import propose

    opened = house.open()
    with stage(context, opened, "orders") as record:
        release = house.release(context.run.run_id)
        plan = frames.read_result(opened.lake, release, "plan.replenishment")
        report = propose(
            opened.lake,
            release,
            plan,
            opened.company.settings.currency,
            maximum_order_value=opened.company.settings.replenishment.maximum_order_value,
        )
        files = export(opened.lake, opened.company)
        record.counts |= {"orders_proposed": report.proposed, "order_value": report.proposed_value}
    metadata = table_metadata(opened.lake, "orders.proposal") | {"release": release.release_id}
    return dg.MaterializeResult(
        metadata=metadata | {path.suffix[1:]: dg.MetadataValue.path(str(path)) for path in files}
    )
