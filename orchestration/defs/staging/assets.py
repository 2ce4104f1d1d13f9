"""Codes of all systems are conformed before dbt reads them; only for companies whose company.yaml has `matching`."""

from collections.abc import Iterator

import dagster as dg

from lake.contracts.entities import load_entities
from lake.matching.step import match
from orchestration.house import WRITER_POOL, House, HouseResource, refuse_unfinished_loading, stage
from orchestration.metadata import tables_metadata

_DESCRIPTIONS = {
    "crosswalk": "One row per code of a system and time that it means something else: its conformed id, and why.",
    "unmatched_value": "One row per kind (item, supplier, location) and system: codes, lines and money that are matched to nothing.",
}


def crosswalk_assets(house: House) -> dg.AssetsDefinition:
    """Return the step that matches codes, between raw and the dbt models."""
    entities = load_entities()
    reads = [
        dg.AssetKey(["raw", contract.dataset])
        for contract in house.contracts
        if contract.entity and any(column.identifies for column in entities[contract.entity].columns.values())
    ]
    specs = [
        dg.AssetSpec(
            ["staging", name],
            deps=reads,
            group_name="staging",
            description=text,
            kinds={"splink", "duckdb"},
            owners=["team:data_stewards"],
        )
        for name, text in _DESCRIPTIONS.items()
    ]

    @dg.multi_asset(name="match", specs=specs, pool=WRITER_POOL)
    def match_codes(
        context: dg.AssetExecutionContext, house: HouseResource
    ) -> Iterator[dg.MaterializeResult]:
        opened = house.open()
        with stage(context, opened, "matching") as record:
            refuse_unfinished_loading(opened)
            report = match(opened.company, opened.contracts, run_id=context.run.run_id)
            record.counts |= {"codes_linked": sum(report.linked.values()), "codes_queued": report.queued}
        keys = {".".join(spec.key.path): spec.key for spec in specs}
        for name, metadata in tables_metadata(opened.lake, keys).items():
            yield dg.MaterializeResult(keys[name], metadata=metadata | {"unchanged": report.is_standing})

    return match_codes
