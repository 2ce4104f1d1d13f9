"""From a mart to Feast: its source, and its columns as fields with the description and unit that stand beside its SQL."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import yaml
from feast import Field
from feast.types import PrimitiveFeastType, String

from features.stores.source import LakeSource
from lake.dbt_files import SOURCE_PROJECT

WEEK = timedelta(days=7)
STANDS = timedelta(days=1826)
"""The ttl of what holds until it changes: terms, rates, what is on order."""


def mart_source(table: str, owner: str) -> LakeSource:
    """Return the source of a mart whose rows become known in the order of their days (its test `known_in_order`)."""
    return LakeSource(
        name=table,
        table=f"marts.{table}",
        timestamp_field="as_of_ts",
        created_timestamp_column="known_at",
        description=_mart(table)["description"],
        owner=owner,
        known_in_order=True,
    )


def schema(table: str, keys: tuple[str, ...], features: Mapping[str, PrimitiveFeastType]) -> list[Field]:
    """Return the fields of a view: its keys as text, its features as named. Raises KeyError for a column the mart lacks."""
    columns = {column["name"]: column for column in _mart(table)["columns"]}
    return [
        Field(name=name, dtype=dtype, description=columns[name]["description"], tags=_unit(columns[name]))
        for name, dtype in [*((key, String) for key in keys), *features.items()]
    ]


def _unit(column: dict[str, Any]) -> dict[str, str]:
    unit = column.get("config", {}).get("meta", {}).get("unit")
    return {"unit": unit} if unit else {}


@cache
def _mart(table: str) -> dict[str, Any]:
    path = SOURCE_PROJECT / "models" / "marts" / f"{table}.yml"
    model: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]
    return model
