"""What dbt gives to jinja, for sqlfluff (`.sqlfluff`, library_path): enough to render every branch without a database."""

from typing import Any

_VARIABLES: dict[str, Any] = {
    "day_closes_after_hours": 0,
    "entities": {},
    "business_rules": {"item_code_case": "upper"},
    "assumptions": {
        "location": {"location_id": "MAIN", "location_name": "Main warehouse"},
        "supplier": {"supplier_id": "ASSUMED", "supplier_name": "Assumed supplier", "country": "GB"},
        "lead_time_days": 14,
        "on_hand_days_of_demand": 21,
        "freight": {"mode": "road", "rate_per_unit": 0.05},
    },
    "calendar": {"weekend": [6, 7], "holidays": {"12-25": "Christmas Day"}},
    "currency": "GBP",
    "matching": {"master": "erp"},
    "timezone": "UTC",
    "stock_unit": "EA",
    "exchange_rate_days": 7,
}


this = "standing"
"""The table of the model at hand."""


def var(name: str, default: Any = None) -> Any:
    """Return a variable of dbt_project.yml."""
    return _VARIABLES.get(name, default)


def ref(model: str) -> str:
    """Return a model's name."""
    return model


def source(schema: str, table: str) -> str:
    """Return a source's name."""
    return f"{schema}.{table}"


def config(**settings: Any) -> str:
    """Return nothing: settings are not SQL."""
    return ""


def stage_entity(entity: str, every_version: bool = False) -> str:
    """Stand in for the macro, which asks the lake which raw tables there are."""
    return f"select\n    raw.{entity}.item_id,\n    raw.{entity}.item_name\nfrom raw.{entity}\n"


def delivered_rows() -> str:
    """Stand in for the macro, which asks the lake whether it has a ledger."""
    return "select\n    dataset,\n    0 as rows_read\nfrom delivery"


def control_figures() -> str:
    """Stand in for the macro, which asks the lake whether it has control totals."""
    return "select\n    dataset,\n    figure,\n    delivery_id,\n    expected,\n    found\nfrom control"


def raw_figures() -> str:
    """Stand in for the macro, which asks the lake which raw tables there are."""
    return "select\n    'item' as dataset,\n    'rows' as figure,\n    'rows' as is_of,\n    true as stops,\n    0 as raw_total"


def raw_rows() -> str:
    """Stand in for the macro, which asks the lake which raw tables there are."""
    return "select\n    'item' as dataset,\n    true as keeps_all,\n    count(*) as row_count\nfrom raw.item"


def is_converted(entity: str) -> bool:
    """Stand in for the macro: dbt's own `return` is not jinja's."""
    return False


def as_delivered(entity: str, units: str, money: str) -> tuple[str, str]:
    """Stand in for the macro, as it is where nothing is converted."""
    return units, money


def newest_lines(entity: str, rows: str | None = None) -> str:
    """Stand in for the macro, of an entity without orders."""
    read = rows or f"raw.{entity}"
    return f"newest as (\n    select {read}.*\n    from {read}\n)"


def converted_lines(entity: str) -> str:
    """Stand in for the macro, as it is where nothing is converted."""
    return "lines as (\n    select newest.*\n    from newest\n)"


def convertible_entities() -> list[str]:
    """Stand in for the macro: what nothing converts has no waiting rows."""
    return []


# Of macros/slices.sql and macros/panel.sql, which ask the lake what has changed: everything is built whole.


def build_plan(entity: str | None = None) -> dict[str, str]:
    """Return the plan of a whole build."""
    return {"mode": "whole"}


def slices_to_build(plan: dict[str, str], query: str, weight: str | None = None) -> None:
    """Return no slices: all are to be built."""


def changed_rows(relation: str, plan: dict[str, str]) -> str:
    """Return the relation itself."""
    return relation


def changed_entity(entity: str, plan: dict[str, str]) -> str:
    """Return the staging model."""
    return f"stg_{entity}"


def is_not_before(plan: dict[str, str], column: str, name: str) -> str:
    """Return a condition."""
    return "true"


def is_affected(plan: dict[str, str], columns: list[str], relation: str) -> str:
    """Return a condition."""
    return "true"


def may_be_asked_of(relation: str, condition: str) -> str:
    """Return that it is."""
    return "true"


def is_told(entity: str, column: str) -> bool:
    """Return that it is: every branch is rendered."""
    return True
