"""What the definitions say, as plain rows: for people who look for a feature. Reads no registry and no lake."""

import warnings
from typing import Any

from feast import FeatureService, FeatureView, Field
from feast.on_demand_feature_view import OnDemandFeatureView

from lake.errors import InputError


def feature_rows(service: str | None = None) -> list[dict[str, Any]]:
    """Return one row per feature, in the order of the views. Raises `InputError` for an unknown service."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is an experimental feature", RuntimeWarning)
        from features.definitions import ON_DEMAND_VIEWS, SERVICES, VIEWS

    rows = [_feature(view, field) for view in [*VIEWS, *ON_DEMAND_VIEWS] for field in view.features]
    if service is None:
        return rows
    named = {one.name: one for one in SERVICES}
    if service not in named:
        raise InputError(f"There is no service {service!r}: choose among {', '.join(sorted(named))}.")
    wanted = {
        (projection.name, field.name)
        for projection in named[service].feature_view_projections
        for field in projection.features
    }
    return [row for row in rows if (row["view"], row["feature"]) in wanted]


def describe(name: str) -> list[dict[str, Any]]:
    """Return what is known by a name: of every feature, view and service that has it. `InputError` if nothing has."""
    rows = feature_rows()
    from features.definitions import ON_DEMAND_VIEWS, SERVICES, VIEWS

    found = [row for row in rows if row["feature"] == name]
    found += [_view(view) for view in [*VIEWS, *ON_DEMAND_VIEWS] if view.name == name]
    found += [_service(service) for service in SERVICES if service.name == name]
    if not found:
        raise InputError(f"No feature, view or service is called {name!r}: see `stocklake features list`.")
    return found


def _feature(view: FeatureView | OnDemandFeatureView, field: Field) -> dict[str, Any]:
    return {
        "feature": field.name,
        "view": view.name,
        "keys": _keys(view),
        "type": str(field.dtype),
        "unit": field.tags.get("unit") or view.tags.get("unit", ""),
        "meaning": field.description or view.description,
        "made_by": _made_by(view),
        "too_old_after_days": _ttl_days(view),
        "owner": view.owner,
        "services": _services(view.name, field.name),
    }


def _view(view: FeatureView | OnDemandFeatureView) -> dict[str, Any]:
    return {
        "view": view.name,
        "keys": _keys(view),
        "meaning": view.description,
        "features": [field.name for field in view.features],
        "made_by": _made_by(view),
        "too_old_after_days": _ttl_days(view),
        "owner": view.owner,
    }


def _service(service: FeatureService) -> dict[str, Any]:
    return {
        "service": service.name,
        "meaning": service.description,
        "features": [
            f"{projection.name}:{field.name}"
            for projection in service.feature_view_projections
            for field in projection.features
        ],
        "owner": service.owner,
        "tags": [f"{key}: {value}" for key, value in service.tags.items()],
    }


def _keys(view: FeatureView | OnDemandFeatureView) -> str:
    if isinstance(view, OnDemandFeatureView):
        from features.definitions import VIEWS

        sources = {projection.name for projection in view.source_feature_view_projections.values()}
        names = [key.name for one in VIEWS if one.name in sources for key in one.entity_columns]
        return ", ".join(dict.fromkeys(names))
    return ", ".join(key.name for key in view.entity_columns)


def _made_by(view: FeatureView | OnDemandFeatureView) -> str:
    if isinstance(view, OnDemandFeatureView):
        return f"function {view.name} in features/views/on_demand.py, when it is asked for"
    return f"dbt_project/models/{view.batch_source.table.replace('.', '/')}.sql"


def _ttl_days(view: FeatureView | OnDemandFeatureView) -> int | str:
    return "as its inputs are" if isinstance(view, OnDemandFeatureView) else view.ttl.days


def _services(view: str, feature: str) -> list[str]:
    from features.definitions import SERVICES

    return [
        service.name
        for service in SERVICES
        if any(
            projection.name == view and any(field.name == feature for field in projection.features)
            for projection in service.feature_view_projections
        )
    ]
