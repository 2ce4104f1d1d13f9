"""What a build of dbt did, node by node: read from what dbt writes, and from what stood before it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.dbt_build import STANDS
from lake.errors import GateFailed, StocklakeError
from lake.standing import Standing


@dataclass(frozen=True)
class NodeRun:
    """One model or test as dbt ran it; `schema` is its folder (staging, core, marts)."""

    unique_id: str
    name: str
    schema: str
    kind: str
    """model, test or unit_test."""
    status: str
    """success, pass, warn, error, fail, skipped."""
    seconds: float
    message: str
    failing_rows: int
    is_standing: bool = False
    """True: nothing that it reads has changed since the last good build, whose result this is; it was not run again."""


@dataclass(frozen=True)
class BuildReport:
    """What one `dbt build` did."""

    nodes: tuple[NodeRun, ...]
    elapsed_s: float
    is_standing: bool = False
    """True: nothing had changed, so nothing was built; the nodes are those of the build that stands."""

    @property
    def models(self) -> tuple[NodeRun, ...]:
        """The models, in the order they ran."""
        return tuple(node for node in self.nodes if node.kind == "model")

    @property
    def built(self) -> tuple[NodeRun, ...]:
        """The models that ran: all but those that stand."""
        return () if self.is_standing else tuple(model for model in self.models if not model.is_standing)

    @property
    def tests(self) -> tuple[NodeRun, ...]:
        """Data tests and unit tests."""
        return tuple(node for node in self.nodes if node.kind != "model")

    @property
    def warnings(self) -> tuple[NodeRun, ...]:
        """Tests of severity warn that found rows."""
        return tuple(node for node in self.nodes if node.status == "warn")

    @property
    def seconds_per_model(self) -> dict[str, float]:
        """Wall seconds of each model, slowest first."""
        return {m.name: m.seconds for m in sorted(self.models, key=lambda model: -model.seconds)}


def read_report(results: Path, manifest: Path) -> BuildReport:
    """Return what dbt wrote of its newest run."""
    run = json.loads(results.read_text(encoding="utf-8"))
    contents = json.loads(manifest.read_text(encoding="utf-8"))
    nodes = contents["nodes"] | contents["unit_tests"]
    return BuildReport(
        nodes=tuple(_node_run(result, nodes[result["unique_id"]]) for result in run["results"]),
        elapsed_s=float(run["elapsed_time"]),
    )


def _node_run(result: dict[str, Any], node: dict[str, Any]) -> NodeRun:
    return NodeRun(
        unique_id=result["unique_id"],
        name=node["name"],
        schema=node["fqn"][1],
        kind=node["resource_type"],
        status=result["status"],
        seconds=float(result["execution_time"]),
        message=_said(node, result),
        failing_rows=int(result.get("failures") or 0),
        is_standing=result["adapter_response"].get("_message") == STANDS,
    )


def _said(node: dict[str, Any], result: dict[str, Any]) -> str:
    """Return dbt's message; of a rule that rows of a table broke, which one and where, in a sentence."""
    rule, rows = node.get("test_metadata"), int(result.get("failures") or 0)
    if rule is None or result["status"] != "fail":
        return result.get("message") or ""
    table, given = (node.get("attached_node") or node["name"]).split(".")[-1], rule["kwargs"]
    column = given.get("column_name") or "row"
    match rule["name"]:
        case "relationships":
            other = re.sub(r"^ref\(['\"](\w+)['\"]\)$", r"\1", given["to"])
            return (
                f"the {column} of {rows:,} rows of {table} is not in {other}.{given['field']}: load what is missing there, or "
                "correct it at its source"
            )
        case "one_row_per":
            key = ", ".join(given["columns"])
            return f"{rows:,} rows of {table} are not the only one of their {key}, or lack what every row has to have"
        case "accepted_values":
            return f"{rows:,} values of {table}.{column} are none of {', '.join(map(str, given['values']))}"
    return f"{rows:,} rows of {table} fail {rule['name']}"


def standing_nodes(standing: Standing) -> tuple[NodeRun, ...]:
    """Return the nodes of the last good build that are not even asked."""
    return tuple(
        NodeRun(**node["result"] | {"is_standing": True})
        for one, node in standing.nodes.items()
        if one not in standing.fallen
    )


def raise_on_failures(report: BuildReport) -> None:
    """Raise `StocklakeError` naming every node that failed, `GateFailed` where only tests of the data did."""
    failed = [node for node in report.nodes if node.status in {"error", "fail", "runtime error"}]
    if failed:
        named = "; ".join(f"{node.kind} {node.name}: {' '.join(node.message.split())}" for node in failed)
        skipped = sum(node.status == "skipped" for node in report.nodes)
        only_data = all(node.kind == "test" for node in failed)
        raise (GateFailed if only_data else StocklakeError)(
            f"{len(failed)} dbt nodes failed and {skipped} were skipped behind them: {named}"
        )
