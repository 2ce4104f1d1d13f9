"""What a contract says about loading: write mode, drift of the schema, control totals, retention.

Here: the custom properties of the dataset that decide what a delivery does to raw, and every rule about them.
Not here: the location and the columns (`datasets.py`, `columns.py`), what is done with them (`lake/loading.py`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from lake.contracts import values
from lake.contracts.document import Node
from lake.contracts.model import (
    Column,
    Companion,
    ControlTotals,
    Figure,
    History,
    Policy,
    SchemaPolicy,
    Trailer,
    WriteMode,
)
from lake.contracts.standard import suggest


def _as_is(node: Node) -> Node:
    return node


LOADING: dict[str, values.Parser] = {
    "write_mode": values.one_of(*get_args(WriteMode)),
    "partition_by": values.list_as_written,
    "deletion_column": values.text,
    "key_scope": values.one_of("dataset", "business_date"),
    "history": _as_is,
    "schema_policy": _as_is,
    "control_totals": _as_is,
    "retention_days": values.whole(1),
}
"""Custom properties of the schema object."""

POLICIES: dict[str, tuple[str, ...]] = {
    "new_columns": ("evolve", "freeze", "quarantine", "reject"),
    "missing_columns": ("freeze", "quarantine", "reject"),
    "renamed_columns": ("freeze", "quarantine", "reject"),
    "changed_types": ("evolve", "freeze", "reject"),
    "swapped_columns": ("freeze", "reject"),
}
"""Kind of drift -> what can be done about it (`SchemaPolicy` says what each means)."""
COLUMN_POLICIES = ("missing_columns", "changed_types")
"""What one column can say for itself."""

_FIGURE = re.compile(r"(sum|min|max)\((\w+)\)")
_KEYED = ("upsert", "insert_only", "history")


def read_loading(schema: Node, columns: Mapping[str, Column], custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Contract` that the properties of `LOADING` give; problems are noted where they stand."""
    mode = custom.get("write_mode", "append")
    found: dict[str, Any] = {"write_mode": mode, "retention_days": custom.get("retention_days")}
    if mode in _KEYED and not any(node.value.get("primaryKey") for node in schema.items("properties")):
        property_node(schema, "write_mode").reject(
            f"{mode} needs a key: mark the key columns with `primaryKey: true`"
        )
    found["partition_by"] = _partition_by(schema, columns, mode, custom.get("partition_by"))
    found["deletion_column"] = _deletion_column(schema, columns, mode, custom.get("deletion_column"))
    if "key_scope" in custom:
        found["key_scope"] = _key_scope(schema, columns, mode, custom)
    if "history" in custom:
        found["history"] = _history(custom["history"], columns, mode)
    if mode == "history" and found.get("history", History()).valid_from is None:
        _judge_known_at(schema, columns, custom)
    if "schema_policy" in custom:
        found["schema_policy"] = SchemaPolicy(**dict(read_policies(custom["schema_policy"], tuple(POLICIES))))
    if "control_totals" in custom:
        found["control_totals"] = _control_totals(custom["control_totals"], columns)
    return found


def property_node(schema: Node, name: str) -> Node:
    """Return the value of a custom property known to be there."""
    item = next(item for item in schema.items("customProperties") if item.value["property"] == name)
    return item.child("value") or item


def read_policies(node: Node, kinds: tuple[str, ...]) -> Iterator[tuple[str, Policy]]:
    """Yield kind of drift and policy of a `schema_policy`, of those `kinds` that can be said there."""
    if not isinstance(node.value, dict):
        node.reject(f"has to say what is done about which drift: {{{kinds[0]}: {POLICIES[kinds[0]][0]}}}")
        return
    for kind, value in node.entries():
        if kind not in kinds:
            value.reject(f"is no kind of drift that can be decided here: {suggest(kind, kinds)}")
        elif (policy := values.one_of(*POLICIES[kind])(value)) is not None:
            yield kind, policy


def _key_scope(schema: Node, columns: Mapping[str, Column], mode: str, custom: Mapping[str, Any]) -> str:
    node, scope = property_node(schema, "key_scope"), str(custom["key_scope"])
    day = columns.get(custom.get("business_date", ""))
    if mode != "insert_only":
        node.reject("a scope of keys is for `write_mode: insert_only`: remove it")
    elif scope == "business_date" and (day is None or not day.required):
        node.reject(
            "keys within a date need one in every row: add `business_date`, and `required: true` to its column"
        )
    return scope


def _partition_by(
    schema: Node, columns: Mapping[str, Column], mode: str, names: tuple[str, ...] | None
) -> tuple[str, ...]:
    if mode == "replace_partition" and not names:
        property_node(schema, "write_mode").reject(
            "replace_partition needs to know its partitions: add `partition_by` with their columns"
        )
    if not names:
        return ()
    node = property_node(schema, "partition_by")
    if mode != "replace_partition":
        node.reject("partitions are for `write_mode: replace_partition`: remove it")
    for name in names:
        if name not in columns:
            node.reject(f"there is no column {name!r}: {suggest(name, columns)}")
        elif not columns[name].required and not columns[name].key and columns[name].default is None:
            node.reject(f"{name} can be empty, and then no partition is named: add `required: true` to it")
    return names


def _deletion_column(schema: Node, columns: Mapping[str, Column], mode: str, name: str | None) -> str | None:
    if name is None:
        return None
    node = property_node(schema, "deletion_column")
    if name not in columns:
        node.reject(f"there is no column {name!r}: {suggest(name, columns)}")
    elif columns[name].type != "boolean":
        node.reject(f"{name} is {columns[name].type}: it has to be boolean, true where the key is gone")
    elif columns[name].key:
        node.reject(f"{name} is a key: a row and its deletion have to have the same key")
    elif mode not in ("upsert", "history"):
        node.reject("deletions need `write_mode: upsert` or `history`: correct it, or remove this")
    return name


