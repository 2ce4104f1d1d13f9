"""How a dataset that is not simply a file is fetched: the kinds there are, and the settings each takes in a contract.

In a contract the server says `type: custom`, and its custom property `source` holds `kind` and that kind's settings. The
class of the settings and the class that fetches stand in `lake/sources/`; they are imported when a contract names them.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lake.contracts.document import Node
from lake.contracts.model import Contract
from lake.contracts.standard import suggest

KINDS: dict[str, tuple[str, str]] = {
    "database": (
        "lake.sources.databases.settings:DatabaseSettings",
        "lake.sources.databases.tables:DatabaseSource",
    ),
    "postgres_cdc": (
        "lake.sources.databases.settings:CdcSettings",
        "lake.sources.databases.cdc:ChangeSource",
    ),
    "nats": ("lake.sources.streams.settings:NatsSettings", "lake.sources.streams.source:nats_source"),
    "files": ("lake.sources.remote:RemoteSettings", "lake.sources.remote:RemoteFiles"),
    "rest": ("lake.sources.apis.settings:RestSettings", "lake.sources.apis.rest:RestSource"),
    "odata": ("lake.sources.apis.settings:ODataSettings", "lake.sources.apis.odata:ODataSource"),
    "webhook": (
        "lake.sources.webhooks.settings:WebhookSettings",
        "lake.sources.webhooks.source:WebhookSource",
    ),
}
"""kind -> ('module:SettingsClass', 'module:SourceClass')."""


class SourceSettings(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    kind: str
    poll_minutes: float | None = Field(None, gt=0)
    """How often a sensor fetches it; None: only with the daily run."""

    def problems(self, contract: Contract) -> Iterator[str]:
        """Yield what in the settings does not go with the rest of the contract: what is wrong and what to do."""
        yield from ()


def read_settings(node: Node) -> SourceSettings | None:
    """Return the settings that the property `source` holds; problems are noted where they stand."""
    kind = node.child("kind")
    if kind is None or kind.value not in KINDS:
        (kind or node).reject(f"the source needs a kind: {suggest(str(kind.value if kind else ''), KINDS)}")
        return None
    return make_settings(node, node.value)


def make_settings(node: Node, given: Mapping[str, Any]) -> SourceSettings | None:
    """Return settings of the kind that they name; problems are noted at `node` or the place inside it."""
    try:
        settings: SourceSettings = load(KINDS[given["kind"]][0]).model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            place = node
            for part in problem["loc"]:
                place = place.child(str(part)) or place
            key = ".".join(str(part) for part in problem["loc"])
            place.reject(f"{key}: {problem['msg'].removeprefix('Value error, ')}; correct it")
        return None
    return settings


def load(name: str) -> Any:
    """Import 'module:attribute'."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
