"""What dbt gives to jinja, for sqlfluff (`.sqlfluff`, library_path): enough to render every branch without a database."""

from typing import Any

_VARIABLES: dict[str, Any] = {
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


def stage_entity(entity: str) -> str:
    """Stand in for the macro, which asks the lake which raw tables there are."""
    return f"select\n    raw.{entity}.item_id,\n    raw.{entity}.item_name\nfrom raw.{entity}\n"


# Of macros/slices.sql, which asks the lake what has changed: everything is built whole.


def build_plan() -> dict[str, str]:
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


def first_affected(column: str, after: str | None = None) -> str:
    """Return some day."""
    return "2025-01-01"


def the_first_day() -> str:
    """Return a day before all others."""
    return "date '0001-01-01'"


def is_affected(columns: list[str], relation: str, conditions: tuple[str, ...] = ()) -> str:
    """Return a condition."""
    return "true"
