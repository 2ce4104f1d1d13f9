"""What can be done to a contract, and what it means: a table of expectations that knows nothing of the code that compares.

Each mutation changes a document (plain values) in place and returns whether it could; `pick` chooses one of a list.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Pick = Callable[[list[Any]], Any]
Mutation = Callable[[Document, Pick], bool]

EVERYTHING = (Path(__file__).parent / "everything.odcs.yaml").read_text(encoding="utf-8")
"""A contract that uses all there is."""


def columns(document: Document) -> list[Document]:
    return document["schema"][0]["properties"]


def custom(node: Document) -> dict[str, Any]:
    return {one["property"]: one["value"] for one in node.get("customProperties", [])}


def put(node: Document, name: str, value: Any) -> None:
    """Set a custom property, or take it out (None)."""
    rest = [one for one in node.get("customProperties", []) if one["property"] != name]
    node["customProperties"] = rest + ([] if value is None else [{"property": name, "value": value}])
    if not node["customProperties"]:
        del node["customProperties"]


def on_column(fit: Callable[[Document], bool], do: Callable[[Document, Pick], Any]) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        fitting = [column for column in columns(document) if fit(column)]
        if fitting:
            do(pick(fitting), pick)
        return bool(fitting)

    return mutate


def on_dataset(fit: Callable[[Document], bool], do: Callable[[Document, Pick], Any]) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        schema = document["schema"][0]
        if fits := fit(schema):
            do(schema, pick)
        return fits

    return mutate


def on_check(severity: str, do: Callable[[Document], Any]) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        found = [
            check
            for check in document["schema"][0].get("quality", [])
            if check.get("severity") == severity and {"minimum", "maximum"} <= set(check["implementation"])
        ]
        if found:
            do(pick(found))
        return bool(found)

    return mutate


def options(column: Document) -> Document:
    return column.setdefault("logicalTypeOptions", {})


def is_(kind: str) -> Callable[[Document], bool]:
    return lambda column: column["logicalType"] == kind


def has_option(*names: str) -> Callable[[Document], bool]:
    return lambda column: all(name in column.get("logicalTypeOptions", {}) for name in names)


def has(name: str) -> Callable[[Document], bool]:
    return lambda node: name in custom(node)


def is_free(column: Document) -> bool:
    """No rule on its texts yet, no key, no default."""
    return (
        column["logicalType"] == "string"
        and "logicalTypeOptions" not in column
        and not {"allowed", "default", "nulls"} & set(custom(column))
    )


def every(column: Document) -> bool:
    return True


def move(column: Document, key: str, by: float) -> None:
    options(column)[key] += by


def add(document: Document, pick: Pick, **more: Any) -> bool:
    if custom(document["servers"][0]).get("header") == "none":
        return False
    columns(document).insert(
        pick(list(range(len(columns(document)) + 1))), {"name": "brand_new", "logicalType": "string"} | more
    )
    return True


def drop(document: Document, pick: Pick) -> bool:
    columns(document).remove(pick(columns(document)))
    return True


def rename(column: Document, pick: Pick) -> None:
    column.setdefault("physicalName", column["name"])
    column["name"] = "renamed_" + column["name"]


def other_digits(whole: int, scale: int) -> Callable[[Document, Pick], None]:
    def do(column: Document, pick: Pick) -> None:
        digits, decimals = column["physicalType"].removeprefix("DECIMAL(").rstrip(")").split(",")
        column["physicalType"] = f"DECIMAL({int(digits) + whole + scale},{int(decimals) + scale})"

    return do


def retype(column: Document, kind: str, **more: Any) -> None:
    column["logicalType"] = kind
    column.pop("logicalTypeOptions", None)
    column.update(more)


def swap_first(header: str) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        if custom(document["servers"][0]).get("header", "names") != header:
            return False
        found = columns(document)
        found[0], found[1] = found[1], found[0]
        return True

    return mutate


def listed(column: Document, change: Callable[[list[str]], list[str]], name: str = "allowed") -> None:
    put(column, name, change(custom(column)[name]))


def add_check(severity: str) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        check = {"name": "brand new", "type": "custom", "engine": "stocklake", "severity": severity}
        check["implementation"] = {"kind": "row_count_between", "minimum": 1}
        document["schema"][0].setdefault("quality", []).append(check)
        return True

    return mutate


def server(name: str, value: Any) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        if custom(document["servers"][0]).get(name) == value or name in document["servers"][0]:
            return False
        put(document["servers"][0], name, value)
        return True

    return mutate


def head(key: str, value: Any) -> Mutation:
    def mutate(document: Document, pick: Pick) -> bool:
        document[key] = value
        return True

    return mutate


def path(document: Document, pick: Pick) -> bool:
    document["servers"][0]["path"] = "${INBOX}/elsewhere/*.csv"
    return True


def is_optional(column: Document) -> bool:
    return not column.get("required") and not column.get("primaryKey")


def is_bound(column: Document) -> bool:
    return column.get("required", False) and not column.get("primaryKey")


def has_digits(column: Document) -> bool:
    return column["logicalType"] == "number" and "physicalType" in column


def says(name: str, value: Any) -> Callable[[Document], bool]:
    return lambda node: custom(node).get(name) == value


EXPECTED: dict[str, tuple[str, Mutation]] = {
    "a column is dropped": ("breaking", drop),
    "a column is renamed in raw": ("breaking", on_column(every, rename)),
    "a column is read from another header": ("breaking", on_column(every, lambda c, p: c.update(physicalName="Another"))),
    "a required column is added": ("breaking", lambda d, p: add(d, p, required=True)),
    "an optional column is added": ("compatible", add),
    "integer becomes text": ("breaking", on_column(is_("integer"), lambda c, p: retype(c, "string"))),
    "text becomes integer": ("breaking", on_column(is_free, lambda c, p: retype(c, "integer"))),
    "integer becomes a number with enough digits": (
        "compatible", on_column(lambda c: is_("integer")(c) and "logicalTypeOptions" not in c, lambda c, p: retype(c, "number", physicalType="DECIMAL(24,4)"))),
    "integer becomes a number with too few digits": (
        "breaking", on_column(is_("integer"), lambda c, p: retype(c, "number", physicalType="DECIMAL(12,2)"))),
    "a day becomes a moment": ("compatible", on_column(lambda c: is_("date")(c) and "logicalTypeOptions" not in c, lambda c, p: retype(c, "timestamp"))),
    "a moment becomes a day": ("breaking", on_column(is_("timestamp"), lambda c, p: retype(c, "date"))),
    "more digits": ("compatible", on_column(has_digits, other_digits(2, 0))),
    "more decimals beside as many digits before the point": ("compatible", on_column(has_digits, other_digits(0, 2))),
    "fewer digits": ("breaking", on_column(has_digits, other_digits(-2, 0))),
    "a decimal less": ("breaking", on_column(has_digits, other_digits(1, -1))),
    "decimals at the cost of digits": ("breaking", on_column(has_digits, other_digits(-1, 1))),
    "only whole numbers": ("breaking", on_column(has_digits, lambda c, p: options(c).update(multipleOf=1))),
    "made required": ("breaking", on_column(is_optional, lambda c, p: c.update(required=True))),
    "made optional": ("compatible", on_column(is_bound, lambda c, p: c.pop("required"))),
    "joins the key": ("breaking", on_column(lambda c: not c.get("primaryKey"), lambda c, p: c.update(primaryKey=True))),
    "leaves the key": ("breaking", on_column(lambda c: c.get("primaryKey", False), lambda c, p: c.pop("primaryKey"))),
    "minimum raised": ("breaking", on_column(has_option("minimum"), lambda c, p: move(c, "minimum", 1))),
    "minimum lowered": ("compatible", on_column(has_option("minimum"), lambda c, p: move(c, "minimum", -1))),
    "minimum taken away": ("compatible", on_column(has_option("minimum"), lambda c, p: options(c).pop("minimum"))),
    "maximum lowered": ("breaking", on_column(has_option("maximum"), lambda c, p: move(c, "maximum", -1))),
    "maximum raised": ("compatible", on_column(has_option("maximum"), lambda c, p: move(c, "maximum", 1))),
    "a maximum where there was none": (
        "breaking", on_column(lambda c: c["logicalType"] in ("integer", "number") and not has_option("maximum")(c), lambda c, p: options(c).update(maximum=10**6))),
    "another pattern": ("breaking", on_column(has_option("pattern"), lambda c, p: options(c).update(pattern="[a-z]+"))),
    "a pattern where there was none": ("breaking", on_column(is_free, lambda c, p: options(c).update(pattern="[a-z]+"))),
    "no pattern any more": ("compatible", on_column(has_option("pattern"), lambda c, p: options(c).pop("pattern"))),
    "longer texts": ("compatible", on_column(has_option("maxLength"), lambda c, p: move(c, "maxLength", 5))),
    "shorter texts": ("breaking", on_column(has_option("maxLength"), lambda c, p: move(c, "maxLength", -3))),
    "a value is not allowed any more": ("breaking", on_column(has("allowed"), lambda c, p: listed(c, lambda one: one[1:]))),
    "a value is allowed as well": ("compatible", on_column(has("allowed"), lambda c, p: listed(c, lambda one: [*one, "other"]))),
    "allowed values in another order": ("none", on_column(has("allowed"), lambda c, p: listed(c, lambda one: one[::-1]))),
    "only some values": ("breaking", on_column(is_free, lambda c, p: put(c, "allowed", ["a", "b"]))),
    "any value": ("compatible", on_column(has("allowed"), lambda c, p: put(c, "allowed", None))),
    "a reference": ("breaking", on_column(lambda c: is_free(c) and "relationships" not in c, lambda c, p: c.update(relationships=[{"to": "item.item_id"}]))),
    "another reference": ("breaking", on_column(lambda c: "relationships" in c, lambda c, p: c.update(relationships=[{"to": "other.code"}]))),
    "no reference any more": ("compatible", on_column(lambda c: "relationships" in c, lambda c, p: c.pop("relationships"))),
    "another unit": ("breaking", on_column(has("unit"), lambda c, p: put(c, "unit", "furlong"))),
    "a unit taken away": ("breaking", on_column(has("unit"), lambda c, p: put(c, "unit", None))),
    "a unit told of what feeds an entity": ("breaking", on_column(lambda c: has("maps_to")(c) and not has("unit")(c), lambda c, p: put(c, "unit", "kg"))),
    "a unit told of what feeds nothing": ("compatible", on_column(lambda c: not has("maps_to")(c) and not has("unit")(c), lambda c, p: put(c, "unit", "kg"))),
    "personal data no more": ("breaking", on_column(lambda c: "classification" in c, lambda c, p: (c.pop("classification"), put(c, "pii_action", None)))),
    "another class of personal data": ("breaking", on_column(lambda c: "classification" in c, lambda c, p: c.update(classification="public"))),
    "a hash becomes clear text": ("breaking", on_column(says("pii_action", "hash"), lambda c, p: put(c, "pii_action", "keep"))),
    "named as personal data": (
        "compatible", on_column(lambda c: "classification" not in c, lambda c, p: (c.update(classification="name"), put(c, "pii_action", "keep")))),
    "named as personal data and hashed": (
        "breaking", on_column(lambda c: "classification" not in c and is_("string")(c), lambda c, p: (c.update(classification="name"), put(c, "pii_action", "hash")))),
    "another default": ("breaking", on_column(has("default"), lambda c, p: put(c, "default", "shop"))),
    "a default of what may be empty": ("breaking", on_column(lambda c: is_free(c) and is_optional(c), lambda c, p: put(c, "default", "x"))),
    "a default of what may not be empty": ("compatible", on_column(lambda c: is_free(c) and is_bound(c), lambda c, p: put(c, "default", "x"))),
    "a text that was data means nothing now": ("breaking", on_column(is_free, lambda c, p: put(c, "nulls", ["n/a"]))),
    "a text that was refused means nothing now": ("compatible", on_column(lambda c: has_digits(c) and not has("nulls")(c), lambda c, p: put(c, "nulls", ["n/a"]))),
    "a text for nothing is taken away": ("breaking", on_column(has("nulls"), lambda c, p: put(c, "nulls", None))),
    "dates written otherwise": ("breaking", on_column(has_option("format"), lambda c, p: options(c).update(format="J/N" if c["logicalType"] == "boolean" else "%Y/%m/%d %H:%M"))),
    "a description": ("wording", on_column(every, lambda c, p: c.update(description="Told anew."))),
    "feeds its entity no more": ("breaking", on_dataset(has("entity"), lambda s, p: put(s, "entity", None))),
    "feeds another column of the entity": ("breaking", on_column(says("maps_to", "item_text"), lambda c, p: put(c, "maps_to", "customer_id"))),
    "feeds nothing any more": ("breaking", on_column(has("maps_to"), lambda c, p: put(c, "maps_to", None))),
    "feeds a column that nothing fed": ("compatible", on_column(lambda c: says("maps_to", None)(c) and is_("string")(c), lambda c, p: put(c, "maps_to", "original_order_id"))),
    "a constant changes": ("breaking", on_dataset(has("constants"), lambda s, p: put(s, "constants", dict.fromkeys(custom(s)["constants"], "ELSEWHERE")))),
    "another write mode": ("breaking", on_dataset(lambda s: not says("write_mode", "insert_only")(s), lambda s, p: put(s, "write_mode", "insert_only"))),
    "duplicates kept": ("breaking", on_dataset(says("duplicates", "drop"), lambda s, p: put(s, "duplicates", "keep"))),
    "another business date": ("breaking", on_dataset(has("business_date"), lambda s, p: put(s, "business_date", "posted"))),
    "known later": ("breaking", on_dataset(has("known_at"), lambda s, p: put(s, "known_at", {"column": "sold_on", "delay_days": 9}))),
    "codes of another system": ("breaking", on_dataset(lambda s: not has("system")(s), lambda s, p: put(s, "system", "another"))),
    "has to arrive": ("breaking", on_dataset(says("optional", True), lambda s, p: put(s, "optional", None))),
    "need not arrive": ("compatible", on_dataset(lambda s: not has("optional")(s), lambda s, p: put(s, "optional", True))),
    "personal data is kept for longer": ("breaking", on_dataset(has("retention_days"), lambda s, p: put(s, "retention_days", 9999))),
    "kept for less long": ("compatible", on_dataset(has("retention_days"), lambda s, p: put(s, "retention_days", 5))),
    "new columns are rejected": ("breaking", on_dataset(has("schema_policy"), lambda s, p: put(s, "schema_policy", custom(s)["schema_policy"] | {"new_columns": "reject"}))),
    "new columns are not loaded any more": ("breaking", on_dataset(has("schema_policy"), lambda s, p: put(s, "schema_policy", custom(s)["schema_policy"] | {"new_columns": "freeze"}))),
    "missing columns pass": ("compatible", on_dataset(has("schema_policy"), lambda s, p: put(s, "schema_policy", custom(s)["schema_policy"] | {"missing_columns": "freeze"}))),
    "one column missing is refused": ("breaking", on_column(has("schema_policy"), lambda c, p: put(c, "schema_policy", {"missing_columns": "reject"}))),
    "control totals stop": ("breaking", on_dataset(has("control_totals"), lambda s, p: put(s, "control_totals", custom(s)["control_totals"] | {"severity": "stop"}))),
    "control totals go": ("compatible", on_dataset(has("control_totals"), lambda s, p: put(s, "control_totals", None))),
    "a trailer is expected": ("breaking", on_dataset(every, lambda s, p: put(s, "control_totals", {"trailer": {"marker": "TRL", "figures": ["rows"]}}))),
    "less memory": ("breaking", on_dataset(every, lambda s, p: put(s, "limits", {"memory_mb": 500}))),
    "more memory": ("compatible", on_dataset(every, lambda s, p: put(s, "limits", {"memory_mb": 5000}))),
    "a check that stops": ("breaking", add_check("error")),
    "a check that warns": ("compatible", add_check("warning")),
    "a check wants more": ("breaking", on_check("error", lambda c: c["implementation"].update(minimum=6))),
    "a check wants less": ("compatible", on_check("error", lambda c: c["implementation"].update(minimum=4, maximum=901))),
    "a check only warns now": ("compatible", on_check("error", lambda c: c.update(severity="warning"))),
    "no check any more": ("compatible", on_dataset(lambda s: "quality" in s, lambda s, p: s.pop("quality"))),
    "another delimiter": ("breaking", server("delimiter", "|")),
    "another encoding": ("breaking", server("encoding", "cp1252")),
    "the same encoding by another name": ("none", server("encoding", "UTF8")),
    "a last line has to end": ("breaking", server("final_newline", "required")),
    "without a header": ("breaking", server("header", "none")),
    "a local decimal sign": ("breaking", server("decimal", ",")),
    "less may be unpacked": ("breaking", server("maximum_unpacked_mb", 5)),
    "another place": ("breaking", path),
    "columns in another order": ("wording", swap_first("names")),
    "columns in another order, without a header": ("breaking", swap_first("none")),
    "a title": ("wording", head("name", "Told anew")),
    "an owner": ("wording", head("team", {"name": "others"})),
    "a purpose": ("wording", head("description", {"purpose": "Told anew."})),
    "deprecated": ("compatible", head("status", "deprecated")),
    "another id": ("none", head("id", "acme.other")),
}  # fmt: skip
"""What is done -> what it means to who delivers or reads: breaking, compatible, wording, or none."""
