"""What OpenLineage's specification (2-0-2) says of a run event and of the facets told here, written from the specification."""

from typing import Any

import jsonschema

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_TEXT = {"type": "string", "minLength": 1}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _facet(**required: Any) -> dict[str, Any]:
    urls = {
        "_producer": {"type": "string", "pattern": "^[a-z]+:"},
        "_schemaURL": {"type": "string", "pattern": "^https://openlineage.io/"},
    }
    return _object(urls | required)


_SOURCE = _object({"namespace": _TEXT, "name": _TEXT, "field": _TEXT})
_DATASET_FACETS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "schema": _facet(
            fields={"type": "array", "items": _object({"name": _TEXT}, type=_TEXT, description=_TEXT)}
        ),
        "documentation": _facet(description=_TEXT),
        "ownership": _facet(owners={"type": "array", "items": _object({"name": _TEXT})}),
        "version": _facet(datasetVersion=_TEXT),
        "columnLineage": _facet(
            fields={
                "type": "object",
                "additionalProperties": _object(
                    {"inputFields": {"type": "array", "minItems": 1, "items": _SOURCE}}
                ),
            }
        ),
    },
}
_ASSERTION = _object(
    {"assertion": _TEXT, "success": {"type": "boolean"}}, column=_TEXT, severity={"enum": ["error", "warn"]}
)
_COUNTS = {"rowCount": {"type": "integer", "minimum": 0}}


def _dataset(**facets: Any) -> dict[str, Any]:
    return _object({"namespace": _TEXT, "name": _TEXT}, facets=_DATASET_FACETS, **facets)


_JOB = _object({"namespace": _TEXT, "name": _TEXT})
RUN_EVENT = _object(
    {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        },
        "producer": {"type": "string", "pattern": "^[a-z]+:"},
        "schemaURL": {"type": "string", "pattern": "^https://openlineage.io/spec/"},
        "run": _object(
            {"runId": {"type": "string", "pattern": _UUID}},
            facets={
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "parent": _facet(run=_object({"runId": {"type": "string", "pattern": _UUID}}), job=_JOB),
                    "errorMessage": _facet(message=_TEXT, programmingLanguage=_TEXT),
                },
            },
        ),
        "job": _object(
            _JOB["properties"],
            facets=_object(
                {"jobType": _facet(processingType={"enum": ["BATCH", "STREAMING"]}, integration=_TEXT)}
            ),
        ),
        "inputs": {
            "type": "array",
            "items": _dataset(
                inputFacets=_object(
                    {}, dataQualityAssertions=_facet(assertions={"type": "array", "items": _ASSERTION})
                )
            ),
        },
        "outputs": {
            "type": "array",
            "items": _dataset(outputFacets=_object({}, outputStatistics=_facet(**_COUNTS))),
        },
    }
)
_VALIDATOR = jsonschema.Draft202012Validator(RUN_EVENT)


def problems(event: dict[str, Any]) -> list[str]:
    """Return what is wrong with an event."""
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in _VALIDATOR.iter_errors(event)
    ]
