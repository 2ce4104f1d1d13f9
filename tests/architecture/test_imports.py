"""Imports run one way, and Dagster stays in one room."""

import ast
from pathlib import Path

import pytest

from lake.company import PROJECT_ROOT

MAY_IMPORT = {
    "lake": set(),
    "features": {"lake"},
    "models": {"lake", "features"},
    "planning": {"lake", "features", "models"},
    "orchestration": {"lake", "features", "models", "planning"},
}
ROOMS = {*MAY_IMPORT, "companies", "benchmarks", "tests"}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def _files(room: str) -> list[Path]:
    return sorted((PROJECT_ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_before_it(room: str) -> None:
    assert _files(room)
    for path in _files(room):
        foreign = _imported(path) & ROOMS - MAY_IMPORT[room] - {room}
        assert not foreign, f"{path.relative_to(PROJECT_ROOT)} imports {sorted(foreign)}"


@pytest.mark.parametrize("room", ["lake", "features", "models", "planning"])
def test_only_orchestration_knows_dagster(room: str) -> None:
    for path in _files(room):
        assert not {name for name in _imported(path) if name.startswith("dagster")}, path


def test_the_platform_never_names_the_example_generator_or_its_truth() -> None:
    for room in MAY_IMPORT:
        for path in _files(room):
            assert not _imported(path) & {"companies", "generate"}, path


def test_one_place_opens_duckdb() -> None:
    openers = [
        path.relative_to(PROJECT_ROOT).as_posix()
        for room in MAY_IMPORT
        for path in _files(room)
        if "duckdb.connect(" in path.read_text(encoding="utf-8")
    ]
    assert openers == ["lake/connection.py"]


def test_files_stay_short() -> None:
    for room in MAY_IMPORT:
        for path in _files(room):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
