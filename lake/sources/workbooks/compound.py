"""The container of old Office files (OLE compound file): finding one stream in it and the bytes that hold it.

Only as much as `xls.py` and `encryption.py` need; a damaged container is read as far as it goes.
"""

import struct

SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
_END = 0xFFFFFFF0
"""Sector numbers from here on are marks, not sectors."""

Piece = tuple[int, int]
"""Offset and length of some bytes in the file."""


def stream_pieces(data: bytes, names: tuple[str, ...]) -> list[Piece]:
    """Return where in the file the bytes of the first stream of these names lie, in order; [] if there is none."""
    if not data.startswith(SIGNATURE) or len(data) < 512:
        return []
    container = _Container(data)
    streams = container.streams()
    for name in names:
        if name in streams:
            return container.pieces(*streams[name])
    return []


def joined(data: bytes, pieces: list[Piece]) -> bytes:
    """Return the bytes of a stream."""
    return b"".join(data[offset : offset + length] for offset, length in pieces)


class _Container:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sector_bytes = 1 << min(struct.unpack_from("<H", data, 30)[0], 20)
        self.mini_bytes = 1 << min(struct.unpack_from("<H", data, 32)[0], 20)
        self.directory, _, self.cutoff, self.mini_start = struct.unpack_from("<4I", data, 48)
        self.table = self._table()

    def _table(self) -> list[int]:
        """Return the allocation table: for each sector the one that follows it."""
        sectors = list(struct.unpack_from("<109I", self.data, 76))
        extension, count = struct.unpack_from("<2I", self.data, 68)
        per_sector = self.sector_bytes // 4
        for _ in range(min(count, len(self.data) // self.sector_bytes)):
            numbers = self._numbers(extension)
            if len(numbers) < per_sector:
                break
            sectors += numbers[:-1]
            extension = numbers[-1]
        return [number for sector in sectors if sector < _END for number in self._numbers(sector)]

    def _numbers(self, sector: int) -> list[int]:
        piece = self._sector(sector)
        return list(struct.unpack(f"<{len(piece) // 4}I", piece[: len(piece) // 4 * 4]))

    def _sector(self, sector: int) -> bytes:
        start = (sector + 1) * self.sector_bytes
        return self.data[start : start + self.sector_bytes]

    def _chain(self, sector: int, table: list[int]) -> list[int]:
        chain: list[int] = []
        while sector < len(table) and len(chain) <= len(table):
            chain.append(sector)
            sector = table[sector]
        return chain

    def streams(self) -> dict[str, tuple[int, int]]:
        """Return (first sector, size) of every stream; the root entry is ''."""
        content = b"".join(self._sector(sector) for sector in self._chain(self.directory, self.table))
        found: dict[str, tuple[int, int]] = {}
        for offset in range(0, len(content) - 127, 128):
            length, kind = struct.unpack_from("<HB", content, offset + 64)
            name = content[offset : offset + min(max(length - 2, 0), 62)].decode("utf-16-le", "replace")
            if kind in (2, 5):
                start, size = struct.unpack_from("<2I", content, offset + 116)
                found.setdefault("" if kind == 5 else name, (start, size))
        return found

    def pieces(self, start: int, size: int) -> list[Piece]:
        """Return where a stream of this first sector and size lies."""
        if size < self.cutoff:
            return _cut(self._mini_pieces(start), size)
        chain = self._chain(start, self.table)
        return _cut([((sector + 1) * self.sector_bytes, self.sector_bytes) for sector in chain], size)

    def _mini_pieces(self, start: int) -> list[Piece]:
        root_start, _ = self.streams().get("", (_END, 0))
        mini = self._chain(self.mini_start, self.table)
        table = [number for sector in mini for number in self._numbers(sector)]
        home = self._chain(root_start, self.table)
        found: list[Piece] = []
        for sector in self._chain(start, table):
            at, within = divmod(sector * self.mini_bytes, self.sector_bytes)
            if at < len(home):
                found.append(((home[at] + 1) * self.sector_bytes + within, self.mini_bytes))
        return found


def _cut(pieces: list[Piece], size: int) -> list[Piece]:
    """Shorten the pieces to `size` bytes together."""
    found: list[Piece] = []
    for offset, length in pieces:
        if size <= 0:
            break
        found.append((offset, min(length, size)))
        size -= length
    return found
