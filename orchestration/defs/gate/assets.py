"""The gate decides whether the lake as it stands becomes a release."""

from pathlib import Path

import dagster as dg

from lake.quality.gate import run_gate
from lake.releases import GateRun
from orchestration import telling
from orchestration.house import WRITER_POOL, HouseResource, stage

CHECK = "every_stop_check_passes"
_SPEC = dg.AssetCheckSpec(
    CHECK,
    asset=["gate", "release"],
    blocking=True,
    description="Great Expectations on raw, core and marts, from the contracts and for the marts. If one check that"
    " stops fails, nothing downstream runs, also when launched alone, until the data is corrected.",
)
_LINES_SHOWN = 12


def gate_asset(upstream: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the gate over everything upstream of it."""

    @dg.asset(
        name="release",
        key_prefix="gate",
        group_name="gate",
        deps=upstream,
        kinds={"greatexpectations"},
        owners=["team:data_quality"],
        check_specs=[_SPEC],
        pool=WRITER_POOL,
        description="One snapshot of raw, core and marts at which every stop check has passed. All downstream reads it.",
    )
    def release(context: dg.AssetExecutionContext, house: HouseResource) -> dg.MaterializeResult:
        opened = house.open()
        with (
            stage(context, opened, "gate") as record,
            telling.told(context, opened, "gate", telling.gate_jobs) as state,
        ):
            run = run_gate(opened.company, opened.contracts)
            telling.gated(state, run)
            record.counts |= counts(run)
            if not run.passed and not house.last_good:
                record.message = "; ".join(run.summary()[:3])
                record.counts["exit_code"] = run.exit_code
        return dg.MaterializeResult(
            metadata=counts(run),
            check_results=[_check(run, opened.company.data_docs / "index.html", accepted=house.last_good)],
        )

    return release


def counts(run: GateRun) -> dict[str, int | str]:
    """Return what the journal keeps of a gate run."""
    return {
        "gates_passed": run.count("passed"),
        "gates_failed": run.count("failed") + run.count("error"),
        "gates_warned": run.count("warned") + run.count("waived"),
        "release": run.release.release_id if run.release else "",
    }


def _check(run: GateRun, page: Path, *, accepted: bool) -> dg.AssetCheckResult:
    """Return the outcome as a check; one that a person accepts with --last-good warns and lets pass."""
    lines = run.summary()
    more = len(lines) - _LINES_SHOWN
    shown = lines[:_LINES_SHOWN] + ([f"and {more} more: see findings"] if more > 0 else [])
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=run.passed,
        severity=dg.AssetCheckSeverity.WARN if accepted else dg.AssetCheckSeverity.ERROR,
        description="; ".join(shown),
        metadata={
            "snapshot": str(run.snapshot_id),  # an id: as a number it would be plotted
            "status": run.status,  # "could not run" says nothing about the data
            "data_docs": dg.MetadataValue.url(page.as_uri()),
            "waivers": ", ".join(run.release.waivers) if run.release else "",
            "findings": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines)),
        },
    )
