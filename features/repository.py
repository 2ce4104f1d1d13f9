"""The door of the Feast repository: what the other rooms call. What a feature *is* stands in entities, views, services.

    plan(company), apply(company)               what of the definitions changed goes to the registry: in CI, or by hand
    require_applied(company)                    before a run: a file is applied, a team's registry has to be
    historical(company, release, entity_rows)   features of the past as known then, for training
    materialize(company, release)               newest values to the online store; online(...) reads them
    record_training_set(...)                    what a model was trained on; reproduce_training_set(...) makes it again
    open_store(company, release)                Feast's own FeatureStore, for all else

By hand, with Feast's own commands, from the folder `features/` (for the example company; for another one add
`-f <home>/<company>/feast/feature_store.yaml`, which `apply` writes):

    feast apply        feast feature-views list        feast feature-services describe demand_forecast_v1
    feast ui           feast materialize 2026-01-01T00:00:00 2026-02-01T00:00:00

Importing this module is cheap: Feast itself is imported by the first function that needs it.
"""

from features.online import materialize, newest_moment, online
from features.registry import Change, apply, open_store, plan, require_applied
from features.training import TrainingSet, historical, record_training_set, reproduce_training_set

__all__ = [
    "Change",
    "TrainingSet",
    "apply",
    "historical",
    "materialize",
    "newest_moment",
    "online",
    "open_store",
    "plan",
    "record_training_set",
    "reproduce_training_set",
    "require_applied",
]
