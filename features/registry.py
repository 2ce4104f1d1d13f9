"""The registry: what is defined, applied when it changed, and stores opened on it.

Importing this module does not import Feast (14 CPU seconds cold): a run whose definitions have not changed never does.
"""

import hashlib
import importlib.metadata
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock

from lake.company import Company
from lake.releases import Release

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = "stocklake"
DEFINITIONS = ("entities.py", "views.py", "services.py", "definitions.py", "stores/source.py")
FORMAT = 2
"""Raise it when the way of applying changes, so that every registry is written anew."""


def fingerprint() -> str:
    """Return a hash of everything that the registry follows from: the definitions' text and Feast's version."""
    digest = hashlib.sha256(f"{FORMAT} {importlib.metadata.version('feast')}".encode())
    for name in DEFINITIONS:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def apply(company: Company) -> bool:
    """Bring the registry and the online tables up to the definitions; return whether anything had to be done.

    Never called inside a run: a run reads definitions, it does not change them. Two at once are safe (one waits, and
    finds it done), a killed one is repeated, and readers see the old registry or the new one, never half of it.
    """
    company.feast.mkdir(parents=True, exist_ok=True)
    applied = company.feast / "applied.sha256"
    with FileLock(company.feast / "apply.lock"):
        current = fingerprint()
        registry = _registry(company)
        if registry.exists() and applied.exists() and applied.read_text(encoding="utf-8") == current:
            return False
        making = registry.with_suffix(".making")
        if registry.exists():
            shutil.copyfile(registry, making)
        else:
            making.unlink(missing_ok=True)
        _apply_to(company, making)
        making.replace(registry)
        _replace_text(
            company.feast / "feature_store.yaml", yaml.safe_dump(settings(company), sort_keys=False)
        )
        _replace_text(applied, current)
    return True


def settings(
    company: Company, snapshot_id: int | None = None, registry: Path | None = None
) -> dict[str, Any]:
    """Return the content of a company's feature_store.yaml; without a snapshot it reads the newest release."""
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {"path": str(registry or _registry(company)), "cache_ttl_seconds": 0},
        "offline_store": {
            "type": "features.stores.lake.LakeOfflineStore",
            "company": company.name,
            "home": str(company.home.parent),
            "snapshot_id": snapshot_id,
        },
        "online_store": _online_store(company),
        "entity_key_serialization_version": 3,
        "materialization": {"pull_latest_features": True},
    }


def _online_store(company: Company) -> dict[str, Any]:
    """Return Redis' block where company.yaml names one (its URL with references, not with secrets), else SQLite's."""
    redis = company.settings.online.redis
    if redis is None:
        return {
            "type": "features.stores.online_sqlite.LakeSqliteOnlineStore",
            "path": str(company.feast / "online.db"),
        }
    return {
        "type": "features.stores.online_redis.LakeRedisOnlineStore",
        "connection_string": redis.template,
        "company": company.name,
    }


def open_store(company: Company, release: Release | int | None = None) -> "FeatureStore":
    """Return Feast's store of a company: history at a release (or its snapshot id; None is the newest release),
    today's values in its online store.

    Applies the definitions first if no registry exists.
    """
    from feast import FeatureStore, RepoConfig

    if not _registry(company).exists():
        apply(company)
    snapshot_id = release.snapshot_id if isinstance(release, Release) else release
    return FeatureStore(config=RepoConfig(**settings(company, snapshot_id)))


def _apply_to(company: Company, registry: Path) -> None:
    from feast import FeatureStore, RepoConfig

    from features.definitions import OBJECTS

    store = FeatureStore(config=RepoConfig(**settings(company, registry=registry)))
    store.apply([*OBJECTS], objects_to_delete=_no_longer_defined(store, OBJECTS), partial=False)


def _no_longer_defined(store: "FeatureStore", objects: list[Any]) -> list[Any]:
    defined = {(type(thing), thing.name) for thing in objects}
    standing = [
        *store.list_feature_services(),
        *store.list_feature_views(),
        *store.list_data_sources(),
        *store.list_entities(),
    ]
    return [thing for thing in standing if (type(thing), thing.name) not in defined]


def _registry(company: Company) -> Path:
    return company.feast / "registry.db"


def _replace_text(path: Path, text: str) -> None:
    making = path.with_suffix(".making")
    making.write_text(text, encoding="utf-8")
    making.replace(path)
