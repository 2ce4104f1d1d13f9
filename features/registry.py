"""The registry: what is defined, planned and applied when it changed, and stores opened on it.

By default a file in the home; for teams a schema of PostgreSQL (`registry.py` decides by company.yaml, features.registry).
Importing this module does not import Feast (14 CPU seconds cold): a run whose definitions have not changed never does.
"""

import copy
import hashlib
import importlib.metadata
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock

from lake.company import Company
from lake.dbt_files import SOURCE_PROJECT
from lake.errors import InputError
from lake.releases import Release

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = "stocklake"
DEFINITIONS = (
    "entities.py",
    "services.py",
    "definitions.py",
    "cover.py",
    "stores/source.py",
    "views/*.py",
)
_FEASTS_OWN_ENTITY = "__dummy"
FORMAT = 2
"""Raise it when the way of applying changes, so that every registry is written anew."""


def fingerprint() -> str:
    """Return a hash of everything that the registry follows from: the definitions' text and Feast's version."""
    digest = hashlib.sha256(f"{FORMAT} {importlib.metadata.version('feast')}".encode())
    here = Path(__file__).parent
    for path in [found for pattern in DEFINITIONS for found in sorted(here.glob(pattern))]:
        digest.update(path.read_bytes())
    for path in sorted((SOURCE_PROJECT / "models" / "marts").glob("*.yml")):  # words and units of the fields
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Change:
    """What applying would do to one object of the registry."""

    action: str
    """create, update or delete."""
    kind: str
    name: str
    fields: tuple[str, ...] = ()
    """What is updated of it."""


def plan(company: Company) -> list[Change]:
    """Return what `apply` would change, and change nothing. Raises what the definitions are wrong in."""
    from feast import FeatureStore, RepoConfig

    with _quiet():
        if not is_shared(company) and not _registry(company).exists():
            from features.definitions import OBJECTS

            return [Change("create", type(thing).__name__, thing.name) for thing in OBJECTS]
        store = FeatureStore(config=RepoConfig(**settings(company)))
        differences, _, _ = store.plan(_contents())
    found = []
    for difference in differences.feast_object_diffs:
        action = difference.transition_type.name.lower()
        is_ours = difference.feast_object_type.name != "PROJECT" and difference.name != _FEASTS_OWN_ENTITY
        if action not in ("create", "update", "delete") or not is_ours:
            continue
        fields = tuple(sorted({one.property_name for one in difference.feast_object_property_diffs}))
        found.append(Change(action, difference.feast_object_type.value, difference.name, fields))
    return sorted(found, key=lambda change: (change.kind, change.name))


def apply(company: Company) -> bool:
    """Bring the registry and the online tables up to the definitions; return whether anything had to be done.

    Never called inside a run: a run reads definitions, it does not change them. Two at once are safe (one waits, and
    finds it done), a killed one is repeated. Readers of a file see the old registry or the new one, never half of it;
    on PostgreSQL each object changes by itself, under an advisory lock.
    """
    company.feast.mkdir(parents=True, exist_ok=True)
    current = fingerprint()
    if is_shared(company):
        from features.shared_registry import applied_under_lock

        done = applied_under_lock(registry_url(company), current, lambda: _apply_to(company, None))
        _write_settings(company)
        return done
    applied = company.feast / "applied.sha256"
    with FileLock(company.feast / "apply.lock"):
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
        _write_settings(company)
        _replace_text(applied, current)
    return True


def require_applied(company: Company) -> None:
    """See that the registry stands as the definitions are, before a run: a file is applied, a shared one has to be.

    Raises `InputError` when a team's registry was applied from other definitions: a run never changes what others read.
    """
    if not is_shared(company):
        apply(company)
        return
    from features.shared_registry import applied_fingerprint

    if applied_fingerprint(registry_url(company)) != fingerprint():
        raise InputError(
            "The features' registry was applied from other definitions than these: see what differs with "
            "`stocklake features plan`, and let CI (or you) run `stocklake features apply`."
        )


def is_shared(company: Company) -> bool:
    """Say whether the registry is a database that others read too."""
    return company.settings.feature_registry is not None


def registry_url(company: Company) -> str:
    """Return the SQLAlchemy URL of a shared registry, secrets filled in."""
    secret = company.settings.feature_registry
    assert secret is not None
    return _driver(secret.reveal())


def settings(
    company: Company, snapshot_id: int | None = None, registry: Path | None = None
) -> dict[str, Any]:
    """Return the content of a company's feature_store.yaml; without a snapshot it reads the newest release."""
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": _registry_settings(company, registry),
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

    if not is_shared(company) and not _registry(company).exists():
        apply(company)
    snapshot_id = release.snapshot_id if isinstance(release, Release) else release
    return FeatureStore(config=RepoConfig(**settings(company, snapshot_id)))


def _apply_to(company: Company, registry: Path | None) -> None:
    from feast import FeatureStore, RepoConfig

    from features.definitions import OBJECTS

    with _quiet():
        store = FeatureStore(config=RepoConfig(**settings(company, registry=registry)))
        # A copy: applying writes into what it applies, and would not take it a second time.
        store.apply(
            copy.deepcopy(OBJECTS), objects_to_delete=_no_longer_defined(store, OBJECTS), partial=False
        )


def _contents() -> Any:
    from feast.project import Project
    from feast.repo_contents import RepoContents

    from features import definitions

    return copy.deepcopy(
        RepoContents(
            projects=[Project(name=PROJECT)],
            data_sources=definitions.SOURCES,
            feature_views=definitions.VIEWS,
            on_demand_feature_views=definitions.ON_DEMAND_VIEWS,
            stream_feature_views=[],
            label_views=[],
            entities=definitions.ENTITIES,
            feature_services=definitions.SERVICES,
            permissions=[],
        )
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Feast's word that on-demand views are experimental: ours are held to their history by tests."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is an experimental feature", RuntimeWarning)
        yield


def _registry_settings(
    company: Company, registry: Path | None, *, by_reference: bool = False
) -> dict[str, Any]:
    if not is_shared(company) or registry is not None:
        return {"path": str(registry or _registry(company)), "cache_ttl_seconds": 0}
    url = registry_url(company)
    if by_reference:
        template = str(company.settings.feature_registry)
        url = _driver(re.sub(r"\$\{env:([^}]+)\}", r"${\1}", template))  # as Feast's own files name variables
    return {"registry_type": "sql", "path": url, "cache_ttl_seconds": 60, "cache_mode": "sync"}


def _driver(url: str) -> str:
    """Name the driver that we have; Feast would take psycopg 3."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", url)


def _write_settings(company: Company) -> None:
    content = settings(company) | {"registry": _registry_settings(company, None, by_reference=True)}
    _replace_text(company.feast / "feature_store.yaml", yaml.safe_dump(content, sort_keys=False))


def _no_longer_defined(store: "FeatureStore", objects: list[Any]) -> list[Any]:
    defined = {(type(thing), thing.name) for thing in objects}
    standing = [
        *store.list_feature_services(),
        *store.list_on_demand_feature_views(),
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
