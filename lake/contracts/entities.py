"""What a dataset can feed (`entities.yaml`), and how a contract says which column feeds what.

Here: reading the entities, and the mapping `maps_to` + `constants` -> SQL with every rule about it.
Not here: the tables that dbt makes of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lake.contracts.document import Node
from lake.contracts.model import Column
from lake.contracts.standard import suggest

BUILT_INS = {"$line": ("_line", ("VARCHAR", "BIGINT", "INTEGER")), "$file": ("_file", ("VARCHAR",))}
"""What a constant can stand for instead of a value: the raw column, and the types that can hold it."""

MATCHED = ("supplier", "location", "item")
"""Entities whose codes are matched between systems, in the order of matching: a supplier's part number needs the supplier."""

_ACCEPTED = {
    "VARCHAR": {"string", "integer"},
    "INTEGER": {"integer"},
    "BIGINT": {"integer"},
    "DECIMAL": {"number", "integer"},
    "DATE": {"date", "timestamp"},
    "TIMESTAMP": {"date", "timestamp"},
    "BOOLEAN": {"boolean"},
}
_EXACT_UNITS = {"kg", "m3", "days", "share"}
"""Units of an entity that a contract must share: nothing converts."""


@dataclass(frozen=True)
class EntityColumn:
    """One column of an entity."""

    name: str
    type: str
    """DuckDB type, as in entities.yaml."""
    unit: str | None = None
    required: bool = False
    """It has to be mapped, and no null may reach it."""
    identifies: tuple[str, ...] = ()
    """Entities whose codes are its values."""
    converted_by: str | None = None
    """The column that says in which unit or currency this one is; where it is mapped, dbt converts."""

    @property
    def family(self) -> str:
        """Return the type without its digits."""
        return self.type.partition("(")[0]

    @property
    def digits(self) -> tuple[int, int]:
        """Return precision and scale of a DECIMAL."""
        precision, scale = re.findall(r"\d+", self.type)
        return int(precision), int(scale)


@dataclass(frozen=True)
class Entity:
    """What a dataset can be about; staging has one model for each."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, EntityColumn]
    value: str | None = None
    """SQL over the columns: money of a line. `unit_value` in it stands for the list price of its item."""


@cache
def load_entities() -> Mapping[str, Entity]:
    """Return all entities by name, in the order of entities.yaml."""
    text = Path(__file__).with_name("entities.yaml").read_text(encoding="utf-8")
    return {
        name: Entity(
            name,
            entry["grain"],
            tuple(entry["key"]),
            {column: _column(column, values) for column, values in entry["columns"].items()},
            entry.get("value"),
        )
        for name, entry in yaml.safe_load(text).items()
    }


def _column(name: str, values: Mapping[str, Any]) -> EntityColumn:
    by_name = {f"{kind}_id": [kind] for kind in MATCHED}
    identifies = tuple(values.get("identifies", by_name.get(name, ())))
    return EntityColumn(name, **{**values, "identifies": identifies})


def read_mapping(
    schema: Node, name: str | None, columns: Mapping[str, Column], constants: Node | None
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the entity a dataset feeds, and (entity column, SQL over the raw columns) pairs in its order.

    `name` is what the contract says of the entity, `constants` the node of what it gives without a column.
    """
    if name is not None and name not in load_entities():
        _entity_node(schema).reject(f"{name!r} is no entity: {suggest(name, load_entities())}")
        return None, ()
    if constants is not None and not isinstance(constants.value, dict):
        constants.reject("has to be a mapping of entity columns to constants")
        constants = None
    entity = load_entities()[name] if name is not None else None
    return name, _mapping(schema, entity, columns, constants)


def _mapping(
    schema: Node, entity: Entity | None, columns: Mapping[str, Column], constants: Node | None
) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for item in schema.items("properties"):
        for target in _maps_to(item):
            if entity is None:
                target.reject(
                    "maps_to without an entity feeds nothing: add the dataset's `entity` or remove it"
                )
            elif _claim(target, str(target.value), entity, found):
                column = columns.get(item.value["name"])
                if column is not None:
                    _check_fit(target, column, entity.columns[str(target.value)])
                found[str(target.value)] = item.value["name"]
    for name, value in constants.entries() if constants else ():
        if entity is None:
            value.reject(
                "constants without an entity feed nothing: add the dataset's `entity` or remove them"
            )
        elif _claim(value, name, entity, found):
            found[name] = _constant(value, entity.columns[name])
    if entity is None:
        return ()
    missing = [name for name, column in entity.columns.items() if column.required and name not in found]
    if missing:
        _entity_node(schema).reject(
            f"{entity.name} needs {', '.join(missing)}: map a column to each with `maps_to`, or give it in `constants`"
        )
    _check_whole(schema, entity, columns, found)
    return tuple((name, found[name]) for name in entity.columns if name in found)


