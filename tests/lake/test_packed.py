"""Compressed files: every kind opens, what was cut off or made to fill a disk is refused early."""

import bz2
import gzip
import io
import lzma

import pytest
import zstandard

from lake.contracts.model import Location
from lake.errors import FileRefused
from lake.sources import packed
from lake.sources.packed import open_stream

PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
LINES = b"".join(b"%d;item\n" % i for i in range(20_000))


def unpack(tmp_path, data, name, **limits):
    (tmp_path / "landed").write_bytes(data)
    with open_stream(tmp_path / "landed", name, Location("", "csv", **limits)) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


@pytest.mark.parametrize("suffix", PACK)
def test_each_kind_is_told_by_its_name_and_may_come_in_several_parts(tmp_path, suffix):
    assert unpack(tmp_path, PACK[suffix](LINES), "a.csv" + suffix) == LINES
    assert (
        unpack(tmp_path, PACK[suffix](LINES) + PACK[suffix](b"more\n"), "A.CSV" + suffix.upper())
        == LINES + b"more\n"
    )


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-6], lambda data: data[: len(data) // 2], lambda data: b"x" + data]
)
def test_what_was_cut_off_or_damaged_is_refused(tmp_path, suffix, spoil):
    with pytest.raises(FileRefused, match=rf"a\.csv\{suffix} cannot be decompressed"):
        unpack(tmp_path, spoil(PACK[suffix](LINES)), "a.csv" + suffix)


def bomb(pack, megabytes):
    return pack(bytes(megabytes << 20))


@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(packed, "FREE_BYTES", 4 << 20)
    with pytest.raises(FileRefused, match="more than 250 times its size"):
        unpack(tmp_path, bomb(PACK[suffix], 5), "a.csv" + suffix)
    with pytest.raises(FileRefused, match="more than 1 MB: deliver it in parts"):
        unpack(tmp_path, bomb(PACK[suffix], 2), "a.csv" + suffix, maximum_unpacked_mb=1)


def test_what_is_all_alike_but_small_is_no_bomb(tmp_path):
    assert len(unpack(tmp_path, bomb(gzip.compress, 5), "a.csv.gz")) == 5 << 20


def test_only_as_much_is_unpacked_as_the_limit_says(tmp_path):
    unpacked = io.BytesIO()
    (tmp_path / "landed").write_bytes(bomb(gzip.compress, 20))
    location = Location("", "csv", maximum_unpacked_mb=1)
    with pytest.raises(FileRefused), open_stream(tmp_path / "landed", "a.gz", location) as stream:
        while chunk := stream.read(1 << 16):
            unpacked.write(chunk)
    assert unpacked.tell() <= 1 << 20
