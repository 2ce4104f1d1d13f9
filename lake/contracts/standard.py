"""Whether a document has the form of ODCS v3.1: the standard's own JSON schema, checked offline, told in sentences.

Here: nothing of ours but two relaxations (below). What the values mean to Stocklake: `datasets.py`, `columns.py`.
"""

import importlib.util
import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.contracts.document import Document, KeyPath

if TYPE_CHECKING:
    from jsonschema import Draft201909Validator
    from jsonschema.exceptions import ValidationError

API_VERSION = "v3.1.0"


def check_standard(document: Document) -> bool:
    """Note every breach of the ODCS schema as a problem; return whether there was none."""
    if not isinstance(document.data, dict):
        document.reject((), "is not a contract: begin with `apiVersion: v3.1.0` and `kind: DataContract`")
        return False
    found = list(_validator().iter_errors(document.data))
    told = {entry for error in found for entry in _tell(error)}
    for keypath, message in sorted(told, key=lambda entry: document.line(entry[0])):
        document.reject(keypath, message)
    return not told


def suggest(word: str, known: Iterable[str]) -> str:
    """Return what to do about an unknown word: the nearest known one, or all of them."""
    known = sorted(known)
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"


@cache
def _validator() -> "Draft201909Validator":
    from jsonschema import Draft201909Validator  # only who reads contracts needs it, not who parses files

    # Found, not imported: the package builds large pydantic models that nobody needs here.
    spec = importlib.util.find_spec("open_data_contract_standard")
    assert spec is not None and spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "schema.json").read_text(encoding="utf-8"))
    _relax(schema["$defs"])
    return Draft201909Validator(schema)


def _relax(definitions: dict[str, Any]) -> None:
    """Allow what ODCS has no place for but people write there: how a local CSV is written, digits of a number."""
    local = definitions["ServerSource"]["LocalServer"]["properties"]
    local |= {"delimiter": {"type": "string"}, "encoding": {"type": "string"}}
    for rule in definitions["SchemaBaseProperty"]["allOf"]:
        if '"const": "number"' in json.dumps(rule.get("if", {})):
            options = rule["then"]["properties"]["logicalTypeOptions"]["properties"]
            options |= {"precision": {"type": "integer"}, "scale": {"type": "integer"}}


def _tell(error: "ValidationError") -> Iterator[tuple[KeyPath, str]]:
    """Yield key and sentence for one error of jsonschema, which may stand for several or (a cascade) for none."""
    keypath: KeyPath = tuple(error.absolute_path)
    instance: Any = error.instance
    expected: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "required":
            for key in expected:
                if key not in instance:
                    yield keypath, f"{key!r} is missing: add it"
        case "additionalProperties":
            yield from _unknown(keypath, instance, set(schema.get("properties", ())))
        case "unevaluatedProperties":
            yield from _unknown(keypath, instance, _known_keys(schema, instance))
        case "oneOf" | "anyOf" if error.context:
            yield from _tell(max(error.context, key=lambda e: (len(e.absolute_path), e.validator != "type")))
        case "type":
            kinds = expected if isinstance(expected, list) else [expected]
            hint = ": put it in quotes" if kinds == ["string"] and _is_number(instance) else ""
            yield (
                keypath,
                f"has to be {' or '.join(_KINDS[kind] for kind in kinds)}, not {_short(instance)}{hint}",
            )
        case "enum":
            allowed = ", ".join(str(value) for value in expected)
            yield keypath, f"is {_short(instance)} and has to be one of {allowed}"
        case "pattern" if "relationships" in keypath:
            yield keypath, f"is {_short(instance)}: write dataset.column"
        case "pattern":
            yield keypath, f"is {_short(instance)}: use letters, digits, - and _ only"
        case _:
            yield keypath, f"does not fit ODCS {API_VERSION} ({error.message[:160]}): correct it"


_KINDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}


def _unknown(keypath: KeyPath, instance: dict[str, Any], known: set[str]) -> Iterator[tuple[KeyPath, str]]:
    for key in instance:
        if key not in known:
            yield (*keypath, key), f"is not a key that ODCS {API_VERSION} knows here: {suggest(key, known)}"


def _known_keys(schema: dict[str, Any], instance: Any) -> set[str]:
    """Return the keys a schema knows, its branches included; jsonschema forgets a branch as soon as it has an error."""
    if "$ref" in schema:
        target: Any = _validator().schema
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        known = _known_keys(target, instance)
    else:
        known = set()
    known |= set(schema.get("properties", ()))
    for branch in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        known |= _known_keys(branch, instance)
    if "if" in schema and _validator().evolve(schema=schema["if"]).is_valid(instance):
        known |= _known_keys(schema.get("then", {}), instance)
    return known


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