def _check_whole(
    schema: Node, entity: Entity, columns: Mapping[str, Column], found: Mapping[str, str]
) -> None:
    """Refuse decimals in a column of whole units, unless a unit stands beside them that they are converted from."""
    for name, source in found.items():
        target, column = entity.columns[name], columns.get(source)
        if column is None or column.type != "number" or target.family not in ("BIGINT", "INTEGER"):
            continue
        if target.converted_by not in found and not column.is_whole:
            _entity_node(schema).reject(
                f"{source} has decimals and {entity.name}.{name} counts whole units: map an integer, say that it is"
                f" whole (multipleOf: 1), or say in which unit it is by mapping a column to {target.converted_by}"
            )
        elif target.converted_by in found and column.scale > 6:
            _entity_node(schema).reject(
                f"{source} has {column.scale} decimals and {name} takes 6: take fewer digits"
            )


def _maps_to(item: Node) -> list[Node]:
    """Return the entity columns that a column feeds: one, or a list of them."""
    named = [
        value
        for custom in item.items("customProperties")
        if custom.value["property"] == "maps_to" and (value := custom.child("value"))
    ]
    each = [one for value in named for one in (value.items() if isinstance(value.value, list) else [value])]
    return [one for one in each if isinstance(one.value, str)]


def _entity_node(schema: Node) -> Node:
    """Return where the schema names its entity."""
    return next(item for item in schema.items("customProperties") if item.value["property"] == "entity")


def _claim(node: Node, name: str, entity: Entity, found: Mapping[str, str]) -> bool:
    """Whether `name` is a column of the entity that nothing feeds yet."""
    if name not in entity.columns:
        node.reject(f"{entity.name} has no column {name!r}: {suggest(name, entity.columns)}")
    elif name in found:
        node.reject(f"{entity.name}.{name} is fed twice (also by {found[name]}): keep one")
    else:
        return True
    return False


def _check_fit(node: Node, column: Column, target: EntityColumn) -> None:
    if column.is_whole and target.family in ("INTEGER", "BIGINT"):
        pass  # 3.00 is 3, exactly
    elif column.type not in _ACCEPTED[target.family] and not (
        target.converted_by and column.type == "number"
    ):
        kinds = " or ".join(sorted(_ACCEPTED[target.family]))
        node.reject(
            f"{column.name} is {column.type} and {target.name} is {target.type}: map one that is {kinds}"
        )
    elif target.family == "DECIMAL" and column.type == "number":
        precision, scale = target.digits
        if column.scale > scale or column.precision - column.scale > precision - scale:
            node.reject(
                f"{column.duckdb_type} does not fit into {target.name}, {target.type}: take fewer digits"
            )
    if column.unit and target.unit in _EXACT_UNITS and column.unit != target.unit:
        node.reject(
            f"{column.name} is in {column.unit} and {target.name} in {target.unit}: nothing converts, correct it"
        )
    if target.required and not column.required and column.default is None:
        node.reject(
            f"{target.name} must not be empty and {column.name} can be: add `required: true` or a default"
        )


def _constant(node: Node, target: EntityColumn) -> str:
    """Return a constant as SQL, or what a built-in stands for."""
    value, text = node.value, node.text
    if value is None:
        if target.required:
            node.reject(f"{target.name} must not be empty: give it a value")
        return "null"
    if isinstance(value, str) and value.startswith("$"):
        column, families = BUILT_INS.get(value, ("", ()))
        if not column:
            node.reject(f"{value!r} is no built-in: {suggest(value, BUILT_INS)}")
        elif target.family not in families:
            node.reject(f"{value} cannot stand in {target.name}, {target.type}: map a column or give a value")
        return column
    if not _can_hold(target, value):
        node.reject(f"{value!r} cannot stand in {target.name}, {target.type}: correct it")
        return "null"
    if target.family == "BOOLEAN":
        return str(value).lower()
    if target.family in ("INTEGER", "BIGINT", "DECIMAL"):
        return text
    return "'" + text.replace("'", "''") + "'"


def _can_hold(target: EntityColumn, value: object) -> bool:
    match target.family:
        case "BOOLEAN":
            return isinstance(value, bool)
        case "INTEGER" | "BIGINT":
            return isinstance(value, int) and not isinstance(value, bool)
        case "DECIMAL":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "DATE" | "TIMESTAMP":
            try:
                return isinstance(value, str) and bool(datetime.fromisoformat(value))
            except ValueError:
                return False
    return isinstance(value, str | int | float)
