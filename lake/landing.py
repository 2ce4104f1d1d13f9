"""Originals: every delivered file, kept unchanged under the hash of its content. Nothing is read or judged here."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lake.company import Company
from lake.contracts.model import Contract
from lake.errors import FileRefused, StillArriving
from lake.period import Period
from lake.sources.files import find_files
from lake.sources.text import clean

_CHUNK_BYTES = 1 << 20
MAXIMUM_NAME_CHARACTERS = 1000
"""With the folders below the contract's fixed part."""


@dataclass(frozen=True)
class LandedFile:
    """One delivery as it stands in landing."""

    dataset: str
    name: str
    """File name as delivered; below a folder with a wildcard, the path from there."""
    path: Path
    """Where its content is kept; nothing is there if its retention has ended (`is_purged`)."""
    sha256: str
    size_bytes: int
    origin: Path = Path()
    """Where it arrived."""
    companion: Path | None = None
    """Its control file as it is kept, where the contract names one."""

    @property
    def is_purged(self) -> bool:
        """Whether the content was kept once, and is no more."""
        return not self.path.exists()

    def kept_again(self, landing: Path) -> "LandedFile":
        """Keep a purged content that is delivered as news; `FileRefused` when that cannot be."""
        return replace(land_file(landing, self.dataset, self.name, self.origin), companion=self.companion)


def original(landing: Path, sha256: str) -> Path:
    """Return where a content is kept."""
    return landing / sha256[:2] / sha256


def forget(landing: Path, sha256: str) -> None:
    """Delete a content, and note that it was kept: lying in the inbox still, it is not kept again."""
    path = original(landing, sha256)
    _marker(path).touch(mode=0o400)
    path.unlink(missing_ok=True)


def _marker(path: Path) -> Path:
    return path.with_suffix(".purged")


def land(company: Company, contract: Contract) -> list[LandedFile]:
    """Copy what has arrived for a dataset into landing and return all of it, old and new, sorted by name.

    Raises `ContractError` for an unknown variable in the contract's path, `FileRefused` for a file that cannot be
    read, `StillArriving` for one that changes meanwhile; `land_each` goes on past such a file.
    """
    landed = []
    for _, outcome in land_each(company, contract):
        if not isinstance(outcome, LandedFile):
            raise outcome
        landed.append(outcome)
    return landed


def land_each(
    company: Company, contract: Contract, known: Collection[str] = (), *, period: Period | None = None
) -> Iterator[tuple[str, LandedFile | FileRefused | StillArriving]]:
    """Yield (name, landed file, or why it was refused or left) for every file of a dataset, sorted by name.

    Every file is hashed on every call: a size and a time of change that stayed the same do not prove the same
    content (copies keep times, and a file system's clock is coarse), and hashing costs about 1 s per GB. `known` are names
    that came before: what comes under another is hashed while it is copied.
    """
    for name, path in find_files(company, contract):
        if period is not None and not period.holds(name):
            continue
        try:
            _check_name(name)
            before = _state(path)
            is_new = name not in known
            landed = land_file(company.landing, contract.dataset, name, path, skip_purged=True, is_new=is_new)
            if _state(path) != before:
                raise StillArriving(f"{name} changes while it is read: it is left for the next time.")
            yield name, replace(landed, companion=_land_companion(company.landing, contract, path))
        except (FileRefused, StillArriving) as reason:
            yield clean(name), reason


def _check_name(name: str) -> None:
    """Refuse a file whose name no ledger, message or terminal can show as it is."""
    if not name.isprintable() or len(name) > MAXIMUM_NAME_CHARACTERS:
        raise FileRefused(
            f"A file has no usable name ({clean(name)[:200]!r}): rename it with up to {MAXIMUM_NAME_CHARACTERS:,}"
            " printable characters, and run again."
        )


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change, None if the file is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _land_companion(landing: Path, contract: Contract, path: Path) -> Path | None:
    """Keep the control file that lies beside a file; None if the contract names none or it has not arrived."""
    beside = companion_of(contract, path)
    if beside is None or not beside.is_file():
        return None
    return land_file(landing, contract.dataset, beside.name, beside).path


def companion_of(contract: Contract, path: Path) -> Path | None:
    """Return where the control file of a data file lies, None if the contract names none."""
    totals = contract.control_totals
    if totals is None or totals.companion is None:
        return None
    return path.with_name(totals.companion.path.replace("{stem}", path.stem).replace("{name}", path.name))


def land_file(
    landing: Path, dataset: str, name: str, path: Path, *, skip_purged: bool = False, is_new: bool = False
) -> LandedFile:
    """Keep one file under its hash; `FileRefused` when it cannot be read or kept.

    With `skip_purged` a content whose retention has ended is only recognised, not kept again. One that `is_new` is read
    once: hashed while it is copied, even if it turns out to be there already.
    """
    try:
        sha256, size = ("", 0) if is_new else _copy(path, None)
        target = original(landing, sha256)
        if is_new:
            sha256, size, target = _store(path, landing)
            if skip_purged and _marker(target).exists():
                target.unlink()
            else:
                _marker(target).unlink(missing_ok=True)
        elif not target.exists() and not (skip_purged and _marker(target).exists()):
            sha256, size, target = _store(path, landing)
            _marker(target).unlink(missing_ok=True)
    except OSError as error:
        raise FileRefused(
            f"{name} cannot be read or kept ({error.strerror}: {error.filename or path}): correct its permissions, or"
            " make room, and run again."
        ) from error
    return LandedFile(dataset, name, target, sha256, size, path)


def _store(path: Path, landing: Path) -> tuple[str, int, Path]:
    """Copy to a temporary file, then rename it to its hash: a reader sees all of it or nothing."""
    landing.mkdir(parents=True, exist_ok=True)
    landing.chmod(0o700)
    descriptor, temporary = tempfile.mkstemp(dir=landing, prefix=".arriving-")
    try:
        with os.fdopen(descriptor, "wb") as copy:
            # The copy's own hash counts: the file may have changed since it was hashed.
            sha256, size = _copy(path, copy.write)
            copy.flush()
            os.fchmod(descriptor, 0o400)
            os.fsync(descriptor)
        target = original(landing, sha256)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        if not target.exists():
            Path(temporary).replace(target)
        _sync_folder(target.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return sha256, size, target


def _copy(path: Path, write: Callable[[bytes], object] | None) -> tuple[str, int]:
    """Read a file once; return its hash and size."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if write:
                write(chunk)
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
