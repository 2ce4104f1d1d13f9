"""The release's newest feature values in the online store."""

from typing import TYPE_CHECKING

import dagster as dg

from orchestration.house import WRITER_POOL, HouseResource, stage

if TYPE_CHECKING:
    from features.monitoring import FeatureCheck

ASSET = ["features", "online_store"]
CHECKS = {
    "skew": "Online values equal the historical values of the same moment, for sampled entities of every view.",
    "drift": "No feature's distribution has shifted from that of its service's newest training set (stability index below 0.25).",
    "freshness": "No more than 5 % of the entities of a view are older than its ttl or missing.",
}
NOTHING = "There is nothing to compare with yet."
"""Before the first training set, or where no view has an entity."""


@dg.asset(
    name="online_store",
    key_prefix="features",
    group_name="features",
    deps=[["gate", "release"]],
    kinds={"feast"},
    pool=WRITER_POOL,
    check_specs=[dg.AssetCheckSpec(name, asset=ASSET, description=said) for name, said in CHECKS.items()],
    owners=["team:data_science"],
    description="The newest value of every feature for every item, location and supplier, as live decisions read it.",
)
def online_store(context: dg.AssetExecutionContext, house: HouseResource) -> dg.MaterializeResult:
    """Write the newest features of the release to the online store, and see that what is served can be trusted."""
    from features.monitoring import check_features
    from features.repository import materialize

    opened = house.open()
    with stage(context, opened, "features") as record:
        release = house.release(context.run.run_id)
        written = materialize(opened.company, release)
        record.counts |= {"features_written": sum(written["entities"].values())}
        checked = [] if written["status"] == "older" else check_features(opened.company, release)
    return dg.MaterializeResult(
        metadata={"release": release.release_id, "status": written["status"], **written["entities"]},
        check_results=_results(checked),
    )


def _results(checked: list["FeatureCheck"]) -> list[dg.AssetCheckResult]:
    """Return the findings as checks: skew is an error, what drifted or grew old a warning; none blocks."""
    from features.monitoring import summary

    return [
        dg.AssetCheckResult(
            check_name=kind,
            passed=not bad,
            severity=dg.AssetCheckSeverity.ERROR if kind == "skew" else dg.AssetCheckSeverity.WARN,
            description=f"{bad} of {looked_at}: {words}"
            if bad
            else f"{looked_at} looked at"
            if looked_at
            else NOTHING,
            metadata={"looked_at": looked_at, "not_passed": bad},
        )
        for kind, (looked_at, bad, words) in summary(checked).items()
    ]
