"""The dbt models as assets, built in one step: their groups are the dbt folders staging, core and marts."""

import json
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from lake import transform
from lake.catalogue.lineage import column_lineage
from lake.dbt_report import NodeRun
from lake.releases import newest_gate_failed
from orchestration import telling
from orchestration.house import (
    WRITER_POOL,
    House,
    HouseResource,
    refuse_unfinished_loading,
    stage,
)
from orchestration.metadata import lineage_metadata, tables_metadata


class _Translator(DagsterDbtTranslator):
    """Asset keys are folder and name (core/dim_item), the group is the folder."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            if dbt_resource_props["source_name"] == "matching":
                return dg.AssetKey(["staging", dbt_resource_props["name"]])
            return dg.AssetKey(["raw", dbt_resource_props["name"]])
        return dg.AssetKey([dbt_resource_props["fqn"][1], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["fqn"][1])


def dbt_models(house: House) -> dg.AssetsDefinition:
    """Return the asset of every model, with dbt's data tests as its checks; the manifest must have been parsed."""
    manifest = json.loads(
        transform.prepare(house.company, house.contracts).manifest.read_text(encoding="utf-8")
    )
    owners = _owners(manifest)
    specs = [
        spec.replace_attributes(
            owners=[owners.get(spec.key, "team:data_engineering")], kinds={"dbt", "duckdb"}
        )
        for spec in build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=_Translator())
    ]
    tests = _data_tests(manifest)

    @dg.multi_asset(
        name="dbt_build",
        specs=specs,
        check_specs=list(tests.values()),
        pool=WRITER_POOL,
    )
    def build(
        context: dg.AssetExecutionContext, house: HouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        opened = house.open()
        with telling.told(context, opened, "dbt", telling.model_jobs, telling.build_failed) as state:
            with stage(context, opened, "transform") as record:
                refuse_unfinished_loading(opened)
                report = transform.build_if_changed(
                    opened.company, opened.contracts, anew=newest_gate_failed(opened.lake)
                )
                record.counts |= {"models_built": len(report.built), "model_tests": len(report.tests)}
            # What was not built again comes from where it came before: told once, Dagster's home stays small.
            manifest = transform.built_manifest(opened.company, opened.contracts) if report.built else None
            lineage = column_lineage(manifest, opened.company.dbt / "lineage.json") if manifest else {}
            telling.built(state, opened, manifest, lineage)
        keys = {".".join(spec.key.path): spec.key for spec in _upstream_first(specs)}
        built = {f"{model.schema}.{model.name}" for model in report.built}
        for name, metadata in tables_metadata(opened.lake, keys).items():
            more = lineage_metadata(lineage.get(name, {})) | {"unchanged": name not in built}
            yield dg.MaterializeResult(keys[name], metadata=metadata | more)
        outcomes = {node.unique_id: node for node in report.tests}
        for unique_id, spec in tests.items():
            yield _check_result(spec, outcomes[unique_id])

    return build


def _owners(manifest: Mapping[str, Any]) -> dict[dg.AssetKey, str]:
    """Return who answers for each model that has a dbt group."""
    teams = {group["name"]: group["owner"]["name"] for group in manifest["groups"].values()}
    return {
        _Translator().get_asset_key(node): f"team:{teams[node['group']].replace(' ', '_')}"
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node.get("group")
    }


def _upstream_first(specs: list[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """Return specs in the order in which Dagster wants their results."""
    by_key = {spec.key: spec for spec in specs}
    sorter = TopologicalSorter({spec.key: [dep.asset_key for dep in spec.deps] for spec in specs})
    return [by_key[key] for key in sorter.static_order() if key in by_key]


def _data_tests(manifest: dict[str, Any]) -> dict[str, dg.AssetCheckSpec]:
    """Return dbt's data tests by unique id, each as a check of the model that it is attached to."""
    specs = {}
    for unique_id, node in manifest["nodes"].items():
        attached = manifest["nodes"].get(node.get("attached_node") or "")
        if node["resource_type"] != "test" or attached is None:
            continue
        key = _Translator().get_asset_key(attached)
        specs[unique_id] = dg.AssetCheckSpec(
            node["name"], asset=key, description=node.get("description") or None
        )
    return specs


def _check_result(spec: dg.AssetCheckSpec, node: NodeRun) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=node.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
        description=node.message or None,
        metadata={"failing_rows": node.failing_rows},
    )
