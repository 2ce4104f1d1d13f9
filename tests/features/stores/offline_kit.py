"""A Feast whose offline store is a lake below the test's own folder."""

from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig


def feast_on_lake(home: Path, objects: list[Any], **more: Any) -> FeatureStore:
    """Return a store over the company `example` in `home`/homes, with the definitions applied; `more` goes to its config."""
    config = {
        "project": "stocklake",
        "registry": str(home / "registry.db"),
        "offline_store": {
            "type": "features.stores.lake.LakeOfflineStore",
            "company": "example",
            "home": "homes",
        },
        "online_store": {"type": "sqlite", "path": str(home / "online.db")},
        "repo_path": home,
    }
    store = FeatureStore(config=RepoConfig(**(config | more)))
    store.apply(objects)
    return store
