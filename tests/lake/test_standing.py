"""What stands since the last good build: asked of a real lake, with a manifest of three models and two tests."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.company import PROJECT_ROOT
from lake.connection import Lake
from lake.standing import Standing, note_good_build, what_stands
from tests.lake import loading_kit

CODE = "code"
ALL = {"m.stg", "m.fact", "m.other", "t.fact", "t.both"}


def _result(node: str, status: str = "") -> dict[str, Any]:
    kind = "model" if node.startswith("m.") else "test"
    return {
        "unique_id": node, "name": node[2:], "schema": "core", "kind": kind, "seconds": 0.0, "message": "", "failing_rows": 0,
        "is_standing": False, "status": status or ("success" if kind == "model" else "pass"),
    }  # fmt: skip


def _manifest() -> dict[str, Any]:
    def node(kind: str, behind: list[str], name: str = "", **meta: Any) -> dict[str, Any]:
        return {
            "resource_type": kind, "schema": "core", "alias": name, "depends_on": {"nodes": behind}, "config": {"meta": meta}
        }  # fmt: skip

    return {
        "sources": {
            f"s.{name}": {"unique_id": f"s.{name}", "schema": "raw", "identifier": name}
            for name in ("sales", "late")
        },
        "nodes": {
            "m.stg": node("model", ["s.sales", "s.late"], "stg"),
            "m.fact": node("model", ["m.stg"], "fact"),
            "m.other": node("model", [], "other", reads=["meta.delivery"]),
            "t.fact": node("test", ["m.fact"]),
            "t.both": node("test", ["m.fact", "m.other"]),
        },
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.of(loading_kit.company(tmp_path))
    _write(
        made,
        """
        CREATE TABLE lake.raw.sales AS SELECT range AS a FROM range(10);
        CREATE VIEW lake.core.stg AS FROM lake.raw.sales;
        CREATE TABLE lake.core.fact AS FROM lake.core.stg;
        CREATE TABLE lake.core.other AS SELECT 1 AS a; CREATE TABLE lake.meta.delivery AS SELECT 1 AS a
        """,
    )
    _note(made)
    return made


def _write(lake: Lake, sql: str) -> None:
    with lake.write() as connection:
        connection.execute(sql)


def _note(lake: Lake, **statuses: str) -> None:
    results = [_result(node, statuses.get(node[0] + "_" + node[2:], "")) for node in sorted(ALL)]
    note_good_build(lake, CODE, lake.snapshot(), _manifest(), results, None)


def _fallen(lake: Lake, code: str = CODE) -> set[str] | None:
    found = what_stands(lake, code)
    return None if found is None else set(found.fallen)


def test_nothing_touched_stands_and_other_code_knows_nothing(lake: Lake) -> None:
    assert _fallen(lake) == set()
    assert _fallen(lake, "other code") is None
    _write(lake, "CREATE TABLE lake.plan.something AS SELECT 1 AS a")
    assert _fallen(lake) == set()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO lake.raw.sales VALUES (11)",
        "DELETE FROM lake.raw.sales WHERE a = 3",
        "ALTER TABLE lake.raw.sales ADD COLUMN b INTEGER",
        "CREATE OR REPLACE TABLE lake.raw.sales AS SELECT range AS a FROM range(10)",
        "CREATE TABLE lake.raw.late AS SELECT 1 AS a",  # a source that had never been delivered
        "CREATE OR REPLACE VIEW lake.core.stg AS FROM lake.raw.sales LIMIT 3",  # by somebody else, or a build that was killed
    ],
)
def test_what_is_touched_falls_with_all_that_reads_it(lake: Lake, sql: str) -> None:
    _write(lake, sql)
    assert _fallen(lake) == {"m.stg", "m.fact", "t.fact", "t.both"}


def test_a_model_that_is_gone_or_was_written_to_falls(lake: Lake) -> None:
    _write(lake, "INSERT INTO lake.core.other VALUES (2)")
    assert _fallen(lake) == {"m.other", "t.both"}
    _write(lake, "DROP TABLE lake.core.fact")
    assert _fallen(lake) == {"m.other", "m.fact", "t.fact", "t.both"}


def test_what_a_model_declares_to_read_beside_its_references_counts(lake: Lake) -> None:
    _write(lake, "INSERT INTO lake.meta.delivery VALUES (2)")
    assert _fallen(lake) == {"m.other", "t.both"}


def test_what_warned_is_asked_again(lake: Lake) -> None:
    _note(lake, t_both="warn")
    assert _fallen(lake) == {"t.both"}


def test_it_falls_until_a_build_of_all_was_good_again(lake: Lake) -> None:
    _write(lake, "INSERT INTO lake.raw.sales VALUES (11)")
    _write(lake, "INSERT INTO lake.core.fact VALUES (11)")  # built, and then a test failed
    assert _fallen(lake) == {"m.stg", "m.fact", "t.fact", "t.both"}
    last = what_stands(lake, CODE)
    assert last is not None
    stood = [
        _result(node) | {"is_standing": node == "t.fact", "seconds": 9.0} for node in sorted(last.fallen)
    ]
    note_good_build(lake, CODE, lake.snapshot(), _manifest(), stood, last)
    again = what_stands(lake, CODE)
    assert again is not None and not again.fallen and set(again.nodes) == ALL
    # What stood when its turn came is told as it ran.
    seconds = {one: node["result"]["seconds"] for one, node in again.nodes.items()}
    assert seconds == dict.fromkeys(ALL, 0.0) | dict.fromkeys(("m.stg", "m.fact", "t.both"), 9.0)


def test_merged_files_change_nothing_and_expired_snapshots_nobody_knows(lake: Lake) -> None:
    _write(lake, "INSERT INTO lake.raw.sales SELECT range FROM range(5000)")
    _write(lake, "INSERT INTO lake.raw.sales SELECT range FROM range(5000)")
    _note(lake)
    with lake.maintain() as connection:
        connection.execute("CALL ducklake_merge_adjacent_files('lake', 'sales', schema => 'raw')")
    assert _fallen(lake) == set()
    _write(lake, "INSERT INTO lake.core.other VALUES (2)")
    between = lake.snapshot()
    _write(lake, "CREATE TABLE lake.plan.something AS SELECT 1 AS a")
    with lake.maintain() as connection:
        connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => [{between}])")
    assert _fallen(lake) is None


def test_a_turn_asks_only_for_what_stands_behind_it() -> None:
    nodes = {
        "m.a": {"result": _result("m.a"), "table": "core.a", "reads": [], "behind": []},
        "m.b": {"result": _result("m.b"), "table": "core.b", "reads": ["raw.x"], "behind": ["m.a"]},
    }
    last = Standing(1, nodes)
    assert last.result_if("m.b", {"raw.y", "core.c"}) == _result("m.b")
    assert all(last.result_if("m.b", {touched}) is None for touched in ("core.a", "core.b", "raw.x"))


def test_dbt_still_has_what_is_replaced() -> None:
    from dbt.node_types import NodeType
    from dbt.task.base import BaseRunner
    from dbt.task.build import BuildTask
    from dbt_common.events.event_manager import EventManager

    for kind in (NodeType.Model, NodeType.Test):
        assert issubclass(BuildTask.RUNNER_MAP[kind], BaseRunner)
        assert callable(BuildTask.RUNNER_MAP[kind].compile_and_execute)
    given = ["self", "e", "level", "node", "force_warn_or_error_handling"]
    assert list(inspect.signature(EventManager.fire_event).parameters) == given


def test_quotes_in_a_message_come_back(lake: Lake) -> None:
    results = [_result("m.stg") | {"message": 'it\'s "so"'}]
    note_good_build(lake, CODE, lake.snapshot(), _manifest(), results, None)
    found = what_stands(lake, CODE)
    assert found is not None and found.nodes["m.stg"]["result"]["message"] == 'it\'s "so"'


def test_what_sql_reads_of_meta_beside_its_references_is_declared() -> None:
    """But for the bookkeeping of slices and of tests, which changes no row."""
    folder = PROJECT_ROOT / "dbt_project"
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.sql") if path.name != "slices.sql"]
    read = {f"meta.{name}" for text in texts for name in re.findall(r"(?:'meta', '|lake\.meta\.)(\w+)", text)}
    declared = {
        name
        for path in folder.rglob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ())
        if isinstance(model, dict)
        for name in model.get("config", {}).get("meta", {}).get("reads", ())
    }
    assert read == declared == {"meta.delivery", "meta.control"}
