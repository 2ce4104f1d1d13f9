"""What a property of an ODCS schema means: `Node` -> `Column`, with every rule that a column has by itself.

What ODCS allows but nothing here enforces is refused, so that no contract promises what is not checked.
Not here: which entity a column feeds (`entities.py`), references to other datasets (`linting.py`).
"""

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from lake.contracts import values
from lake.contracts.document import Node
from lake.contracts.loading_options import COLUMN_POLICIES, read_policies
from lake.contracts.model import Column, LogicalType, PiiAction


def _policies(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple(read_policies(node, COLUMN_POLICIES))


CUSTOM: dict[str, values.Parser] = {
    "unit": values.text,
    "maps_to": values.text_or_list,
    "allowed": values.list_as_written,
    "default": values.as_written,
    "nulls": values.list_as_written,
    "start": values.whole(1),
    "width": values.whole(1),
    "pii_action": values.one_of(*get_args(PiiAction)),
    "schema_policy": _policies,
}
"""Custom properties of a column. `maps_to` is read by `entities.py`."""

OPTIONS: dict[str, frozenset[str]] = {
    "string": frozenset({"pattern", "minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum", "precision", "scale", "multipleOf"}),
    "date": frozenset({"format"}),
    "timestamp": frozenset({"format"}),
    "boolean": frozenset({"format"}),
}
"""The `logicalTypeOptions` that are enforced, by logical type."""

MAXIMUM_PRECISION = 38
LENGTH_PATTERN = re.compile(r"\(\?s:\.\{(\d+),(\d*)\}\)")
"""The pattern that `minLength` and `maxLength` become (`_length_pattern`)."""
_ELSEWHERE = "say it with a check of kind sql_no_rows in the dataset's `quality`, or remove it"


def read_column(node: Node) -> Column | None:
    """Return the column that a property describes; None if not even its type is known."""
    name_node, type_node = node.child("name"), node.child("logicalType")
    assert name_node is not None
    name = values.sql_name(name_node)
    custom = values.custom_properties(node, CUSTOM)
    if type_node is None or type_node.value not in get_args(LogicalType):
        kinds = ", ".join(get_args(LogicalType))
        (type_node or node).reject(f"column {name!r} needs a logicalType among {kinds}")
        return None
    kind: LogicalType = type_node.value
    column = Column(
        name=name,
        source_name=str(node.value.get("physicalName") or name).strip(),
        type=kind,
        description=node.value.get("description", ""),
        required=node.value.get("required", False),
        key=node.value.get("primaryKey", False),
        references=_reference(node),
        unit=custom.get("unit"),
        allowed=custom.get("allowed"),
        default=custom.get("default"),
        nulls=custom.get("nulls", ()),
        start=custom.get("start"),
        width=custom.get("width"),
        pii=node.value.get("classification"),
        pii_action=custom.get("pii_action", "keep"),
        schema_policy=custom.get("schema_policy", ()),
        **_options(node, kind),
    )
    _check(node, column)
    return column


def _options(node: Node, kind: LogicalType) -> dict[str, Any]:
    """Return the fields of `Column` that logicalTypeOptions and physicalType give."""
    found: dict[str, Any] = {}
    options = node.child("logicalTypeOptions")
    for key, option in options.entries() if options else ():
        if key not in OPTIONS[kind]:
            option.reject(f"{key} of a {kind} is not enforced: {_ELSEWHERE}")
        elif key in ("minimum", "maximum"):
            found[key] = option.value
        elif key == "multipleOf":
            if option.value != 1:
                option.reject(
                    f"multipleOf {option.text} is not enforced: 1 is, which says that numbers are whole"
                )
            found["is_whole"] = True
        elif key == "pattern":
            found["pattern"] = values.regex(option)
        elif key == "format":
            found["format"] = (
                values.boolean_format(option) if kind == "boolean" else values.strptime_format(option)
            )
    if options and {"minLength", "maxLength"} & set(options.value) and kind == "string":
        found["pattern"] = _length_pattern(options)
    if options and {"minimum", "maximum"} <= set(found) and found["minimum"] > found["maximum"]:
        options.reject(
            f"minimum {found['minimum']} is above maximum {found['maximum']}: exchange or correct them"
        )
    if kind == "number":
        found |= _digits(node, options)
    return found


def _length_pattern(options: Node) -> str | None:
    """Return a pattern for minLength and maxLength; a column has one pattern."""
    low, high = options.value.get("minLength", 0), options.value.get("maxLength")
    if "pattern" in options.value:
        options.reject("pattern and minLength or maxLength stand together: put the length into the pattern")
    elif high is not None and low > high:
        options.reject(f"minLength {low} is above maxLength {high}: exchange or correct them")
    elif max(low, high or 0) > 1000:
        options.reject("a length above 1000 is not enforced: remove it")
    else:
        return f"(?s:.{{{low},{'' if high is None else high}}})"
    return None


def _digits(node: Node, options: Node | None) -> dict[str, int]:
    """Return precision and scale of a number: from physicalType DECIMAL(p,s), or said as options."""
    given = options.value if options else {}
    physical = str(node.value.get("physicalType", ""))
    match = re.fullmatch(
        r"(?i)(?:decimal|numeric)\s*\(\s*(\d{1,3})\s*(?:,\s*(\d{1,3})\s*)?\)", physical.strip()
    )
    if match:
        precision, scale = int(match[1]), int(match[2] or 0)
    elif "scale" in given:
        precision, scale = given.get("precision", 18), given["scale"]
    else:
        node.reject(
            "a number has to say its digits: add e.g. `physicalType: DECIMAL(12,2)` (2 of 12 are decimals)"
        )
        return {}
    if not 0 <= scale <= precision <= MAXIMUM_PRECISION or precision < 1:
        (options if not match and options else node.child("physicalType") or node).reject(
            f"DECIMAL({precision},{scale}) cannot be: at most {MAXIMUM_PRECISION} digits, no more decimals than digits"
        )
        return {}
    return {"precision": precision, "scale": scale}


def _reference(node: Node) -> str | None:
    """Return 'dataset.column' of the one relationship a column can have."""
    targets = [item.child("to") for item in node.items("relationships")]
    for target in targets[1:]:
        assert target is not None
        target.reject("a column can refer to one other only: keep one relationship")
    target = targets[0] if targets else None
    if target is None:
        return None
    if not isinstance(target.value, str) or not re.fullmatch(r"\w+\.\w+", target.value):
        target.reject(f"is {target.value!r}: write one dataset.column")
        return None
    return target.value


def _check(node: Node, column: Column) -> None:
    """Judge what only the finished column shows."""
    if not column.source_name:
        (node.child("physicalName") or node).reject(
            "the header of a column cannot be blank: write it or remove the key"
        )
    if column.key and not column.required and column.default is None:
        (node.child("primaryKey") or node).reject(
            f"key column {column.name!r} can be empty: add `required: true`"
        )
    _check_personal(node, column)
    if quality := node.child("quality"):
        quality.reject("checks stand with the dataset: move them to its `quality`, and name the column there")
    for item in node.items("customProperties"):
        value = item.child("value")
        if value is None or item.is_rejected:
            continue
        if item.value["property"] == "allowed":
            wrong = [repr(text) for text in column.allowed or () if not fits(column, text)]
            if wrong:
                value.reject(
                    f"{', '.join(wrong)} cannot stand in a column of type {_said(column)}: correct the list or the type"
                )
        if item.value["property"] == "default" and column.default is not None:
            if not fits(column, column.default):
                value.reject(
                    f"{column.default!r} cannot stand in a column of type {_said(column)}: correct it or the type"
                )
            elif column.allowed and column.default not in column.allowed:
                value.reject(
                    f"{column.default!r} is not among the allowed values: add it there or correct it"
                )


def _check_personal(node: Node, column: Column) -> None:
    """Judge that personal data says what becomes of it, and that nothing needs what is not kept."""
    custom = {item.value["property"]: item.child("value") or item for item in node.items("customProperties")}
    action = custom.get("pii_action")
    if column.pii and action is None:
        place = node.child("classification") or node
        place.reject("personal data has to say what becomes of it: add `pii_action` keep, drop or hash")
    if action is None or action.is_rejected:
        return
    if not column.pii:
        action.reject("is about personal data: add its class as `classification`, or remove it")
    if column.pii_action == "hash" and column.type != "string":
        action.reject(f"a hash is text and {column.name} is {column.type}: give it logicalType string")
    if column.is_hidden and _reference(node):
        action.reject("a value that is not kept refers to nothing: remove the relationship, or keep it")
    if column.pii_action == "drop":
        needed = [word for word in ("primaryKey", "required", "unique") if node.value.get(word)]
        needed += ["maps_to"] if "maps_to" in custom else []
        if needed:
            action.reject(
                f"a dropped column is empty in raw, so it cannot have {', '.join(needed)}: hash it instead"
            )


def _said(column: Column) -> str:
    return f"{column.type} ({column.format})" if column.format else column.type


def fits(column: Column, text: str) -> bool:
    """Whether a text, written as a file would write it, is a value of the column's type."""
    try:
        match column.type:
            case "integer":
                int(text)
            case "number":
                exponent = Decimal(text).as_tuple().exponent
                return isinstance(exponent, int) and -exponent <= column.scale
            case "date" | "timestamp" if column.format:
                datetime.strptime(text, column.format)
            case "date" | "timestamp":
                datetime.fromisoformat(text)
            case "boolean":
                return text in (column.format or "true/false").split("/")
    except (ValueError, InvalidOperation):
        return False
    return True
