"""A small example company in temporary folders, and the real command line on it, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.company import PROJECT_ROOT, Company, CompanySettings
from lake.connection import Lake
from orchestration.cli import main
from tests.companies.deliveries import COMPANY, generate


@dataclass(frozen=True)
class House:
    """One company `example` of its own: `companies` holds its YAML, `home` what runs make."""

    companies: Path
    home: Path

    @property
    def company(self) -> Company:
        settings = CompanySettings(title="Example", currency="USD")
        return Company("example", self.companies / "example", self.home / "example", settings)

    @property
    def environment(self) -> dict[str, str]:
        names = ("STOCKLAKE_COMPANY", "STOCKLAKE_DEBUG")
        kept = {key: value for key, value in os.environ.items() if key not in names}
        return kept | {"STOCKLAKE_COMPANIES": str(self.companies), "STOCKLAKE_HOME": str(self.home)}

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `stocklake` with these arguments, as a person would."""
        return self.python("-m", "orchestration.cli", *arguments, stdin=stdin)

    def python(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT_ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command with --json; standard output has to be JSON and nothing else."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with Lake.of(self.company).read() as connection:
            return connection.execute(query).fetchall()

    def truth(self, name: str) -> pl.DataFrame:
        return pl.read_csv(self.home / "example" / "truth" / f"{name}.csv", infer_schema_length=None)


def in_process(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run `stocklake` in this process, for what ends before anything heavy starts: seconds of imports less."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("STOCKLAKE_COMPANY", "STOCKLAKE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["stocklake", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), said.out, said.err)


def make_house(folder: Path, *, exports: dict[str, object] | None = None) -> House:
    """Make a house whose contracts are the example's; `exports` are the sizes of what lies in its inbox."""
    house = House(folder / "companies", folder / "home")
    target = house.companies / "example"
    target.mkdir(parents=True)
    shutil.copytree(COMPANY / "contracts", target / "contracts")
    lines = (COMPANY / "company.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    # The exports lie in the inbox already, smaller than the company's own program would make them.
    kept = [line for line in lines if not line.startswith("data_program")]
    (target / "company.yaml").write_text("".join(kept), encoding="utf-8")
    if exports is not None:
        made = generate(house.company.inbox, **exports)
        assert made.returncode == 0, made.stderr
    return house


def assert_one_sentence(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """Assert that a command failed with its code, and said why in one line on standard error."""
    assert done.returncode == exit_code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("stocklake: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]
