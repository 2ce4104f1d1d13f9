"""The release's newest feature values in the online store."""

import dagster as dg

from orchestration.house import HouseResource, stage


@dg.asset(
    name="online_store",
    key_prefix="features",
    group_name="features",
    deps=[["gate", "release"]],
    kinds={"feast"},
    owners=["team:data_science"],
    description="The newest value of every feature for every item, location and supplier, as live decisions read it.",
)
def online_store(context: dg.AssetExecutionContext, house: HouseResource) -> dg.MaterializeResult:
    """Write the newest features of the release to the online store."""
    from features.repository import materialize

    opened = house.open()
    with stage(context, opened, "features") as record:
        release = house.release(context.run.run_id)
        written = materialize(opened.company, release)
        record.counts |= {"features_written": sum(written["entities"].values())}
    return dg.MaterializeResult(
        metadata={"release": release.release_id, "status": written["status"], **written["entities"]}
    )
