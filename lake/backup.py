"""Copies of a lake in the home folder: `backup` makes one beside readers and writers, `restore` puts one in place.

A backup has the home's layout: the catalogue, the data files that it names, the entity rows of training sets, on wish the
originals; and `manifest.json`, written last, with size and hash of each. What runs can make again is not in it.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from lake.catalogs import SqliteCatalog
from lake.company import Company
from lake.connection import Lake
from lake.errors import InputError, StocklakeError
from lake.maintenance import named_files, verify

_MANIFEST, _FORMAT = "manifest.json", 1
_CATALOG = PurePosixPath("lake/catalog.sqlite")
_DATA, _LANDING, _TRAINING = (
    PurePosixPath("lake/data"),
    PurePosixPath("landing"),
    PurePosixPath("feast/training_sets"),
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: Path
    snapshot_id: int
    """The newest snapshot in it."""
    files: int
    size_bytes: int
    replaced: Path | None = None
    """Where `restore` put the lake that stood there before."""


def backup(company: Company, to: Path, *, landing: bool = False, link: bool = False) -> Backup:
    """Copy the lake as it stands at one moment to a new folder, which appears under its name when it is whole.

    With `link` data files are hard links where the disk allows: quick, and safe from deletion, not from a broken disk.
    Raises `InputError` where it cannot be made so or there, and `StocklakeError` where the lake itself is damaged.
    """
    lake, to = _local(company), to.resolve()
    if not lake.exists:
        raise InputError(f"There is no lake in {company.home} to back up: run `stocklake run` first.")
    if to.is_relative_to(company.home.resolve()):
        raise InputError(f"{to} lies in the home folder that is to be saved: name a folder elsewhere.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} exists already: name a folder that does not, a backup never overwrites.")
    with _half_made(to.parent, to.name) as folder:
        (folder / _CATALOG).parent.mkdir(parents=True)
        _copy_catalog(company.catalog, folder / _CATALOG)
        copied = replace(
            lake, catalog=SqliteCatalog(folder / _CATALOG, folder.with_name(f"{folder.name}.lock"))
        )
        with copied.read() as connection:
            named = {Path(one.path): one.size_bytes for one in named_files(copied, connection)}
        files = [_described(folder / _CATALOG, _CATALOG)]
        for path, size in named.items():
            if not path.is_relative_to(company.lake_data):
                raise StocklakeError(f"{path} is part of the lake but lies outside {company.lake_data}.")
            files.append(
                _put(path, folder, _DATA / path.relative_to(company.lake_data).as_posix(), link=link)
            )
            if files[-1]["size_bytes"] != size:
                raise StocklakeError(
                    f"{path} is damaged: see `stocklake lake verify`; nothing was backed up."
                )
        for path, name in _beside(company, landing):
            files.append(_put(path, folder, name, link=link))
        made = {"format": _FORMAT, "company": company.name, "made_at": datetime.now(UTC).isoformat()}
        made |= {"snapshot_id": copied.snapshot(), "files": files}
        _write(folder / _MANIFEST, json.dumps(made, indent=1))
        folder.rename(to)
    return _summary(to, made)


def restore(company: Company, source: Path, *, force: bool = False) -> Backup:
    """Put a backup in the place of the company's lake, once all of it is found whole and verifies.

    With `force` a lake that stands there is moved aside, never deleted. Raises `InputError` for a damaged backup, one of
    another company, or a lake in its place.
    """
    _local(company)
    source = source.resolve()
    made = _read_manifest(source)
    if made["company"] != company.name:
        raise InputError(
            f"{source} is a backup of company {made['company']!r}, not of {company.name!r}: choose with --company."
        )
    _refuse_occupied(company, force)
    company.catalog.parent.mkdir(parents=True, exist_ok=True)
    with _half_made(company.catalog.parent, "restoring") as folder:
        for one in made["files"]:
            _take(source, folder, one)
        catalog, data = folder / _CATALOG, folder / _DATA
        data.mkdir(parents=True, exist_ok=True)
        _point(catalog, data)
        half_made = SqliteCatalog(catalog, folder.with_name(f"{folder.name}.lock"))
        found = verify(Lake(half_made, data, folder / "spill")).problems
        if found:
            raise InputError(f"{source} holds a damaged lake ({found[0]}): take another backup.")
        _point(catalog, company.lake_data)
        with Lake.of(company).writer_lock():
            _refuse_occupied(company, force)
            _add_missing(folder, company.home, (_LANDING, _TRAINING))
            aside = _move_aside(company)
            try:
                data.rename(company.lake_data)
                catalog.rename(company.catalog)  # last: from here on there is a lake
            except OSError:
                _move_back(company, aside)
                raise
    return replace(_summary(source, made), replaced=aside)


def _local(company: Company) -> Lake:
    lake = Lake.of(company)
    if not lake.is_local or not isinstance(lake.catalog, SqliteCatalog):
        raise InputError(
            f"The lake of {company.name} has its catalogue in PostgreSQL or its data on S3: back these up with their own"
            " tools, the catalogue (pg_dump) before the bucket; this command copies lakes that lie in the home folder."
        )
    return lake


@contextmanager
def _half_made(parent: Path, name: str) -> Iterator[Path]:
    """Lend a folder that goes unless it was renamed; what the disk refuses becomes one sentence."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-half-made-", dir=parent))
    except OSError as error:
        raise InputError(f"{parent} cannot be written ({error.strerror}): name another folder.") from error
    try:
        yield folder
    except (OSError, sqlite3.Error) as error:
        raise StocklakeError(
            f"The copy at {folder} could not be finished ({error}): nothing was changed."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def _copy_catalog(catalog: Path, to: Path) -> None:
    """Copy one state of the catalogue, whoever commits meanwhile, as a single file."""
    with closing(sqlite3.connect(catalog)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = delete").fetchone()
        said = target.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise StocklakeError(f"{catalog} is damaged ({said}): restore an earlier backup.")


def _point(catalog: Path, data: Path) -> None:
    """Tell a catalogue where its data lies; it logs ahead from here on."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", [f"{data}/"])
    with closing(sqlite3.connect(catalog)) as connection:
        connection.execute("PRAGMA journal_mode = wal").fetchone()


def _beside(company: Company, landing: bool) -> Iterator[tuple[Path, PurePosixPath]]:
    """Return what is saved with the lake, and under which name; nothing that is still being written."""
    for folder in (_TRAINING, _LANDING) if landing else (_TRAINING,):
        for path in sorted((company.home / folder).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path, PurePosixPath(path.relative_to(company.home).as_posix())


def _put(path: Path, folder: Path, name: PurePosixPath, *, link: bool) -> dict[str, Any]:
    to = folder / name
    to.parent.mkdir(parents=True, exist_ok=True)
    if link:
        with suppress(OSError):  # another disk, or one without links
            os.link(path, to)
            return _described(to, name)
    return _described(path, name, copy_to=to)


def _described(path: Path, name: PurePosixPath, copy_to: Path | None = None) -> dict[str, Any]:
    """Return a file's entry of the manifest, copying it on the way: it is read once."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, (copy_to or Path(os.devnull)).open("wb") as target:
        while part := source.read(_CHUNK):
            digest.update(part)
            target.write(part)
            size += len(part)
        if copy_to:
            target.flush()
            os.fsync(target.fileno())
    return {"path": str(name), "size_bytes": size, "sha256": digest.hexdigest()}


def _take(source: Path, folder: Path, one: dict[str, Any]) -> None:
    """Copy a file of a backup; raise `InputError` unless it is the one that was saved."""
    name, to = PurePosixPath(one["path"]), folder / one["path"]
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        copied = _described(source / name, name, copy_to=to)
    except FileNotFoundError as error:
        raise InputError(f"{source / name} is missing: take another backup, nothing was restored.") from error
    if copied != one:
        raise InputError(
            f"{source / name} is not what was saved ({copied['size_bytes']:,} bytes of {one['size_bytes']:,}, hash"
            f" {copied['sha256'][:12]}, not {one['sha256'][:12]}): take another backup, nothing was restored."
        )


def _read_manifest(source: Path) -> dict[str, Any]:
    path = source / _MANIFEST
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        names = [PurePosixPath(one["path"]) for one in made["files"]]
        entries = [{"path": str, "size_bytes": int, "sha256": str}] * len(names)
        is_sound = (
            made["format"] == _FORMAT
            and _CATALOG in names
            and isinstance(made["company"], str)
            and isinstance(made["snapshot_id"], int)
            and all(
                {k: type(v) for k, v in f.items()} == e for f, e in zip(made["files"], entries, strict=True)
            )
            and all(n == _CATALOG or _is_below(n) for n in names)
        )
    except FileNotFoundError as error:
        raise InputError(f"{source} is no backup: it has no {_MANIFEST}.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise InputError(f"{path} is damaged or of another version: take another backup.")
    return dict(made)


def _is_below(name: PurePosixPath) -> bool:
    return ".." not in name.parts and any(name.is_relative_to(f) for f in (_DATA, _LANDING, _TRAINING))


def _refuse_occupied(company: Company, force: bool) -> None:
    if not force and (company.catalog.exists() or any(p.is_file() for p in company.lake_data.rglob("*"))):
        raise InputError(
            f"A lake stands in {company.home}: restore to another --home, or move it aside with --force."
        )


def _move_aside(company: Company) -> Path | None:
    """Move what stands in the lake's place into a folder beside it."""
    standing = [*company.catalog.parent.glob(f"{company.catalog.name}*")]
    has_data = company.lake_data.exists() and any(company.lake_data.iterdir())
    if not standing and not has_data:
        if company.lake_data.exists():
            company.lake_data.rmdir()
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(company.catalog)) as catalog:
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # a damaged one is moved as it is
    aside = company.catalog.parent / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    aside.mkdir()
    for path in [*company.catalog.parent.glob(f"{company.catalog.name}*"), company.lake_data]:
        if path.exists():
            path.rename(aside / path.name)
    return aside


def _move_back(company: Company, aside: Path | None) -> None:
    if company.lake_data.exists():
        shutil.rmtree(company.lake_data)  # the backup's, half in place
    for path in () if aside is None else sorted(aside.iterdir()):
        path.rename(company.catalog.parent / path.name)


def _add_missing(folder: Path, home: Path, parts: tuple[PurePosixPath, ...]) -> None:
    """Move files to where they were, if they are not there: under their names they never change."""
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            to = home / path.relative_to(folder)
            if path.is_file() and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                path.rename(to)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _summary(folder: Path, made: dict[str, Any]) -> Backup:
    sizes = [one["size_bytes"] for one in made["files"]]
    return Backup(folder, made["snapshot_id"], len(sizes), sum(sizes))