def _history(node: Node, columns: Mapping[str, Column], mode: str) -> History:
    if mode != "history":
        node.reject("is for `write_mode: history`: remove it, or correct the write mode")
    if not isinstance(node.value, dict):
        node.reject("has to be {valid_from: COLUMN, close_missing: true or false}")
        return History()
    found: dict[str, Any] = {}
    parsers: dict[str, values.Parser] = {"valid_from": values.text, "close_missing": values.flag}
    for key, value in node.entries():
        if key not in parsers:
            value.reject(f"is no part of history: {suggest(key, parsers)}")
        elif (parsed := parsers[key](value)) is not None:
            found[key] = parsed
            if key == "valid_from":
                _judge_valid_from(value, parsed, columns)
    return History(**found)


def _judge_valid_from(node: Node, name: str, columns: Mapping[str, Column]) -> None:
    if name not in columns:
        node.reject(f"there is no column {name!r}: {suggest(name, columns)}")
    elif columns[name].type not in ("date", "timestamp") or not columns[name].required:
        node.reject(f"{name} says from when a version counts: it has to be a required date or timestamp")


def _judge_known_at(schema: Node, columns: Mapping[str, Column], custom: Mapping[str, Any]) -> None:
    """Judge that every version is known at some moment, from which it counts."""
    rule = custom["known_at"].value if "known_at" in custom else {}
    if isinstance(rule, dict) and "filename_pattern" in rule:
        return
    days = (str(rule.get("column") if isinstance(rule, dict) else ""), str(custom.get("business_date")))
    if not any(columns[name].required for name in days if name in columns):
        property_node(schema, "write_mode").reject(
            "a history needs to know from when a version counts: add `history: {valid_from: COLUMN}`, or a known_at or"
            " business_date with a required column"
        )


def _control_totals(node: Node, columns: Mapping[str, Column]) -> ControlTotals | None:
    if not isinstance(node.value, dict) or len({"trailer", "companion"} & set(node.value)) != 1:
        node.reject("has to be {trailer: {...}} or {companion: {...}}, with or without severity")
        return None
    trailer = companion = None
    severity = "stop"
    for key, value in node.entries():
        match key:
            case "trailer":
                trailer = _trailer(value, columns)
            case "companion":
                companion = _companion(value, columns)
            case "severity":
                severity = values.one_of("stop", "warn")(value) or "stop"
            case _:
                value.reject(
                    f"is no part of control_totals: {suggest(key, ('trailer', 'companion', 'severity'))}"
                )
    return ControlTotals(trailer, companion, "warn" if severity == "warn" else "stop")


def _trailer(node: Node, columns: Mapping[str, Column]) -> Trailer | None:
    marker, figures = node.child("marker"), node.child("figures")
    if marker is None or figures is None or not isinstance(figures.value, list):
        node.reject(
            "needs `marker`, the first field of the trailer record, and `figures`, the list of what follows it"
        )
        return None
    pattern = values.regex(marker)
    found = tuple(read_figure(item, columns) if item.value is not None else None for item in figures.items())
    if not any(found) and not figures.is_rejected:
        figures.reject("names no figure: write e.g. [rows, sum(amount)], with null for a field to pass over")
    return Trailer(pattern, found) if pattern is not None else None


def _companion(node: Node, columns: Mapping[str, Column]) -> Companion | None:
    found: dict[str, Any] = {}
    parsers: dict[str, values.Parser] = {
        "path": values.text, "delimiter": values.character, "file_column": values.text, "figures": _as_is,
    }  # fmt: skip
    for key, value in node.entries():
        if key not in parsers:
            value.reject(f"is no part of a companion: {suggest(key, parsers)}")
        elif (parsed := parsers[key](value)) is not None:
            found[key] = parsed
    figures = found.get("figures")
    if "path" not in found or figures is None or not isinstance(figures.value, dict):
        node.reject(
            "needs `path` (e.g. '{stem}.ctl', beside the file) and `figures`: {COLUMN of the control file: rows, ...}"
        )
        return None
    named = [(title, read_figure(value, columns)) for title, value in figures.entries()]
    found["figures"] = tuple((title, figure) for title, figure in named if figure is not None)
    if "file_column" not in found and "{stem}" not in found["path"] and "{name}" not in found["path"]:
        node.reject("one control file for all files needs `file_column`: its column that names the file")
    if "/" in found["path"]:
        node.reject("a control file lies beside its file: give `path` without a folder")
    return Companion(**found)


def read_figure(node: Node, columns: Mapping[str, Column]) -> Figure | None:
    """Return the figure that a node names: rows, or something of a column; a problem is noted there."""
    text = str(node.value).strip()
    if text == "rows":
        return Figure("rows")
    match = _FIGURE.fullmatch(text)
    if match is None:
        node.reject(f"{text!r} is no figure: write rows, sum(COLUMN), min(COLUMN) or max(COLUMN)")
    elif match[2] not in columns:
        node.reject(f"there is no column {match[2]!r}: {suggest(match[2], columns)}")
    elif columns[match[2]].type not in ("integer", "number"):
        node.reject(f"{match[2]} is {columns[match[2]].type}: a figure is of an integer or a number")
    else:
        return Figure(match[1], match[2])  # type: ignore[arg-type]
    return None
