"""Archives: one delivery of several members; what is damaged, hostile or nested is refused whole, with its reason."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
from dataclasses import replace

import polars as pl
import pytest
import zstandard

from lake import quarantine
from lake.connection import Lake
from lake.contracts.model import Column
from lake.errors import FileRefused
from lake.sources import archives, packed
from lake.sources.readers import reader
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

GOOD = {"b/2.csv": HEADER + "C,3,,\n", "a.csv": HEADER + "A,1,1.00,2024-01-31\nB,x,,\n", "readme.md": "hello"}


def zipped(members, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(members, change=lambda info: None):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            archive.addfile(info, io.BytesIO(content.encode() if isinstance(content, str) else content))
    return data.getvalue()


def made(**location):
    return contract("sales", location={"path": "${INBOX}/sales*"} | location)


def read(tmp_path, data, name="sales.zip", **location):
    (tmp_path / "landed").write_bytes(data)
    chosen = made(**location)
    return list(reader(chosen)(tmp_path / "landed", name, chosen))


KINDS = {
    "sales.zip": lambda: zipped(GOOD),
    "sales.tar": lambda: tarred(GOOD),
    "sales.tar.gz": lambda: gzip.compress(tarred(GOOD)),
    "Sales.TGZ": lambda: gzip.compress(tarred(GOOD)),
    "sales.tar.bz2": lambda: bz2.compress(tarred(GOOD)),
    "sales.txz": lambda: lzma.compress(tarred(GOOD)),
    "sales.tar.zst": lambda: zstandard.ZstdCompressor().compress(tarred(GOOD)),
    "sales.zip.gz": lambda: gzip.compress(zipped(GOOD)),
}


@pytest.mark.parametrize("name", ["sales.zip", "sales.tar.gz"])
def test_an_archive_is_one_delivery_and_its_members_stand_as_sheets(tmp_path, name):
    home = company(tmp_path)
    deliver(home, name, KINDS[name]())
    report = load(home, made())
    assert [one.file_name for one in report.files] == [name]
    assert report.totals | {"rows_read": 3, "loaded": 2, "quarantined": 1} == report.totals
    assert rows(home, "SELECT item_id, _file, _sheet, _line FROM lake.raw.sales ORDER BY 1") == [
        ("A", name, "a.csv", 2),
        ("C", name, "b/2.csv", 2),
    ]
    [refused] = quarantine.show(Lake.of(home))
    assert (refused.line, refused.rules) == (3, ("type",))
    assert "a.csv" in refused.place
    assert load(home, made(), run_id="again").totals["rows_read"] == 0


@pytest.mark.parametrize("packed_how", ["zip", "tar"])
def test_lines_of_different_members_are_different_rows(tmp_path, packed_how):
    home, pack = company(tmp_path), {"zip": zipped, "tar": tarred}[packed_how]
    sales = replace(made(), duplicates="drop")
    first = {"a.csv": HEADER + "A,1,,\nB,1,,\n", "b.csv": HEADER + "C,1,,\nA,1,,\n"}
    deliver(home, f"sales_1.{packed_how}", pack(first))
    totals = load(home, sales).totals
    assert (totals["loaded"], totals["duplicate"]) == (3, 1)
    assert rows(home, "SELECT item_id FROM lake.raw.sales ORDER BY 1") == [("A",), ("B",), ("C",)]
    deliver(home, f"sales_2.{packed_how}", pack({"a.csv": HEADER + "A,1,,\n", "b.csv": HEADER + "D,1,,\n"}))
    load(home, sales)
    assert rows(home, "SELECT item_id FROM lake.raw.sales ORDER BY 1") == [("A",), ("B",), ("C",), ("D",)]


def test_the_later_member_wins_a_key(tmp_path):
    home = company(tmp_path)
    deliver(home, "sales.zip", zipped({"a.csv": HEADER + "B,1,,\nA,1,,\n", "b.csv": HEADER + "A,2,,\n"}))
    load(home, replace(made(), write_mode="upsert"))
    assert rows(home, "SELECT item_id, quantity FROM lake.raw.sales ORDER BY 1") == [("A", 2), ("B", 1)]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "sales.zip.gz"])
def test_every_kind_gives_its_members_in_the_order_of_names(tmp_path, name):
    blocks = read(tmp_path, KINDS[name](), name)
    assert [block.sheet for block in blocks] == ["a.csv", "b/2.csv"]
    assert [block.rows for block in blocks] == [2, 1]


def test_members_may_be_packed_and_chosen_by_a_glob(tmp_path):
    members = {"new/a.csv.gz": gzip.compress((HEADER + "A,1,,\n").encode()), "old/b.csv": "x", "c.zip": "x"}
    [block] = read(tmp_path, zipped(members), member="new/*")
    assert block.sheet == "new/a.csv.gz"


def test_parquet_is_read_out_of_a_zip_and_out_of_gz(tmp_path):
    frame = pl.DataFrame({"x": [1, 2]})
    data = io.BytesIO()
    frame.write_parquet(data)
    chosen = contract("p", (Column("x", "x", "integer"),), location={"format": "parquet", "path": "p"})
    for name, content in {
        "p.zip": zipped({"a.parquet": data.getvalue()}),
        "p.parquet.gz": gzip.compress(data.getvalue()),
    }.items():
        (tmp_path / "landed").write_bytes(content)
        [block] = reader(chosen)(tmp_path / "landed", name, chosen)
        assert block.text["x"].to_list() == [1, 2]


def symlink(info):
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"


def device(info):
    info.type = tarfile.CHRTYPE


def zip_link():
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = 0o120777 << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return data.getvalue()


def zip_encrypted():
    data = bytearray(zipped({"a.csv": HEADER}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    return bytes(data)


def zip_twice():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("a.csv", HEADER)
            archive.writestr("./a.csv", HEADER)
        return data.getvalue()


def zip_overlapping():
    """Two names for the same bytes, as in a bomb that needs no nesting: the second entry points at the first."""
    data = bytearray(zipped({"a.csv": HEADER * 100, "b.csv": HEADER * 100}))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(data)


def zip_of_an_unknown_method():
    data = bytearray(zipped({"a.csv": HEADER}))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(mark) + offset] = 9
    return bytes(data)


NESTED = zipped({"inner.zip": zipped({"a.csv": HEADER})})


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("s.zip", zipped({"../a.csv": HEADER}), "leads out of the archive"),
        ("s.zip", zipped({"/etc/a.csv": HEADER}), "leads out of the archive"),
        ("s.zip", zipped({"..\\a.csv": HEADER}), "leads out of the archive"),
        ("s.zip", zipped({"C:\\a.csv": HEADER}), "leads out of the archive"),
        ("s.tar", tarred({"x/../../a.csv": HEADER}), "leads out of the archive"),
        ("s.tar", tarred({"/a.csv": HEADER}), "leads out of the archive"),
        ("s.tar", tarred({"a.csv": ""}, symlink), "is a link, a device"),
        ("s.tar", tarred({"a.csv": ""}, device), "is a link, a device"),
        ("s.zip", zip_link(), "is a link or a device"),
        ("s.zip", zip_encrypted(), "is encrypted"),
        ("s.zip", zip_twice(), "is there twice"),
        ("s.tar", tarred({"a.csv": HEADER, "./a.csv": HEADER}), "is there twice"),
        ("s.zip", zip_overlapping(), "shares its bytes with another"),
        ("s.zip", NESTED, "is an archive itself"),
        ("s.tar.gz", gzip.compress(tarred({"inner.tgz": NESTED})), "is an archive itself"),
        ("s.zip", zipped({"a\n.csv": HEADER}), "has no usable name"),
        ("s.zip", zipped({"a" * 10_000 + ".csv": HEADER}), "has no usable name"),
        ("s.zip", zipped({"a.txt.md": HEADER}), "holds no member of the format csv"),
        ("s.zip", zipped({}), "holds no member"),
        ("s.tar", tarred({}), "holds no member"),
        ("s.zip", zipped({f"{i}.csv": "" for i in range(6)}), "more than 5 members"),
        ("s.zip", zipped(GOOD)[:-30], "cannot be decompressed"),
        ("s.zip", zipped(GOOD)[100:], "cannot be decompressed"),
        ("s.zip", zip_of_an_unknown_method(), "compression"),
        ("s.zip", b"", "cannot be decompressed"),
        ("s.zip", b"Item,Qty\n", "cannot be decompressed"),
        ("s.tar", tarred(GOOD)[:700], "cannot be decompressed"),
        ("s.tar", tarred(GOOD)[:1024], "lacks the end of a tar"),
        ("s.tar", b"hello", "cannot be decompressed"),
        ("s.tar.gz", gzip.compress(tarred(GOOD))[:-6], "cannot be decompressed"),
        ("s.tar.gz", gzip.compress(b"hello", mtime=0), "cannot be decompressed"),
        ("s.zip", zipped({"a.csv": "Item\n"}), "s.zip/a.csv"),
        ("s.zip", zipped({"a.csv": "\0\0\0"}), "s.zip/a.csv"),
    ],
)  # fmt: skip
def test_a_hostile_or_damaged_archive_is_refused_whole(tmp_path, name, data, sentence):
    with pytest.raises(FileRefused) as refusal:
        read(tmp_path, data, name, maximum_members=5)
    assert sentence in str(refusal.value)
    assert len(str(refusal.value)) < 500
    assert sorted(one.name for one in tmp_path.iterdir()) == ["landed"]


def test_a_list_of_members_too_long_to_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAXIMUM_DIRECTORY_BYTES", 100)
    with pytest.raises(FileRefused, match="lists far more members than a delivery has"):
        read(tmp_path, zipped(GOOD))


def test_a_broken_member_is_refused_with_the_archive(tmp_path):
    data = bytearray(zipped({"a.csv": HEADER + "A,1,,\n" * 1000}))
    data[60] ^= 0xFF
    with pytest.raises(FileRefused, match=r"sales\.zip/a\.csv cannot be decompressed"):
        read(tmp_path, bytes(data))


@pytest.mark.parametrize("name", ["s.zip", "s.tar.gz"])
def test_bombs_are_refused_by_all_they_unpack_to_together(tmp_path, monkeypatch, name):
    monkeypatch.setattr(packed, "FREE_BYTES", 1 << 20)
    members = {f"{i}.csv": HEADER + "A,1,,\n" * 100_000 for i in range(4)}
    data = zipped(members) if name == "s.zip" else gzip.compress(tarred(members))
    with pytest.raises(FileRefused, match="more than 20 times its size"):
        read(tmp_path, data, name, maximum_ratio=20)
    with pytest.raises(FileRefused, match="more than 2 MB"):
        read(tmp_path, data, name, maximum_ratio=10_000, maximum_unpacked_mb=2)


def test_a_sparse_member_that_claims_terabytes_is_refused_by_its_header(tmp_path):
    def sparse(info):
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a.csv",
                            "GNU.sparse.realsize": str(1 << 42), "GNU.sparse.map": f"0,1,{1 << 42},0"}  # fmt: skip

    with pytest.raises(FileRefused, match="sparse"):
        read(tmp_path, tarred({"a.csv": "x"}, sparse), "s.tar")


def test_unpacked_members_are_gone_when_reading_ends_or_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "landed").write_bytes(zipped(GOOD))
    blocks = reader(made())(tmp_path / "landed", "s.zip", made())
    next(blocks)
    assert len(list(tmp_path.glob("unpacking-*/*"))) == 1
    blocks.close()
    assert [one.name for one in tmp_path.iterdir()] == ["landed"]
