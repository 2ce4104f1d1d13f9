"""One step lands and loads every dataset of the company: few, large steps, because each costs seconds to start."""

from collections.abc import Iterator

import dagster as dg

from lake.contracts.model import Contract
from lake.errors import InputError
from lake.ingest import IngestReport, ingest
from lake.ledger import COUNTS
from orchestration.house import WRITER_POOL, House, HouseResource, stage
from orchestration.metadata import column_schema

CHECK = "every_delivered_file_loads"


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
        op_tags={"stage": "raw"},
    )
    def ingest_all(
        context: dg.AssetExecutionContext, house: HouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Land what has arrived and load it to its contracts."""
        opened = house.open()
        with stage(context, opened, "raw") as record:
            report = ingest(opened.company, opened.contracts, run_id=context.run.run_id)
            record.counts |= report.totals
            if not report.is_clean:
                record.message = "; ".join(report.problems)
                record.counts["exit_code"] = InputError.exit_code
        for contract in opened.contracts:
            yield from _results(report, contract.dataset)

    return ingest_all


_CHECK_DESCRIPTION = (
    "A file that is refused whole adds no rows; staging and onward wait until it is corrected or taken away."
)


def _specs(contract: Contract) -> list[dg.AssetSpec]:
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
    counts = {name: sum(getattr(file, name) for file in files) for name in COUNTS}
    yield dg.MaterializeResult(["landing", dataset], metadata={"files": len(files)})
    yield dg.MaterializeResult(["raw", dataset], metadata={**counts, "dagster/row_count": counts["loaded"]})
    problems = [str(error) for error in report.errors if dataset in str(error)]
    problems += [file.reason or "" for file in files if file.status == "refused"]
    yield dg.AssetCheckResult(
        asset_key=["raw", dataset],
        check_name=CHECK,
        passed=not problems,
        description="; ".join(problems) or "Every file loaded.",
        metadata={"problems": len(problems)},
    )
