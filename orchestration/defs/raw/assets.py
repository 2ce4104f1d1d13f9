"""One step lands and loads every dataset of the company: few, large steps, because each costs seconds to start."""

from collections.abc import Iterator

import dagster as dg
from lake.ingest import IngestReport, ingest

from orchestration.house import NO_BAD_DATA_RETRY, WRITER_POOL, House, HouseResource, stage
from orchestration.metadata import column_schema

CHECK = "every delivered file loads"


def raw_assets(house: House) -> dg.AssetsDefinition:
    """Return the asset of landing and raw tables, one of each per contract."""
    specs = [spec for contract in house.contracts for spec in _specs(contract)]
    checks = [
        dg.AssetCheckSpec(
            CHECK, asset=["raw", contract.dataset], blocking=True, description=_CHECK_DESCRIPTION
        )
        for contract in house.contracts
    ]

    @dg.multi_asset(
        name="ingest",
        specs=specs,
        check_specs=checks,
        pool=WRITER_POOL,
        retry_policy=NO_BAD_DATA_RETRY,
        op_tags={"stage": "raw"},
    )
    def ingest_all(
        context: dg.AssetExecutionContext, house: HouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Land what has arrived and load it to its contracts."""
        opened = house.open()
        with stage(context, opened, "raw") as record:
            report = ingest(opened.company, opened.contracts, run_id=context.run_id)
            record.counts |= report.totals()
        for contract in opened.contracts:
            yield from _results(report, contract.dataset)

    return ingest_all


_CHECK_DESCRIPTION = (
    "A file that is refused whole adds no rows; staging and onward wait until it is corrected or taken away."
)


def _specs(contract: object) -> list[dg.AssetSpec]:
    from lake.contracts.model import Contract

    assert isinstance(contract, Contract)
    owner = f"team:{contract.owner.lower().replace(' ', '_')}"
    landed = dg.AssetSpec(
        ["landing", contract.dataset],
        group_name="landing",
        description=f"Originals as delivered: {contract.location.path}",
        kinds={contract.location.format if contract.location.format == "csv" else "excel"},
        owners=[owner],
        metadata={"contract": str(contract.path.name), "version": contract.version},
    )
    raw = dg.AssetSpec(
        ["raw", contract.dataset],
        deps=[landed.key],
        group_name="raw",
        description=contract.description,
        kinds={"duckdb"},
        owners=[owner],
        metadata={"dagster/column_schema": column_schema(contract), "entity": contract.entity or "none"},
        tags={"domain": contract.domain},
    )
    return [landed, raw]


def _results(report: IngestReport, dataset: str) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    files = [file for file in report.files if file.dataset == dataset]
    counts = report.totals(dataset)
    yield dg.MaterializeResult(["landing", dataset], metadata={"files": len(files)})
    yield dg.MaterializeResult(["raw", dataset], metadata={**counts, "dagster/row_count": counts["loaded"]})
    refused = [problem for problem in report.refused if problem.dataset == dataset]
    yield dg.AssetCheckResult(
        asset_key=["raw", dataset],
        check_name=CHECK,
        passed=not refused,
        description="; ".join(problem.reason for problem in refused) or "Every file loaded.",
        metadata={"files_refused": len(refused)},
    )
