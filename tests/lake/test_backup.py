"""Backups: made beside loads, found damaged before anything is replaced, and equal when they are back."""

import json
import shutil
import subprocess
import sys

import pytest

import lake.backup
from lake.backup import backup, restore
from lake.catalogs import PostgresCatalog
from lake.connection import Lake
from lake.errors import InputError, StocklakeError
from lake.maintenance import verify
from lake.secrets import Secret
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows
from tests.lake.test_maintenance import NOW, at, grow, loaded, original, sweep
from tests.lake.test_snapshots import change

__all__ = ["loaded", "original"]

MART = "CREATE TABLE lake.marts.m AS SELECT item_id, sum(price * quantity) AS value FROM lake.raw.sales GROUP BY ALL"
ASK = "FROM lake.marts.m ORDER BY item_id"


@pytest.fixture
def saved(loaded, tmp_path):
    """A company, and a backup of it: (company, folder, what its mart holds)."""
    home, lake, _ = loaded
    change(lake, MART)
    (home.feast / "training_sets").mkdir()
    (home.feast / "training_sets" / "t1.parquet").write_bytes(b"rows")
    backup(home, tmp_path / "saved", landing=True)
    return home, tmp_path / "saved", rows(home, ASK)


def other(tmp_path):
    """An empty home of the same company."""
    return company(tmp_path / "other")


def test_what_was_saved_is_restored_with_its_releases(loaded, saved, tmp_path):
    home, folder, mart = saved
    there = other(tmp_path)
    done = restore(there, folder)
    lake = Lake.of(there)
    assert verify(lake, full=True).problems == () and done.replaced is None
    assert rows(there, ASK) == mart and len(mart) > 1000
    assert at(lake, loaded[2]) == at(Lake.of(home), loaded[2])
    assert (there.feast / "training_sets" / "t1.parquet").read_bytes() == b"rows"
    deliver(there, "sales_0.csv", next(home.inbox.glob("*")).read_bytes())
    deliver(there, "sales_new.csv", HEADER + "N,1,2.50,2024-01-07\n")
    load(there, contract())
    assert rows(there, "SELECT file_name FROM lake.meta.delivery ORDER BY ALL") == [
        ("sales_0.csv",), ("sales_new.csv",)], "what the backup knows is not loaded again"  # fmt: skip
    sweep(lake)
    assert verify(lake, full=True, grace=NOW).problems == ()


def test_a_lake_in_its_place_is_kept_and_only_moved_by_force(saved):
    home, folder, mart = saved
    change(Lake.of(home), "DELETE FROM lake.marts.m")
    with pytest.raises(InputError, match="A lake stands in"):
        restore(home, folder)
    assert rows(home, ASK) == []
    done = restore(home, folder, force=True)
    assert rows(home, ASK) == mart
    assert (done.replaced / "catalog.sqlite").exists() and (done.replaced / "data").is_dir()
    assert verify(Lake.of(home), grace=NOW).problems == ()


def test_a_restoration_that_fails_half_way_leaves_what_stood(saved, monkeypatch):
    home, folder, mart = saved
    real = lake.backup.Path.rename

    def fail(path, to):
        if path.name == "catalog.sqlite" and "half-made" in str(path):
            raise OSError("the disk is full")
        return real(path, to)

    monkeypatch.setattr(lake.backup.Path, "rename", fail)
    with pytest.raises(StocklakeError, match="the disk is full"):
        restore(home, folder, force=True)
    monkeypatch.undo()
    assert rows(home, ASK) == mart
    assert verify(Lake.of(home), full=True, grace=NOW).problems == ()


def truncate(folder):
    path = next((folder / "lake" / "data").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder):
    path = next((folder / "lake" / "data").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(folder, **changes):
    made = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(made | changes))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "is not what was saved"),
        (flip, "is not what was saved"),
        (lambda folder: next((folder / "lake" / "data").rglob("*.parquet")).unlink(), "is missing"),
        (lambda folder: (folder / "lake" / "catalog.sqlite").write_bytes(b"x"), "is not what was saved"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "damaged or of another version"),
        (lambda folder: (folder / "manifest.json").unlink(), "is no backup"),
        (lambda folder: rewrite(folder, company="acme"), "of company 'acme'"),
        (lambda folder: rewrite(folder, files=[{"path": "lake/catalog.sqlite", "size_bytes": 1, "sha256": ""},
            {"path": "lake/data/../../../x", "size_bytes": 1, "sha256": ""}]), "damaged or of another"),
    ],
)  # fmt: skip
def test_a_damaged_backup_replaces_nothing(saved, tmp_path, damage, said):
    home, folder, mart = saved
    damage(folder)
    with pytest.raises(InputError, match=said):
        restore(home, folder, force=True)
    assert rows(home, ASK) == mart
    assert not list(home.catalog.parent.glob("*replaced*")) + list(home.catalog.parent.glob(".restoring*"))


def test_a_backup_is_never_made_over_something_nor_of_something_damaged(saved, tmp_path):
    home, folder, _ = saved
    with pytest.raises(InputError, match="exists already"):
        backup(home, folder)
    with pytest.raises(InputError, match="lies in the home folder"):
        backup(home, home.lake_data / "copy")
    with pytest.raises(InputError, match="no lake"):
        backup(other(tmp_path), tmp_path / "nothing")
    truncate(home.home)
    with pytest.raises(StocklakeError, match="is damaged"):
        backup(home, tmp_path / "second")
    assert not [path for path in tmp_path.iterdir() if "second" in path.name or "half-made" in path.name]


def test_links_outlive_the_deletion_of_what_they_link(loaded, tmp_path):
    home, _, pinned = loaded
    seen = at(Lake.of(home), pinned)
    backup(home, tmp_path / "saved", link=True)
    shutil.rmtree(home.home / "lake")
    home.prepare()
    restore(home, tmp_path / "saved")
    assert at(Lake.of(home), pinned) == seen


WRITER = """
import sys
from pathlib import Path
from lake.company import Company, CompanySettings
from lake.connection import Lake
home = Path(sys.argv[1])
lake = Lake.of(Company("test", home, home / "home", CompanySettings(title="Test", currency="EUR")))
for number in range(10, 25):
    with lake.write() as connection:
        connection.execute(sys.argv[2].replace("A1-", f"A{number}-"))
        connection.execute("UPDATE lake.meta.guard SET n = n + 500")
    print(number, flush=True)
"""


def test_a_backup_beside_a_writer_holds_whole_transactions(loaded, tmp_path):
    home, lake, _ = loaded
    change(lake, "UPDATE lake.meta.guard SET n = (SELECT count(*) FROM lake.raw.sales)")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), grow(1)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "10\n"
    backup(home, tmp_path / "saved")
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    there = other(tmp_path)
    restore(there, tmp_path / "saved")
    ((n, count),) = rows(there, "SELECT max(n), (SELECT count(*) FROM lake.raw.sales) FROM lake.meta.guard")
    assert n == count and count < rows(home, "SELECT count(*) FROM lake.raw.sales")[0][0]


def test_a_lake_that_lies_elsewhere_is_told_so(loaded, tmp_path, monkeypatch):
    home, lake, _ = loaded
    elsewhere = PostgresCatalog(Secret("postgresql://db.example/lake"), "stocklake_test")
    monkeypatch.setattr(Lake, "of", classmethod(lambda cls, company: cls(elsewhere, lake.data, lake.spill)))
    for does in (lambda: backup(home, tmp_path / "saved"), lambda: restore(home, tmp_path / "saved")):
        with pytest.raises(InputError, match="pg_dump"):
            does()
