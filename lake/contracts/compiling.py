"""What follows from a contract, written down for people to see: the same values that a run uses, made by the same functions.

Nothing reads these files. They hold no path of this machine and no time, so that two compilations of one contract are equal.
Not here: Dagster's asset specs, which `orchestration` adds.
"""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lake.contracts.columns import LENGTH_PATTERN
from lake.contracts.model import Column, Contract
from lake.dbt_files import as_yaml, feed, source_table
from lake.quality.suites import contract_rules


def compile_contract(contract: Contract, *, matches: bool) -> dict[str, str]:
    """Return file name -> text of everything that follows from a contract.

    `matches`: whether the company matches codes between systems (company.yaml, `matching`).
    """
    return {
        "reader.json": as_json(_reader(contract)),
        "row.schema.json": as_json(row_schema(contract)),
        "expectations.json": as_json(suite(contract)),
        "dbt_source.yml": as_yaml(_dbt_source(contract, matches=matches)),
    }


def as_json(value: Any) -> str:
    """Return JSON as it is written here: two blanks in, in the order of the contract."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _reader(contract: Contract) -> dict[str, Any]:
    """Return what a reader checks and a loader does, without what is left at its default."""
    kept = {
        name: value
        for name, value in _plain(contract).items()
        if name not in ("path", "title", "description", "owner", "checks", "entity", "mapping", "source")
    }
    columns = [
        {"name": column.name, "source_name": column.source_name, "raw_type": column.duckdb_type}
        | _plain(column)
        for column in contract.columns
    ]
    return kept | {"location": _plain(contract.location), "columns": columns} | _source(contract)


def _source(contract: Contract) -> dict[str, Any]:
    # What holds a reference to a secret is written as the reference.
    return (
        {"source": contract.source.model_dump(mode="json", exclude_defaults=True)} if contract.source else {}
    )


def _plain(value: Any) -> Any:
    """Return a dataclass as a mapping of what differs from the field's default."""
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
        return {name: _plain(part) for name, (part, default) in held.items() if part != default}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


_JSON_TYPES = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "boolean": {"type": "boolean"},
}


def row_schema(contract: Contract) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a row of the raw table, as an API or an export would write it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.title,
        "description": contract.description,
        "type": "object",
        "properties": {column.name: _column_schema(column) for column in contract.columns},
        "required": [c.name for c in contract.columns if (c.required or c.key) and c.pii_action != "drop"],
        "additionalProperties": False,
    }


def _column_schema(column: Column) -> dict[str, Any]:
    is_required = column.required or column.key
    found: dict[str, Any] = dict(_JSON_TYPES[column.type])
    if not is_required:
        found["type"] = [found["type"], "null"]
    if column.description or column.unit:
        found["description"] = f"{column.description}{f' [{column.unit}]' if column.unit else ''}".strip()
    if column.is_hidden:
        return found  # what raw holds is a hash, or nothing
    lengths = LENGTH_PATTERN.fullmatch(column.pattern or "")
    if lengths:
        found |= {"minLength": int(lengths[1])} | ({"maxLength": int(lengths[2])} if lengths[2] else {})
    elif column.pattern is not None and column.type == "string":
        found["pattern"] = f"^(?:{column.pattern})$"
    if column.allowed is not None and column.type == "string":
        found["enum"] = [*column.allowed, *([] if is_required else [None])]
    found |= {
        name: value
        for name, value in (("minimum", column.minimum), ("maximum", column.maximum))
        if value is not None
    }
    if column.type == "number":
        found["multipleOf"] = 1 if column.is_whole else float(f"1e-{column.scale}")
    return found


def suite(contract: Contract) -> dict[str, Any]:
    """Return the gate's rules of the raw table as a suite of Great Expectations: one query of offending rows each."""
    return {
        "name": f"raw.{contract.dataset}",
        "expectations": [
            {
                "type": "unexpected_rows_expectation",
                "severity": "critical" if rule.severity == "stop" else "warning",
                "description": rule.check,
                "kwargs": {"unexpected_rows_query": rule.failing_sql},
                "meta": {"check": rule.check_id, "severity": rule.severity, "columns": list(rule.columns)},
            }
            for rule in contract_rules(contract)
        ],
    }


def _dbt_source(contract: Contract, *, matches: bool) -> dict[str, Any]:
    """Return the source with its columns and their types, and what staging makes of it."""
    made: dict[str, Any] = {
        "version": 2,
        "sources": [{"name": "raw", "schema": "raw", "tables": [source_table(contract)]}],
    }
    if contract.entity:
        made["vars"] = {"entities": {contract.entity: {"sources": [feed(contract, matches=matches)]}}}
    return made


def headed(dataset: str, files: dict[str, str]) -> Iterator[str]:
    """Yield the files of a dataset one after the other, each below a line with its name."""
    for name, text in files.items():
        yield f"# --- {dataset}/{name}"
        yield text.rstrip("\n")
