"""One step lands and loads every dataset of the company: few, large steps, because each costs seconds to start."""

from collections.abc import Collection, Iterator

import dagster as dg
from pydantic import Field

from lake.contracts.model import Contract
from lake.errors import InputError
from lake.ingest import IngestReport, ingest
from lake.period import Period
from orchestration import telling
from orchestration.house import WRITER_POOL, House, HouseResource, stage
from orchestration.metadata import column_schema, delivered_metadata, loaded_metadata

CHECK = "every_delivered_file_loads"


def raw_assets(house: House) -> dg.AssetsDefinition:
    """Return the asset of landing and raw tables, one of each per contract."""
    specs = [spec for contract in house.contracts for spec in dataset_specs(contract)]
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
        can_subset=True,
        pool=WRITER_POOL,
        op_tags={"stage": "raw"},
    )
    def ingest_all(
        context: dg.AssetExecutionContext, config: IngestConfig, house: HouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Land what has arrived and load it to its contracts."""
        opened = house.open()
        chosen = {key.path[-1] for key in context.selected_asset_keys}
        datasets = None if len(chosen) == len(opened.contracts) else sorted(chosen)
        period = Period.parse(config.since, config.until)
        with (
            stage(context, opened, "raw") as record,
            telling.told(context, opened, "ingest", telling.ingest_jobs(chosen)) as state,
        ):
            report = ingest(
                opened.company, opened.contracts, run_id=context.run.run_id, datasets=datasets, period=period
            )
            telling.ingested(state, opened, report)
            record.counts |= report.totals
            if not report.is_clean:
                record.message = "; ".join(report.problems)
                record.counts["exit_code"] = InputError.exit_code
        for contract in opened.contracts:
            if contract.dataset in chosen:
                yield from _results(report, contract, context.selected_asset_keys)

    return ingest_all


class IngestConfig(dg.Config):  # type: ignore[misc]
    """What a launch may say: a range of days, to bring in only what is of it (a backfill)."""

    since: str | None = Field(None, description="First day of a range to fetch or load again, YYYY-MM-DD.")
    until: str | None = Field(None, description="Last day of it.")


_CHECK_DESCRIPTION = (
    "A file that is refused whole adds no rows; staging and onward wait until it is corrected or taken away."
)


def dataset_specs(contract: Contract) -> list[dg.AssetSpec]:
    """Return the assets that a contract makes: its originals, and its raw table."""
    owner = f"team:{contract.owner.lower().replace(' ', '_')}"
    landed = dg.AssetSpec(
        ["landing", contract.dataset],
        group_name="landing",
        description=f"Originals as delivered: {contract.location.path or contract.source}",
        kinds={contract.source.kind if contract.source else contract.location.format},
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


def _results(
    report: IngestReport, contract: Contract, selected: Collection[dg.AssetKey]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    dataset = contract.dataset
    files = [file for file in report.files if file.dataset == dataset]
    problems = [str(error) for error in report.errors if dataset in str(error)]
    problems += [file.reason or "" for file in files if file.status == "refused"]
    if dg.AssetKey(["landing", dataset]) in selected:
        yield dg.MaterializeResult(["landing", dataset], metadata=delivered_metadata(files))
    if dg.AssetKey(["raw", dataset]) not in selected:
        return
    yield dg.MaterializeResult(["raw", dataset], metadata=loaded_metadata(report, dataset))
    yield dg.AssetCheckResult(
        asset_key=["raw", dataset],
        check_name=CHECK,
        passed=not problems,
        description="; ".join(problems) or "Every file loaded.",
        metadata={"problems": len(problems)},
    )
