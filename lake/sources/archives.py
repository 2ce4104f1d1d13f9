"""Archives (.zip, .tar and packed tar): one delivery of several members, each read like a file of its own.

Members are unpacked one after the other under names of ours, never their own, and counted against the contract's limits
while they are. An archive that holds anything else than plain files under plain names is refused whole.
"""

import fnmatch
import posixpath
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from lake.contracts.model import Contract, Location
from lake.contracts.workbook_options import SUFFIXES as WORKBOOKS
from lake.errors import FileRefused
from lake.sources.block import Block
from lake.sources.packed import DAMAGE, SUFFIXES, Meter, bare_name, damaged, open_stream

SHORT_NAMES = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}
FORMAT_SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt"),
    "fixed_width": (".txt", ".dat", ".fwf", ".prn"),
    "jsonl": (".jsonl", ".ndjson"),
    "spreadsheet": WORKBOOKS,
    "xlsx": WORKBOOKS,
    "x12": (".x12", ".edi", ".txt", ".dat"),
}
"""Which members are of a format, where it is not simply its name."""
MAXIMUM_NAME_CHARACTERS = 1000
MAXIMUM_DIRECTORY_BYTES = 16 << 20
"""Of a zip's list of members, which is held in memory: enough for 100,000 names."""
_CHUNK_BYTES = 1 << 20
_DAMAGE: tuple[type[Exception], ...] = tuple(kind for kind in DAMAGE if kind is not OSError)
"""An OSError is the disk's, unless it comes while an archive is read: there it is told apart on the spot."""
_ZIP_END = b"PK\x05\x06"

Reader = Callable[[Path, str, Contract], Iterator[Block]]


def is_archive(name: str) -> bool:
    """Whether a file's name says that it holds other files.

    >>> is_archive("Sales.ZIP"), is_archive("sales.tar.zst"), is_archive("sales.csv.gz")
    (True, True, False)
    """
    return bare_name(name).endswith((".zip", ".tar")) or name.lower().endswith(tuple(SHORT_NAMES))


def read_members(path: Path, name: str, contract: Contract, read: Reader) -> Iterator[Block]:
    """Read every member of the contract's format with `read`, in the order of their names.

    A block's `sheet` is the member's name (and its sheet after a colon). Raises `FileRefused` for an archive that is
    damaged, encrypted, nested, unpacks beyond the contract's limits, or holds what is no plain file.
    """
    with tempfile.TemporaryDirectory(prefix="unpacking-") as folder:
        unpack = _unpack_zip if bare_name(name).endswith(".zip") else _unpack_tar
        is_any = False
        for member, unpacked in _guarded(unpack(path, name, contract.location, Path(folder)), name):
            is_any = True
            for block in read(unpacked, f"{name}/{member}", contract):
                block.sheet = f"{member}: {block.sheet}" if block.sheet else member
                yield block
            unpacked.unlink()
        if not is_any:
            raise FileRefused(
                f"{name} holds no member {contract.location.member or 'of the format ' + contract.location.format}:"
                " deliver it with its files, or correct `member` in the contract."
            )


def unpacked_file(path: Path, name: str, contract: Contract, read: Reader) -> Iterator[Block]:
    """Read a compressed file whose format needs to look into it here and there, such as Parquet."""
    with (
        tempfile.TemporaryDirectory(prefix="unpacking-") as folder,
        open_stream(path, name, contract.location) as stream,
    ):
        target = Path(folder) / "file"
        _write(stream, target)
        yield from read(target, name, contract)


def _guarded(members: Iterator[tuple[str, Path]], name: str) -> Iterator[tuple[str, Path]]:
    """Turn what the libraries raise for a damaged archive into a refusal; what happens to the disk stays as it is."""
    while True:
        try:
            member = next(members, None)
        except _DAMAGE as error:
            raise damaged(name, error) from error
        if member is None:
            return
        yield member


