"""Compressed files, told by their name (.gz .bz2 .xz .zst): opened as a stream of bytes that stops at its limits.

A compressed file of some kilobytes can hold terabytes. What unpacks further than a contract allows is refused while it
is read, before it fills memory or disk. Archives with several members are `archives.py`.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lake.contracts.model import Location
from lake.errors import FileRefused

FREE_BYTES = 100 << 20
"""So much may come out of any file: a small one that is all alike packs better than any ratio tells."""


def _zstd(stream: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa  # .1 CPU s in a process that seldom needs it

    # Of the two libraries at hand only Arrow's notices a stream that was cut off.
    found: IO[bytes] = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
    return found


_OPENERS: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}
SUFFIXES = tuple(_OPENERS)
DAMAGE: tuple[type[Exception], ...] = (
    OSError, EOFError, lzma.LZMAError, zlib.error,
    zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError, ValueError, struct.error,
)  # fmt: skip
"""What the libraries raise for a file that was damaged or cut off (Arrow: `OSError`, or a kind of `ValueError`)."""


def bare_name(name: str) -> str:
    """Return a file's name in lower case without its compression.

    >>> bare_name("erp/Sales.CSV.gz")
    'erp/sales.csv'
    """
    lower = name.lower()
    suffix = next((one for one in SUFFIXES if lower.endswith(one)), "")
    return lower.removesuffix(suffix)


class Meter(io.RawIOBase):
    """Bytes of a stream up to the contract's limits; `FileRefused` beyond them.

    `packed_bytes` is what they are unpacked from. Several streams share the limit by sharing `taken`.
    """

    def __init__(
        self, stream: IO[bytes], name: str, location: Location, packed_bytes: int, taken: int = 0
    ) -> None:
        """Take over the stream; closing this closes it."""
        self.stream, self.name = stream, name
        self.most = location.maximum_unpacked_mb << 20
        self.most_by_ratio = max(FREE_BYTES, packed_bytes * location.maximum_ratio)
        self.ratio, self.taken = location.maximum_ratio, taken

    def readable(self) -> bool:  # noqa: D102
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as `io.BufferedReader` asks for it."""
        try:
            chunk = self.stream.read(len(buffer))
        except DAMAGE as error:
            raise damaged(self.name, error) from error
        self.taken += len(chunk)
        if self.taken > self.most_by_ratio:
            raise FileRefused(
                f"{self.name} unpacks to more than {self.ratio} times its size, as a file made to fill a disk does:"
                " deliver it unpacked, or set `maximum_ratio` in the contract."
            )
        if self.taken > self.most:
            raise FileRefused(
                f"{self.name} unpacks to more than {self.most >> 20} MB: deliver it in parts, or set"
                " `maximum_unpacked_mb` in the contract."
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Close the stream with it."""
        if not self.closed:
            self.stream.close()
        super().close()


@contextmanager
def open_stream(path: Path, name: str, location: Location) -> Iterator[IO[bytes]]:
    """Open a file, unpacked if its name says that it is packed.

    Raises `FileRefused` for one that is damaged, cut off, or unpacks beyond the contract's limits, here or while it is
    read.
    """
    suffix = next((one for one in SUFFIXES if name.lower().endswith(one)), None)
    with path.open("rb") as stream:
        if suffix is None:
            yield stream
            return
        try:
            unpacking = _OPENERS[suffix](stream)
        except DAMAGE as error:
            raise damaged(name, error) from error
        with io.BufferedReader(Meter(unpacking, name, location, path.stat().st_size), 1 << 20) as unpacked:
            yield unpacked


def damaged(name: str, error: Exception) -> FileRefused:
    """Return why a file is refused that cannot be unpacked."""
    return FileRefused(
        f"{name} cannot be decompressed ({str(error)[:200]}): it was damaged or cut off; deliver it again."
    )
