"""Files in remote folders: S3, SFTP, HTTP and whatever else fsspec speaks, listed, downloaded and landed one by one.

A file is one arrival. One whose content the store itself identifies (an ETag) and that stands in the ledger is not
downloaded again; all others are, and are found to be duplicates by their content.
"""

import glob
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from lake import ledger
from lake.company import Company
from lake.connection import Lake
from lake.contracts.model import Contract
from lake.contracts.source_settings import SourceSettings
from lake.errors import SourceFailed
from lake.secrets import Secret, by_reference
from lake.sources.port import Arrival, Position

ATTEMPTS = 3
"""At a file that changes while it is read."""
MAXIMUM_NAME_CHARACTERS = 1000
_SECRET_WORDS = (
    "key",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "connection_string",
)
_ETAGS = ("ETag", "etag", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_BROKEN = (OSError, ValueError, RuntimeError, ImportError)
"""What fsspec's file systems raise, apart from errors of their own libraries, which are wrapped as OSError or below."""


class RemoteSettings(SourceSettings):
    """Where the files lie and how the store is entered."""

    kind: Literal["files"] = "files"
    url: str
    """Glob: 's3://bucket/sales/*.csv', 'sftp://host/out/*.csv', 'https://host/prices.json'."""
    endpoint_url: str | None = None
    """Of an S3 store that is not Amazon's."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """As fsspec's file system takes them; keys, passwords and tokens by reference."""

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not scheme.isalnum() or not rest or "::" in value:
            raise ValueError("write a URL such as s3://bucket/folder/*.csv")
        if "@" in rest.split("/")[0]:
            raise ValueError(
                "a user stands in no URL: write username and password as storage_options, by reference"
            )
        if value.endswith("/"):
            raise ValueError("is a folder: name the files, e.g. with /*.csv at the end")
        return value

    @field_validator("storage_options")
    @classmethod
    def _secrets_by_reference(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {name: _option(name, item) for name, item in value.items()}

    def revealed(self) -> dict[str, Any]:
        """Return the storage options with their secrets filled in; `InputError` names one that is not there."""
        options: dict[str, Any] = _revealed(self.storage_options)
        return options | ({"endpoint_url": self.endpoint_url} if self.endpoint_url else {})


def _option(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {inner: _option(inner, item) for inner, item in value.items()}
    if not isinstance(value, str):
        return value
    is_secret = any(word in name.lower() for word in _SECRET_WORDS) and not name.endswith(
        ("_filename", "_path")
    )
    return by_reference(value) if is_secret else Secret(value)


def _revealed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    return value.reveal() if isinstance(value, Secret) else value


def _secret_texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _secret_texts(item)
    elif isinstance(value, Secret) and value.has_reference:
        yield value.reveal()


class RemoteFiles:
    """One remote folder, open."""

    def __init__(self, company: Company, contract: Contract) -> None:
        """Connect to nothing yet."""
        assert isinstance(contract.source, RemoteSettings)
        self.company, self.contract, self.settings = company, contract, contract.source
        self.problems: list[str] = []
        self._downloads = Downloads(company.remembered / f"{contract.dataset}.json")

    def deliveries(self, position: Position | None) -> Iterator[Arrival]:
        """Yield every file that is new or may have changed, in the order of names.

        Raises `SourceFailed` when the store cannot be listed, and after the last file if some could not be read whole.
        """
        file_system, pattern = self._open()
        found = self._list(file_system, pattern)
        loaded = self._loaded()
        for name, path, info in found:
            identity = _identity(info)
            if identity and self._downloads.content(name, identity) == loaded.get(name, ""):
                continue
            if len(name) > MAXIMUM_NAME_CHARACTERS or not name.isprintable():
                self.problems.append(f"a file there has no usable name ({name[:80]!r}): rename it")
            elif (taken := self._take(file_system, path, name)) is not None:
                yield Arrival(name, taken[0], acknowledge=partial(self._downloads.note, name, *taken[1:]))
        if not found and not loaded and not self.contract.optional:
            self.problems.append("no file is there: deliver one, or mark the contract as optional")
        if self.problems:
            raise self._failed("; ".join(self.problems[:5]))

    def close(self) -> None:
        """Write down what was downloaded."""
        self._downloads.write()

    def _open(self) -> tuple[Any, str]:
        import fsspec

        try:
            options = self.settings.revealed() | {"skip_instance_cache": True, "use_listings_cache": False}
            file_system, pattern = fsspec.core.url_to_fs(self.settings.url, **options)
        except _BROKEN as error:
            raise self._failed(f"the store cannot be opened ({_said(error)})") from None
        return file_system, pattern

    def _list(self, file_system: Any, pattern: str) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return (name, path, what the store says of it) of every file; names are relative to the fixed part."""
        try:
            if glob.has_magic(pattern):
                found = file_system.glob(pattern, detail=True)
            else:
                found = {pattern: file_system.info(pattern)} if file_system.exists(pattern) else {}
        except Exception as error:
            raise self._failed(f"it cannot be listed ({_said(error)})") from None
        parts = pattern.split("/")
        fixed = next((i for i, part in enumerate(parts[:-1]) if glob.has_magic(part)), len(parts) - 1)
        base = "/".join(parts[:fixed]) + "/" if fixed else ""
        files = [
            (path.removeprefix(base), path, info)
            for path, info in found.items()
            if info.get("type") == "file"
        ]
        return sorted(files, key=lambda file: file[0])

    def _take(self, file_system: Any, path: str, name: str) -> tuple[Path, str | None, str] | None:
        """Download a file; return where it is, what identifies it, and its hash. None if it is gone or keeps changing."""
        self.company.arriving.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            with tempfile.NamedTemporaryFile(
                dir=self.company.arriving, prefix="remote-", delete=False
            ) as file:
                local = Path(file.name)
            try:
                before = file_system.info(path)
                file_system.get_file(path, str(local))
                after = file_system.info(path)
                size = before.get("size")
                is_whole = size is None or local.stat().st_size == size
                if is_whole and _state(before) == _state(after):
                    with local.open("rb") as content:
                        return local, _identity(after), hashlib.file_digest(content, "sha256").hexdigest()
            except FileNotFoundError:
                local.unlink(missing_ok=True)
                return None  # taken away since it was listed
            except Exception as error:
                local.unlink(missing_ok=True)
                self.problems.append(f"{name} cannot be read ({_said(error)})")
                return None
            local.unlink()
        self.problems.append(f"{name} changes while it is read: it is left for the next time")
        return None

    def _loaded(self) -> Mapping[str, str]:
        lake = Lake.of(self.company)
        if not lake.exists:
            return {}
        with lake.read() as connection:
            return ledger.held(ledger.noted(connection).get(self.contract.dataset, ())).by_name

    def _failed(self, problem: str) -> SourceFailed:
        for secret in _secret_texts(self.settings.storage_options):
            problem = problem.replace(secret, "***")
        return SourceFailed(
            f"{self.settings.url} of {self.contract.dataset}: {problem}; what came before it stands; run again when the"
            " store answers."
        )


class Downloads:
    """Which content was downloaded as which version of a remote file. Losing it costs a download and nothing else."""

    def __init__(self, path: Path) -> None:
        """Read what was written before; anything else than that counts as nothing."""
        self.path = path
        self.known: dict[str, list[str]] = {}
        self._is_new = False
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(known, dict):
            self.known = known

    def content(self, name: str, identity: str) -> str | None:
        """Return the hash of what was downloaded under this name, if it was this version."""
        found = self.known.get(name)
        return found[1] if isinstance(found, list) and len(found) == 2 and found[0] == identity else None

    def note(self, name: str, identity: str | None, content: str) -> None:
        """Remember a download whose rows are committed."""
        if identity:
            self.known[name] = [identity, content]
            self._is_new = True

    def write(self) -> None:
        """Keep it for the next time, whole or not at all."""
        if self._is_new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path.parent, prefix=f".{self.path.name}-", encoding="utf-8", delete=False
            ) as file:
                json.dump(self.known, file)
            Path(file.name).replace(self.path)


def _state(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What a change of a file would change, as far as its store tells."""
    return tuple(str(info.get(name)) for name in ("size", *_ETAGS, *_TIMES, "ino"))


def _identity(info: Mapping[str, Any]) -> str | None:
    """Return what identifies a file's content; None where only size and time do, because copies keep these."""
    tag = next((info[name] for name in _ETAGS if info.get(name)), None)
    return f"{tag} {info.get('size')}" if tag else None


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
