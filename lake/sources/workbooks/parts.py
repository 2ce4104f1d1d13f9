"""The parts of a zipped workbook (xlsx, xlsm, xlsb, ods): checked against bombs, found by their relations.

XML is read without entities, document types and network.
"""

import lzma
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from lake.errors import FileRefused

MAX_PARTS = 20_000
MAX_INFLATED_BYTES = 2 << 30
"""Of all parts together; a sheet of a million rows and 20 columns has about 800 MB."""
MAX_PART_BYTES = 256 << 20
"""Of a part that is held in memory whole: styles, relations, the list of sheets."""
CHUNK_BYTES = 4 << 20


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError, NotImplementedError,
    struct.error,
)  # fmt: skip
"""What `zipfile` raises over an archive that is broken, encrypted or packed in an unknown way."""


class Parts:
    """The parts of one workbook. Raises `FileRefused` for an archive that is damaged or inflates beyond all measure."""

    def __init__(self, path: Path, name: str) -> None:
        """Open the archive; `name` is for messages."""
        self.name = name
        try:
            self.archive = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        entries = self.archive.infolist()
        inflated = sum(entry.file_size for entry in entries)
        if len(entries) > MAX_PARTS or inflated > MAX_INFLATED_BYTES:
            raise FileRefused(
                f"{name} unpacks to {len(entries):,} parts with {inflated >> 20:,} MB, more than the"
                f" {MAX_PARTS:,} parts or {MAX_INFLATED_BYTES >> 20:,} MB of any workbook: deliver it as CSV."
            )
        self._entries = {_normal(entry.filename): entry for entry in entries}

    def close(self) -> None:
        """Close the archive."""
        self.archive.close()

    def has(self, part: str) -> bool:
        """Whether the archive has this part."""
        return _normal(part) in self._entries

    def chunks(self, part: str) -> Iterator[bytes]:
        """Yield a part's content; its size is what the archive says, or it is refused."""
        if not self.has(part):
            return
        try:
            with self.archive.open(self._entries[_normal(part)]) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def content(self, part: str) -> bytes:
        """Return a part whole; empty if it is not there."""
        found: list[bytes] = []
        size = 0
        for chunk in self.chunks(part):
            found.append(chunk)
            size += len(chunk)
            if size > MAX_PART_BYTES:
                raise FileRefused(
                    f"{self.name}: its part {part} is larger than {MAX_PART_BYTES >> 20} MB: save the workbook again"
                    " with its data alone and deliver it again."
                )
        return b"".join(found)

    def xml(self, part: str) -> etree._Element | None:
        """Return a part's root element; None if it is not there or empty."""
        content = self.content(part)
        return parse(content, self.name, part) if content.strip() else None

    def verify(self, unused: set[str]) -> None:
        """Unpack every part that will be read, but those in `unused`, so that none is larger than it says."""
        skipped = {_normal(part) for part in unused}
        for part in self._entries:
            if part not in skipped and part.endswith((".xml", ".rels", ".bin")) and "/media/" not in part:
                for _ in self.chunks(part):
                    pass

    def related(self, part: str) -> dict[str, str]:
        """Return the parts that a part names by its relations: id -> part."""
        folder, base = posixpath.split(part)
        root = self.xml(f"{folder}/_rels/{base}.rels")
        found = {}
        for relation in [] if root is None else root.iter("{*}Relationship"):
            target = str(relation.get("Target", "")).replace("\\", "/")
            whole = (
                target.lstrip("/")
                if target.startswith("/")
                else posixpath.normpath(posixpath.join(folder, target))
            )
            found[str(relation.get("Id"))] = whole
        return found

    def _damaged(self, error: Exception) -> FileRefused:
        return FileRefused(f"{self.name} is damaged ({error}): save the workbook again and deliver it again.")


def parse(content: bytes, name: str, part: str) -> etree._Element:
    """Return the root of an XML text. Raises `FileRefused` where it is none, or declares entities."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise FileRefused(
            f"{name}: its part {part} is damaged ({error}): save the workbook again and deliver it again."
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise FileRefused(
            f"{name}: its part {part} declares a document type, as no workbook does: deliver a clean copy."
        )
    return root


def _normal(part: str) -> str:
    return part.replace("\\", "/").lstrip("/").lower()
