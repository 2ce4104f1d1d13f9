"""Every mart promises its columns, has a group that answers for it, and says who may read it; dbt and the lake hold it to that."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from lake.company import PROJECT_ROOT
from lake.connection import Lake
from tests.dbt_project.conftest import Built

MARTS = sorted((PROJECT_ROOT / "dbt_project" / "models" / "marts").glob("*.sql"))
_READ = re.compile(r"\bmarts\.(\w+)|[\"']marts[\"'],\s*[\"'](\w+)[\"']")


@cache
def described(path: Path) -> dict[str, Any]:
    models = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))["models"]
    assert [model["name"] for model in models] == [path.stem]
    return models[0]


def is_ephemeral(path: Path) -> bool:
    return "ephemeral" in path.read_text(encoding="utf-8").partition("\n")[0]


@cache
def groups() -> dict[str, str]:
    path = PROJECT_ROOT / "dbt_project" / "models" / "groups.yml"
    return {one["name"]: one["owner"]["name"] for one in yaml.safe_load(path.read_text())["groups"]}


@pytest.mark.parametrize("path", MARTS, ids=lambda path: path.stem)
def test_a_mart_has_a_contract_a_group_and_an_access(path: Path) -> None:
    model = described(path)
    config = model["config"]
    assert config["group"] in groups()
    assert config["access"] in ("public", "protected", "private")
    if is_ephemeral(path):
        assert config["access"] == "private"  # it is no table: nobody else can read it
        return
    assert config["contract"] == {"enforced": True}
    assert [column["name"] for column in model["columns"] if "data_type" not in column] == []
    kinds = {one["type"] for column in model["columns"] for one in column.get("constraints", ())}
    assert kinds <= {"not_null"}  # all that DuckLake holds to
    if "materialized='view'" not in path.read_text(encoding="utf-8"):
        grain = next(
            test["one_row_per"]["arguments"] for test in model["data_tests"] if "one_row_per" in test
        )
        never_null = {*grain["columns"], *grain.get("required", ())} - set(grain.get("nullable", ()))
        promised = {column["name"] for column in model["columns"] if column.get("constraints")}
        assert promised == never_null


def test_what_is_read_beyond_dbt_is_public() -> None:
    read = set()
    for room in ("features", "models", "planning"):
        for path in (PROJECT_ROOT / room).rglob("*.py"):
            read |= {name or other for name, other in _READ.findall(path.read_text(encoding="utf-8"))}
    names = {path.stem for path in MARTS}
    assert {"item_location_day", "inventory_position", "supply_option"} <= read
    closed = {path.stem for path in MARTS if described(path)["config"]["access"] != "public"}
    assert read & names & closed == set()


def test_every_owner_answers_for_something() -> None:
    used = {described(path)["config"]["group"] for path in MARTS}
    assert used == set(groups())


def test_the_lake_has_the_columns_that_are_promised(built: Built) -> None:
    for path in MARTS:
        if is_ephemeral(path):
            continue
        promised = {one["name"]: one["data_type"] for one in described(path)["columns"]}
        found = built.query(f"describe lake.marts.{path.stem}")
        types = dict(zip(found["column_name"], found["column_type"], strict=True))
        assert list(types) == list(promised), path.stem
        assert {name: kind.replace(" ", "").lower() for name, kind in types.items()} == promised, path.stem
        if "materialized='view'" not in path.read_text(encoding="utf-8"):
            never_null = {one["name"] for one in described(path)["columns"] if one.get("constraints")}
            nullable = dict(zip(found["column_name"], found["null"], strict=True))
            assert {name for name, can in nullable.items() if can == "NO"} == never_null, path.stem


def test_the_lake_refuses_what_breaks_a_promise(built: Built) -> None:
    """In a transaction that is rolled back, of a home that others read."""
    with (
        pytest.raises(duckdb.ConstraintException, match="NOT NULL constraint failed"),
        Lake.of(built.company).write() as connection,
    ):
        connection.execute("insert into lake.marts.as_of values (null)")
