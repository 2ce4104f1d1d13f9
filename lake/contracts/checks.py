"""The checks of a contract: ODCS `quality` -> `Check`, for the gate, with every rule about them.

Not here: running them (`lake/quality`), rules on single fields (`columns.py`).
"""

from collections.abc import Mapping
from typing import Any, get_args

from lake.contracts import values
from lake.contracts.document import Node
from lake.contracts.loading_options import read_figure
from lake.contracts.model import Check, Column, Figure
from lake.contracts.standard import suggest

CHECK_KINDS = get_args(Check.__annotations__["kind"])


def read_checks(schema: Node, columns: Mapping[str, Column], business_date: str | None) -> tuple[Check, ...]:
    """Return the checks of the gate: those of `quality`, and one for each column that is `unique`."""
    found = [
        check
        for item in schema.items("quality")
        if (check := _check(item, schema, columns, business_date)) is not None
    ]
    for item in schema.items("properties"):
        if item.value.get("unique"):
            name = item.value["name"]
            found.append(Check(name=f"{name} is unique", kind="unique", columns=(name,)))
    names = [check.name for check in found]
    for name in {name for name in names if names.count(name) > 1}:
        (schema.child("quality") or schema).reject(f"two checks have the name {name!r}: rename one")
    return tuple(found)


def _check(
    item: Node, schema: Node, columns: Mapping[str, Column], business_date: str | None
) -> Check | None:
    if item.value.get("type") == "text":
        return None  # prose for people, as ODCS means it
    implementation = item.child("implementation")
    if (
        item.value.get("type") != "custom"
        or item.value.get("engine") != "stocklake"
        or implementation is None
    ):
        item.reject("is not run here: write `type: custom, engine: stocklake, implementation: {kind: ...}`")
        return None
    parsers: dict[str, values.Parser] = {
        "kind": values.one_of(*CHECK_KINDS),
        "columns": values.list_as_written,
        "minimum": _number,
        "maximum": _number,
        "query": values.text,
        "dataset": values.text,
        "on": _on,
        "figures": lambda node: _figures(node, columns),
    }
    found: dict[str, Any] = {}
    for key, value in implementation.entries():
        if key not in parsers:
            value.reject(f"is no part of a check: {suggest(key, parsers)}")
        elif (parsed := parsers[key](value)) is not None:
            found[key] = parsed
    severity = item.child("severity")
    if severity and severity.value not in ("error", "warning"):
        severity.reject(f"is {severity.value!r} and has to be error (stops) or warning")
    if "kind" not in found:
        if "kind" not in (implementation.value if isinstance(implementation.value, dict) else {}):
            implementation.reject(f"has no kind: add one of {', '.join(CHECK_KINDS)}")
        return None
    if found["kind"] in ("no_missing_days", "freshness_days") and business_date:
        found.setdefault("columns", (business_date,))
    check = Check(
        name=item.value.get("name") or f"{found['kind']} {' '.join(found.get('columns', ()))}".strip(),
        severity="warn" if severity and severity.value == "warning" else "stop",
        description=item.value.get("description", ""),
        **found,
    )
    _judge_check(implementation, check, schema, columns)
    return check


def _judge_check(node: Node, check: Check, schema: Node, columns: Mapping[str, Column]) -> None:
    """Judge that a check has what its kind needs."""
    here = node.child("columns") or node
    for name in check.columns:
        if check.kind in ("no_missing_days", "freshness_days"):
            check_day(here, name, schema, columns)
        elif all(item.value["name"] != name for item in schema.items("properties")):
            here.reject(f"there is no column {name!r}: {suggest(name, columns)}")
    if check.kind in ("no_missing_days", "freshness_days") and len(check.columns) != 1:
        here.reject(
            f"{check.kind} needs one date column: add `columns: [...]` or the dataset's business_date"
        )
    if check.kind == "unique" and not check.columns:
        node.reject("unique needs columns: add `columns: [...]`")
    if check.kind == "freshness_days" and check.maximum is None:
        node.reject("freshness_days needs `maximum`: the age in days that is still fresh")
    if check.kind == "row_count_between" and check.minimum is None and check.maximum is None:
        node.reject("row_count_between needs `minimum`, `maximum` or both")
    if check.minimum is not None and check.maximum is not None and check.minimum > check.maximum:
        node.reject(f"minimum {check.minimum} is above maximum {check.maximum}: exchange or correct them")
    if check.kind == "ties_with":
        _judge_ties(node, check, columns)
    elif check.dataset or check.on or check.figures:
        node.reject("dataset, on and figures are for a check of kind ties_with: remove them")
    if check.kind == "sql_no_rows" and "{table}" not in (check.query or ""):
        node.reject("sql_no_rows needs `query` that selects the offending rows from {table}")


def _on(node: Node) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(node.value, dict) or not all(isinstance(name, str) for name in node.value.values()):
        node.reject("has to name the columns of the period: {COLUMN here: COLUMN there}")
        return None
    return tuple(node.value.items())


def _figures(node: Node, columns: Mapping[str, Column]) -> tuple[tuple[str, Figure], ...] | None:
    if not isinstance(node.value, dict):
        node.reject("has to say what each column there tells: {COLUMN there: rows, ...}")
        return None
    named = [(title, read_figure(value, columns)) for title, value in node.entries()]
    return tuple((title, figure) for title, figure in named if figure is not None)


def _judge_ties(node: Node, check: Check, columns: Mapping[str, Column]) -> None:
    if not (check.dataset and check.on and check.figures):
        node.reject(
            "ties_with needs `dataset`, where the source says what it sent, `on`: {COLUMN here: COLUMN there} and `figures`:"
            " {COLUMN there: rows, or sum(COLUMN here)}"
        )
    for name, _ in check.on:
        if name not in columns:
            (node.child("on") or node).reject(f"there is no column {name!r}: {suggest(name, columns)}")
        elif columns[name].pii_action == "drop":
            (node.child("on") or node).reject(f"{name} is dropped as personal data: name another, or keep it")


def _number(node: Node) -> float | None:
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    node.reject(f"has to be a number, not {node.value!r}")
    return None


def check_day(node: Node, name: str, schema: Node, columns: Mapping[str, Column]) -> None:
    """Judge that `name` is a date or timestamp column."""
    if name not in columns:
        if all(item.value["name"] != name for item in schema.items("properties")):
            node.reject(f"there is no column {name!r}: {suggest(name, columns)}")
    elif columns[name].type not in ("date", "timestamp"):
        node.reject(f"{name} is {columns[name].type}: name a date or timestamp column")
    elif columns[name].pii_action == "drop":
        node.reject(f"{name} is dropped as personal data: name another, or keep it")
