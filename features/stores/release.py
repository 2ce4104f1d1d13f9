"""Which release the offline store reads: from its settings (`LakeOfflineStoreConfig`) to a connection at that snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from feast.repo_config import RepoConfig

from lake.company import load_company
from lake.connection import Lake
from lake.errors import NoRelease
from lake.releases import current_release, list_releases


def lake_of(config: RepoConfig) -> Lake:
    """Return the lake that the offline store's settings name."""
    settings = config.offline_store
    root = Path(config.repo_path or ".").resolve()
    return Lake.of(load_company(settings.company, (root / settings.home).resolve()))


def exports_of(config: RepoConfig) -> Path:
    """Return the folder of exported results; relative paths of saved datasets begin there."""
    settings = config.offline_store
    home = (Path(config.repo_path or ".").resolve() / settings.home).resolve()
    return load_company(settings.company, home).feast / "exports"


def has_release(config: RepoConfig) -> bool:
    """Say whether there is anything to read yet."""
    lake = lake_of(config)
    if not lake.exists:
        return False
    return config.offline_store.snapshot_id is not None or bool(list_releases(lake))


@contextmanager
def open_release(config: RepoConfig) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the lake read-only at one release: every table that is read belongs to the same snapshot.

    Raises `NoRelease` when there is none, and `GateFailed` when none is named and the newest gate run failed.
    """
    lake = lake_of(config)
    if not lake.exists:
        raise NoRelease(
            f"There is no lake at {lake.catalog}: run `stocklake run`, which builds it and passes it through its gate."
        )
    snapshot: int | None = config.offline_store.snapshot_id
    if snapshot is None:
        snapshot = current_release(lake).snapshot_id
    with lake.read(snapshot) as connection:
        # An Arrow table has no known size: the default would plan a loop join, a thousand times slower.
        connection.execute("SET asof_loop_join_threshold = 0")
        connection.execute(f"SET memory_limit = '{config.offline_store.memory_limit_mb}MB'")
        yield connection
