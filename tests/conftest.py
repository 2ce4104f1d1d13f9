"""One small company, run once the whole way, for every test that asks what a run leaves behind.

Also the order in which workers take the files. How a new test stays quick: tests/README.md.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from lake.company import PROJECT_ROOT, Company, load_company
from tests.nats import nats_server
from tests.postgres import postgres, postgres_url

# Each worker has a core of its own: a second thread of DuckDB would wait for the first on small tables, and spin.
os.environ.setdefault("STOCKLAKE_THREADS", "1")

__all__ = ["nats_server", "postgres", "postgres_url"]

EXAMPLE = PROJECT_ROOT / "companies" / "example"
SIZES = {"items": 15, "stores": 3, "centres": 1, "suppliers": 3, "days": 170, "sales-lines": 8000, "dirt": 3}
LONG = {"small_home", "built", "postgres", "nats_server"}
"""Fixtures whose files take tens of seconds."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, as workers take them in turn, so that nobody waits for another and the last ones are short.

    One file makes `small_home` at once. The others that read it come when it stands, after the long ones that do not.
    """
    tests = Counter(item.path for item in items)
    asked: dict[Path, set[str]] = {path: set() for path in tests}
    for item in items:
        asked[item.path] |= LONG & set(getattr(item, "fixturenames", ()))
    readers = [path for path in tests if "small_home" in asked[path]]
    maker = max(readers, key=lambda path: tests[path], default=None)

    def turn(item: pytest.Item) -> tuple[int, int, str]:
        place = 0 if item.path == maker else 2 if item.path in readers else 1 if asked[item.path] else 3
        return place, -tests[item.path], str(item.path)

    items.sort(key=turn)


@dataclass(frozen=True)
class SmallHome:
    """The example's contracts and settings over a few small exports, below folders of the test's own.

    `companies` stands for STOCKLAKE_COMPANIES, `root` for STOCKLAKE_HOME. The one of the session is for reading: a
    test that writes takes `copy_to`.
    """

    companies: Path
    root: Path
    name: str = "example"

    @property
    def company(self) -> Company:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STOCKLAKE_COMPANIES", str(self.companies))
            return load_company(self.name, self.root)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a process that works on this company."""
        return os.environ | {
            "STOCKLAKE_COMPANIES": str(self.companies),
            "STOCKLAKE_HOME": str(self.root),
            "STOCKLAKE_COMPANY": self.name,
        }

    @property
    def lineage_events(self) -> Path:
        """What the one run of the session told, as OpenLineage events."""
        return self.root / "lineage.jsonl"

    def stocklake(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line on this company, as a person would."""
        return subprocess.run(
            [sys.executable, "-m", "orchestration.cli", *arguments],
            cwd=PROJECT_ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def copy_to(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> "SmallHome":
        """Return a copy that a test may spoil; STOCKLAKE_COMPANIES points at it from here on."""
        copy = SmallHome(folder / "companies", folder / "home", self.name)
        shutil.copytree(self.companies, copy.companies)
        shutil.copytree(self.root, copy.root)
        monkeypatch.setenv("STOCKLAKE_COMPANIES", str(copy.companies))
        with sqlite3.connect(copy.company.catalog) as catalog:  # a lake knows where its data lies
            catalog.execute(
                "UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'",
                [f"{copy.company.lake_data}/"],
            )
        catalog.close()
        return copy


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> SmallHome:
    """A company that has been run once; made by the first worker that asks, read by all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small_home"
    made = SmallHome(folder / "companies", folder / "home")
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOCKLAKE_COMPANIES", str(made.companies))
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            patch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(made.lineage_events))
            _make(made)
            (folder / "complete").touch()
    return made


def _make(home: SmallHome) -> None:
    folder = home.companies / home.name
    shutil.copytree(EXAMPLE / "contracts", folder / "contracts")
    settings = (EXAMPLE / "company.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "company.yaml").write_text(
        "".join(line for line in settings if not line.startswith("data_program")), encoding="utf-8"
    )
    sizes = [text for name, size in SIZES.items() for text in (f"--{name}", str(size))]
    program = [sys.executable, str(EXAMPLE / "generate.py"), "--out", str(home.root / home.name / "inbox")]
    subprocess.run([*program, *sizes], check=True, capture_output=True)
    done = home.stocklake("run", "--json")
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}"
