"""A registry as a message: read from its file or its database, without making objects of it, so that nothing in it is run."""

from pathlib import Path
from typing import Any, Protocol

from feast.protos.feast.core.Registry_pb2 import Registry
from google.protobuf.message import DecodeError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from lake.errors import InputError

_TABLES = {
    "feature_views": ("feature_view_proto", "feature_views"),
    "on_demand_feature_views": ("feature_view_proto", "on_demand_feature_views"),
    "stream_feature_views": ("feature_view_proto", "stream_feature_views"),
    "feature_services": ("feature_service_proto", "feature_services"),
}
"""Tables of Feast's SQL registry: the column that holds the message, and where it belongs in the whole."""


class RegistryFile(Protocol):
    """Where a registry stands."""

    def state(self) -> object:
        """Return what is another object when the registry changed. Raises `InputError` when there is none."""

    def read(self) -> Registry:
        """Return the registry. Raises `InputError` when it cannot be read."""


class FileRegistry:
    """A registry in a file, which is replaced whole."""

    def __init__(self, path: Path) -> None:
        """Remember the path."""
        self._path = path

    def __str__(self) -> str:
        """Name it."""
        return str(self._path)

    def state(self) -> object:
        """Return the file's identity."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise InputError(
                f"There is no registry at {self}: run `stocklake run`, which makes it."
            ) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Registry:
        """Return what the file holds."""
        try:
            registry: Registry = Registry.FromString(self._path.read_bytes())
        except DecodeError as error:
            raise InputError(f"The registry {self} is damaged: delete it and run `stocklake run`.") from error
        return registry


class DatabaseRegistry:
    """Feast's SQL registry; its URL, which holds a password, is shown nowhere."""

    def __init__(self, url: str, project: str) -> None:
        """Make the engine; nothing is connected yet."""
        self._engine = create_engine(url, pool_pre_ping=True)
        self._project = project

    def __str__(self) -> str:
        """Name it, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def state(self) -> object:
        """Return how many objects there are and when the newest changed."""
        return [
            row
            for table in _TABLES
            for row in self._rows(f"SELECT count(*), max(last_updated_timestamp) FROM {table}")
        ]

    def read(self) -> Registry:
        """Return the objects as one message."""
        registry = Registry()
        for table, (column, field) in _TABLES.items():
            for (message,) in self._rows(f"SELECT {column} FROM {table}"):
                try:
                    getattr(registry, field).add().ParseFromString(bytes(message))
                except DecodeError as error:
                    raise InputError(
                        f"The registry {self} is damaged in {table}: apply the definitions again."
                    ) from error
        return registry

    def _rows(self, select: str) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(
                    connection.execute(
                        text(f"{select} WHERE project_id = :project"), {"project": self._project}
                    )
                )
        except SQLAlchemyError as error:
            said = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise InputError(
                f"The registry {self} cannot be read ({said}): see that its database runs and that the definitions were applied."
            ) from error


def registry_of(settings: Any, project: str) -> FileRegistry | DatabaseRegistry:
    """Return the registry that Feast's settings name."""
    if settings.registry_type == "sql":
        return DatabaseRegistry(settings.path, project)
    return FileRegistry(Path(settings.path))
