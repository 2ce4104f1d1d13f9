"""The files of a company's dbt project: those of `dbt_project/`, and those that its contracts and settings add.

Only texts, by relative path: where they are written and how dbt is started on them is `transform.py`.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

from lake.company import PROJECT_ROOT, Company
from lake.connection import ALIAS, MEMORY_LIMIT, Lake
from lake.contracts.entities import Entity, load_entities
from lake.contracts.model import Contract, Figure

SOURCE_PROJECT = PROJECT_ROOT / "dbt_project"
ENTITIES = PROJECT_ROOT / "lake" / "contracts" / "entities.yaml"
PLUGIN_MODULE = "lake.dbt_plugin"
RAW_BOOKKEEPING = {
    "_delivery_id": "The delivery in meta.delivery that brought the row.",
    "_file": "Name of the file it stood in.",
    "_sheet": "Sheet of the workbook; null for text files.",
    "_line": "Physical line of the file, or row of the sheet.",
    "_known_at": "When the world could know this version of the row, UTC; never the clock.",
}


_CROSSWALK = {
    "name": "matching",
    "database": ALIAS,
    "schema": "staging",
    "description": "What lake/matching makes of raw before dbt runs.",
    "tables": [
        {
            "name": "crosswalk",
            "description": "One row per code of a system and time that it means something else: its conformed id, and why.",
        }
    ],
}


def project_files(company: Company, contracts: Sequence[Contract]) -> dict[str, str]:
    """Return relative path -> text of the whole project: the repository's files and the generated ones."""
    files = {
        path.relative_to(SOURCE_PROJECT).as_posix(): path.read_text(encoding="utf-8")
        for pattern in ("models/**/*", "macros/**/*", "tests/**/*")
        for path in SOURCE_PROJECT.glob(pattern)
        if path.suffix in {".sql", ".yml"}
    }
    settings = yaml.safe_load((SOURCE_PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    settings["vars"] = _variables(company, contracts)
    files["dbt_project.yml"] = as_yaml(settings)
    files["models/sources.yml"] = as_yaml(_sources(contracts, matches=company.settings.matching is not None))
    return files


def _variables(company: Company, contracts: Sequence[Contract]) -> dict[str, Any]:
    matches = company.settings.matching is not None
    fed = {
        (contract.entity, column)
        for contract in contracts
        for column, sql in contract.mapping
        if sql != "null"  # a constant null says as little as no mapping
    }
    return {
        "entities": {
            name: {
                "columns": {
                    # What comes in other units may have decimals until it is converted.
                    column: "DECIMAL(18,6)"
                    if spec.type in ("BIGINT", "INTEGER") and (name, spec.converted_by) in fed
                    else spec.type
                    for column, spec in entity.columns.items()
                },
                "key": list(entity.key),
                "sources": [
                    feed(contract, matches=matches)
                    for contract in sorted(contracts, key=lambda contract: contract.dataset)
                    if contract.entity == name
                ],
            }
            | ({"identifies": _identifies(entity)} if matches else {})
            for name, entity in load_entities().items()
        },
        "matching": company.settings.matching.model_dump(include={"master"})
        if company.settings.matching
        else {},
        "business_rules": _plain(company.settings.business_rules),
        "assumptions": _plain(company.settings.assumptions),
        "calendar": company.settings.calendar.model_dump(mode="json"),
        "currency": company.settings.currency,
        "timezone": company.settings.timezone,
        "stock_unit": company.settings.stock_unit,
        "day_closes_after_hours": company.settings.day_closes_after_hours,
        "exchange_rate_days": company.settings.exchange_rate_days,
    }


def feed(contract: Contract, *, matches: bool) -> dict[str, Any]:
    """Return how a raw table feeds its entity; where codes are matched, also whose codes it has and when a row is of."""
    gone = contract.deletion_column
    feed: dict[str, Any] = {
        "table": contract.dataset,
        "columns": _mapped(contract),
        "where": contract.live_condition,
        "deleted": f'coalesce("{gone}", false)' if gone else None,
        "ended": "_valid_to" if contract.write_mode == "history" else None,
        "write_mode": contract.write_mode,
        "control": [
            {"figure": str(figure), "column": figure.column, "of": of}
            for figure in (contract.control_totals.figures if contract.control_totals else ())
            if (of := _controlled(contract, figure)) is not None
        ],
        "control_stops": contract.control_totals is None or contract.control_totals.severity == "stop",
    }
    if matches:
        feed |= {"system": contract.system, "moment": f'"{contract.business_date or "_known_at"}"'}
    return feed


def _controlled(contract: Contract, figure: Figure) -> str | None:
    """Return what a control total is a sum of, `units` or `money`; None for any other, which reconciles its file only."""
    if figure.kind != "sum" or figure.column is None:
        return None
    column = contract.column(figure.column)
    entity = load_entities()[contract.entity].columns if contract.entity else {}
    fed = {entity[target].unit for target, source in contract.mapping if source == column.name}
    if (column.type == "integer" or column.is_whole) and "units" in {column.unit, *fed}:
        return "units"
    return "money" if "currency" in fed or re.fullmatch(r"[A-Z]{3}", column.unit or "") else None


def _identifies(entity: Entity) -> dict[str, list[str]]:
    return {name: list(column.identifies) for name, column in entity.columns.items() if column.identifies}


def _mapped(contract: Contract) -> dict[str, str]:
    """Return entity column -> SQL over the raw table, with column names quoted."""
    names = {column.name for column in contract.columns} | set(RAW_BOOKKEEPING)
    return {column: f'"{sql}"' if sql in names else sql for column, sql in contract.mapping}


def _sources(contracts: Sequence[Contract], *, matches: bool) -> dict[str, Any]:
    return {
        "version": 2,
        "sources": [
            *([_CROSSWALK] if matches else []),
            {
                "name": "raw",
                "database": ALIAS,
                "schema": "raw",
                "description": "What was delivered and passed its contract, every version, with file and line.",
                "tables": [source_table(contract) for contract in contracts],
            },
        ],
    }


def source_table(contract: Contract) -> dict[str, Any]:
    """Return a raw table as dbt's `sources` describe it."""
    freshness = [check.maximum for check in contract.checks if check.kind == "freshness_days"]
    meta: dict[str, Any] = {
        "dagster": {"asset_key": ["raw", contract.dataset]},
        "owner": contract.owner,
        "domain": contract.domain,
        "contract_version": contract.version,
        "entity": contract.entity,
        "business_date": contract.business_date,
        "freshness_days": freshness[0] if freshness else None,
    }
    columns = [
        {
            "name": column.name,
            "description": column.description,
            "data_type": column.duckdb_type,
            "config": {"meta": {"unit": column.unit, "pii": column.pii}},
        }
        for column in contract.columns
    ]
    bookkeeping = [{"name": name, "description": text} for name, text in RAW_BOOKKEEPING.items()]
    return {
        "name": contract.dataset,
        "description": contract.description,
        "config": {"meta": meta},
        "columns": columns + bookkeeping,
    }


def profile(company: Company) -> dict[str, Any]:
    """Return profiles.yml: the lake attached as dbt's database, extensions from wheels, no network."""
    lake = Lake.of(company)
    output = {
        "type": "duckdb",
        "path": ":memory:",
        "database": ALIAS,
        "schema": "main",
        "is_ducklake": True,
        "threads": 1,
        "config_options": {"autoinstall_known_extensions": False, "autoload_known_extensions": False},
        # Order is given by keys, never by arrival; keeping it would cost memory.
        "settings": {"memory_limit": MEMORY_LIMIT, "preserve_insertion_order": "false"},
        "plugins": [{"module": PLUGIN_MODULE}],
        "attach": [
            {
                "path": lake.catalog.target,
                "alias": ALIAS,
                "is_ducklake": True,
                "options": lake.attach_options,
            }
        ],
    }
    return {"stocklake": {"target": "lake", "outputs": {"lake": output}}}


def _plain(value: Any) -> Any:
    """Return YAML values as JSON has them: dates become text."""
    return json.loads(json.dumps(value, default=str))


def as_yaml(value: dict[str, Any]) -> str:
    """Return the text of a YAML file, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