def _unpack_zip(path: Path, name: str, location: Location, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (member, file) in the order of names, each unpacked when it is asked for."""
    with path.open("rb") as file:
        _check_directory(file, name)
        archive = _opened(file, None, name)
        infos = [info for info in archive.infolist() if not info.is_dir()]
        wanted = _chosen(((info.filename, info) for info in infos), name, location)
        for info in infos:
            _check_zipped(info, name)
        _check_overlaps(archive, name)
        taken = 0
        for number, (member, info) in enumerate(sorted(wanted.items())):
            target = folder / f"{number}"
            unpacking = _opened(archive, info, name)
            with Meter(unpacking, f"{name}/{member}", location, path.stat().st_size, taken) as meter:
                _write(meter, target)
                taken = meter.taken
            yield member, target


def _opened(source: Any, info: zipfile.ZipInfo | None, name: str) -> Any:
    """Open a zip, or a member of it; where its offsets lead nowhere, the error is the archive's."""
    try:
        return source.open(info) if info else zipfile.ZipFile(source)
    except OSError as error:
        raise damaged(name, error) from error


def _check_directory(file: IO[bytes], name: str) -> None:
    """Refuse a zip whose list of members is too long to be held, before it is."""
    end = file.seek(0, 2)
    file.seek(max(end - 65_557, 0))
    tail = file.read()
    at = tail.rfind(_ZIP_END)
    if at >= 0 and len(tail) >= at + 16:
        (size,) = struct.unpack_from("<I", tail, at + 12)
        size = end if size == 0xFFFFFFFF else size
        if size > MAXIMUM_DIRECTORY_BYTES:
            raise FileRefused(f"{name} lists far more members than a delivery has: deliver it in parts.")
    file.seek(0)


def _check_zipped(info: zipfile.ZipInfo, name: str) -> None:
    if info.flag_bits & 0x41:
        raise _strange(name, info.filename, "is encrypted: deliver it without a password")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _strange(name, info.filename, "is a link or a device: deliver plain files")


def _check_overlaps(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse members that share bytes: that is how a small zip is made to unpack without end."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    starts = [info.header_offset for info in infos[1:]] + [archive.start_dir]
    for info, following in zip(infos, starts, strict=False):
        if info.header_offset + 30 + len(info.filename) + info.compress_size > following:
            raise _strange(
                name, info.filename, "shares its bytes with another, as in a file made to fill a disk"
            )


def _unpack_tar(path: Path, name: str, location: Location, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (member, file) in the order of names; a tar can only be read from its front, so all are unpacked first."""
    short = next((one for one in SHORT_NAMES if name.lower().endswith(one)), None)
    long_name = name[: -len(short)] + SHORT_NAMES[short] if short else name
    found: dict[str, Path] = {}
    with open_stream(path, long_name, location) as stream:
        tail = _Tail(stream)
        with tarfile.open(fileobj=cast("Any", tail), mode="r|", errorlevel=2) as archive:
            entries = _checked(archive, name)
            for number, (member, info) in enumerate(_choosing(entries, name, location)):
                source = archive.extractfile(info)
                assert source is not None
                found[member] = folder / f"{number}"
                _write(source, found[member])
        tail.drain(name)
    yield from sorted(found.items())


def _checked(archive: tarfile.TarFile, name: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for info in archive:
        if info.isdir():
            continue
        if not info.isreg() or info.issparse():
            raise _strange(name, info.name, "is a link, a device or a sparse file: deliver plain files")
        yield info.name, info


class _Tail:
    """A stream that remembers its last block, which ends a tar with zeros."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.last = stream, b""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.last = (self.last + data)[-tarfile.BLOCKSIZE :]
        return data

    def drain(self, name: str) -> None:
        """Read to the end, so that its check sum is looked at; refuse a tar that lacks its end."""
        while self.read(_CHUNK_BYTES):
            pass
        if self.last.strip(b"\0"):
            raise FileRefused(f"{name} lacks the end of a tar: it was cut off; deliver it again.")


def _chosen(entries: Iterable[tuple[str, Any]], name: str, location: Location) -> dict[str, Any]:
    return dict(_choosing(entries, name, location))


def _choosing(entries: Iterable[tuple[str, Any]], name: str, location: Location) -> Iterator[tuple[str, Any]]:
    """Yield the members that the contract reads, after judging the names of all."""
    seen: set[str] = set()
    for raw, info in entries:
        member = _plain_name(raw, name)
        if member in seen:
            raise _strange(name, member, "is there twice: deliver each once")
        seen.add(member)
        if len(seen) > location.maximum_members:
            raise FileRefused(
                f"{name} has more than {location.maximum_members} members: deliver it in parts, or set"
                " `maximum_members` in the contract."
            )
        is_wanted = _is_wanted(member, location)
        if is_archive(member) and (is_wanted or not location.member):
            raise _strange(name, member, "is an archive itself: deliver its files directly")
        if is_wanted:
            yield member, info


def _plain_name(raw: str, name: str) -> str:
    """Return a member's name as a path below the archive; refuse one that leads out of it or is no name."""
    path = raw.replace("\\", "/")
    if len(raw) > MAXIMUM_NAME_CHARACTERS or not raw.isprintable():
        raise _strange(name, raw, "has no usable name: use up to 1,000 printable characters")
    if path.startswith("/") or path[1:2] == ":" or ".." in path.split("/"):
        raise _strange(name, raw, "has a name that leads out of the archive: deliver it with relative names")
    return posixpath.normpath(path)


def _is_wanted(member: str, location: Location) -> bool:
    base = posixpath.basename(member)
    if location.member:
        return any(fnmatch.fnmatchcase(one, location.member) for one in (member, base))
    suffixes = FORMAT_SUFFIXES.get(location.format, (f".{location.format}",))
    return (
        bare_name(base).endswith(suffixes) and not member.startswith("__MACOSX/") and not base.startswith(".")
    )


def _strange(name: str, member: str, problem: str) -> FileRefused:
    return FileRefused(f"{name}: the member {member[:100]!r} {problem}.")


def _write(stream: Any, target: Path) -> None:
    with target.open("xb") as file:
        shutil.copyfileobj(stream, file, _CHUNK_BYTES)


STREAMED = frozenset({"csv", "fixed_width", "json", "jsonl", "xml"})
"""Formats whose readers unpack .gz, .bz2, .xz and .zst as they go."""


def with_packing(read: Reader) -> Reader:
    """Return a reader that also takes archives, and compressed files of formats that cannot be streamed."""

    def reading(path: Path, name: str, contract: Contract) -> Iterator[Block]:
        if is_archive(name):
            return read_members(path, name, contract, with_packing(read))
        if name.lower().endswith(SUFFIXES) and contract.location.format not in STREAMED:
            return unpacked_file(path, name, contract, read)
        return read(path, name, contract)

    return reading
