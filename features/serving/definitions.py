"""What is served: views and services of a registry that is read and never written, and out of which no code is loaded.

Feast stores functions in its registry as pickles and runs them when it reads them; whoever can write the registry could run
anything here. So the registry is read as a message, and one that holds a function is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feast import FeatureService, FeatureView, OnDemandFeatureView, RepoConfig
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.protos.feast.core.Registry_pb2 import Registry

from features.definitions import OBJECTS
from features.registry import settings as store_settings
from features.serving.reading import registry_of
from features.stores.online_reader import OnlineReader
from lake.company import Company
from lake.errors import InputError


@dataclass
class Definitions:
    """The services of one state of the registry, ready to be read."""

    config: RepoConfig
    online_store: Any
    views: Mapping[str, FeatureView]
    services: Mapping[str, FeatureService]
    on_demand: Mapping[str, OnDemandFeatureView]

    def __post_init__(self) -> None:
        """Begin without readers."""
        self._readers: dict[tuple[str, bool], OnlineReader] = {}

    def reader(self, service: str, full_feature_names: bool) -> OnlineReader:
        """Return the reader of a service, made when it is first asked for."""
        key = (service, full_feature_names)
        if key not in self._readers:
            self._readers[key] = OnlineReader(
                self.config,
                self.online_store,
                self.views,
                self.services[service],
                self.on_demand,
                full_feature_names=full_feature_names,
            )
        return self._readers[key]


class ServedRegistry:
    """The registry of a company, read again when its file has changed."""

    def __init__(self, company: Company) -> None:
        """Read it. Raises `InputError` when there is none, or when it holds stored code."""
        self._config = RepoConfig(**store_settings(company))
        self._registry = registry_of(self._config.registry, self._config.project)
        self._online_store = get_online_store_from_config(self._config.online_store)
        self._on_demand = {one.name: one for one in OBJECTS if isinstance(one, OnDemandFeatureView)}
        self._state = self._registry.state()
        self.definitions = self._read()

    def refresh(self) -> bool:
        """Read the registry again if it changed; return whether it did. Raises `InputError` and keeps what it had."""
        state = self._registry.state()
        if state == self._state:
            return False
        self._state = state
        self.definitions = self._read()
        return True

    def _read(self) -> Definitions:
        registry = self._registry.read()
        if stored := stored_code(registry, set(self._on_demand)):
            raise InputError(
                f"The registry {self._registry} holds stored code ({', '.join(stored)[:300]}), which is never run here: find out "
                "who wrote it, and make the registry anew of the definitions."
            )
        _forget_sources(registry)
        views = [FeatureView.from_proto(view, skip_udf=True) for view in registry.feature_views]
        services = [FeatureService.from_proto(service) for service in registry.feature_services]
        return Definitions(
            self._config,
            self._online_store,
            {view.name: view for view in views},
            {service.name: service for service in services},
            self._on_demand,
        )


def stored_code(registry: Registry, known: set[str]) -> list[str]:
    """Return the names of what holds a stored function; on-demand views of `known` names are taken from our own code."""
    found = [f"stream feature view {view.spec.name}" for view in registry.stream_feature_views]
    for view in registry.on_demand_feature_views:
        if view.spec.name not in known:
            found.append(f"on-demand feature view {view.spec.name}")
    for view in registry.feature_views:
        if view.spec.HasField("feature_transformation") or view.spec.source_views:
            found.append(f"feature view {view.spec.name}")
    return found


def _forget_sources(registry: Registry) -> None:
    """Take out data sources, which online reading has no use for: a registry can name any class for them."""
    for view in registry.feature_views:
        view.spec.ClearField("batch_source")
        view.spec.ClearField("stream_source")
    for service in registry.feature_services:
        for projection in service.spec.features:
            projection.ClearField("batch_source")
            projection.ClearField("stream_source")
